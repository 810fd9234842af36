"""inspect, why and diff of a run directory."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sparqc.tools.runs.graph_lines import graph_lines
from tests.tools.runs.conftest import Ask


def test_inspect_has_a_line_for_each_pass(run: Path, ask: Ask) -> None:
    lines = ask("inspect run").splitlines()
    (fold,) = [line for line in lines if " fold " in line]
    assert "1 fold_batch_norm" in fold and fold.startswith("07")
    (prune,) = [line for line in lines if " prune " in line]
    assert "3 insert" in prune and "8 > 11" in prune


def test_inspect_as_json_has_a_schema(run: Path, ask: Ask) -> None:
    found = json.loads(ask("inspect run --json"))
    assert found["schema"] == 1
    (prune,) = [row for row in found["passes"] if row["pass"] == "prune"]
    assert prune["decisions"] == {"insert": 3} and prune["snr_db"] is not None
    assert prune["graph"] == "05-prune.fx.txt"


def test_inspect_shows_a_graph(run: Path, ask: Ask) -> None:
    assert ask("inspect run --after 05") == (run / "graphs/05-prune.fx.txt").read_text()
    # `attention` changed nothing: the graph is that of the pass in front of it.
    assert ask("inspect run --after attention") == (run / "graphs/07-fold.fx.txt").read_text()
    assert "has no graph 'fould'" in ask("inspect run --after fould", code=2)


@pytest.mark.parametrize(
    "words", ["--tui --json", "--after place --tui", "--json --time", "--time --trace t.json",
              "--after place --json", "--json --weights"],
)  # fmt: skip
def test_inspect_shows_a_run_in_one_way_at_a_time(run: Path, ask: Ask, words: str) -> None:
    said = ask(f"inspect run {words}", code=2)
    assert "a run is shown in one way at a time" in said
    assert all(word in said for word in words.split() if word.startswith("--"))
    assert not (run.parent / "t.json").exists()


def test_a_run_holds_no_weights_as_text(run: Path, ask: Ask) -> None:
    assert "--weights: " in ask("inspect run --weights", code=2)


def test_why_tells_every_decision_on_an_operator(run: Path, ask: Ask) -> None:
    said = ask("why run conv")
    assert "from line model.py:14, module conv1" in said
    order = [line.split()[1] for line in said.splitlines() if line.startswith("  then")]
    passes = ["prune:", "fold:", "place:", "calibrate:", "export:", "surgery:", "half:"]
    assert [name for name in passes if name in order] == list(dict.fromkeys(order))
    assert "removed 0." in said and "patterns/algebra/fold.spq:3:6" in said
    assert "none -> 0." in said  # the scale, before and after


def test_why_does_not_tell_of_other_operators(run: Path, ask: Ask) -> None:
    found = json.loads(ask("why run conv --json"))
    (node,) = found["nodes"]
    told = {name for event in node["events"] for name in event.get("constants", {})}
    assert "conv1.weight.masked.scale" in told and "conv2.weight.masked.scale" not in told


def test_why_knows_kernels_of_engines(run: Path, ask: Ask) -> None:
    by_name = json.loads(ask('why run "conv1.weight.codes + conv + PWN(relu)" --json'))
    names = [node["names"][0] for node in by_name["nodes"]]
    assert names == ["conv", "relu"]
    by_layers = json.loads(ask('why run "[ONNX Layer: conv][ONNX Layer: relu]" --json'))
    assert [node["names"][0] for node in by_layers["nodes"]] == names


def test_why_knows_what_is_gone(run: Path, ask: Ask) -> None:
    said = ask("why run batch_norm")
    assert "behind 06 reestimate; later it is gone" in said
    assert "reestimate: bn1.running_mean" in said


def test_why_suggests_a_name(run: Path, ask: Ask) -> None:
    assert "did you mean 'conv_1'" in ask("why run conv_11", code=2)


def test_why_imports_neither_torch_nor_onnx(run: Path) -> None:
    code = (
        "import sys; from sparqc.tools import cli;"
        "assert not cli.run(['why', sys.argv[1], 'conv']);"
        "assert not {'torch', 'onnx', 'onnxruntime', 'lark'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(run)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_diff_of_two_graphs(run: Path, ask: Ask) -> None:
    said = ask("diff run 07 place", code=1)
    assert "insert  x\n  + x.scale, x.qdq\n" in said and "conv.x: x -> x.qdq" in said
    found = json.loads(ask("diff run 09 10 --json", code=1))
    assert {change["what"] for change in found["changes"]} == {"set"}
    assert found["schema"] == 1
    assert ask("diff run 07 attention") == "the graphs are the same\n"


def test_diff_of_two_runs_finds_the_first_graph_that_differs(run: Path, ask: Ask) -> None:
    other = Path(shutil.copytree(run, run.parent / "other"))
    assert "the graphs are the same" in ask("diff run other")
    (file,) = (other / "graphs").glob("*-calibrate.fx.txt")
    text = file.read_text()
    line = next(x for x in text.splitlines() if x.strip().startswith("relu.scale:"))
    file.write_text(text.replace(line, "    relu.scale: const f32[] = 0.25"))
    said = ask("diff run other", code=1)
    assert "10 calibrate | 10 calibrate" in said and "set     relu.scale" in said


def test_names_of_any_characters_are_read() -> None:
    text = (
        'graph g on onnx 20 ("a  # b": f32[2]) -> (y):\n'
        '    "w: const": const f32[2] = [1.0, 2.0]  # m\n'
        '    "n = x(", y = onnx.Split("a  # b", "w: const", to="y")  # mod.a f.py:3 by p.spq:1 r\n'
        "    return y\n"
    )
    lines = graph_lines(text)
    assert list(lines) == ["w: const", "n = x(", "y"]
    node = lines["y"]
    assert node.reads == ("a  # b", "w: const") and node.op == "onnx.Split"
    assert (node.module, node.source, node.rules) == ("mod.a", "f.py:3", ("p.spq:1 r",))
