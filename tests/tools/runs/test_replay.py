"""replay: a run continued from one of its graphs, and what a failed compile leaves behind."""

from __future__ import annotations

import re
import shlex
import shutil
import tempfile
from pathlib import Path

import numpy as np
import onnx
import pytest

from sparqc.tools import cli
from tests.tools.conftest import SEEDED
from tests.tools.runs.conftest import Ask
from tests.tools.runs.test_bisect import UNGUARDED

#: A pass with a bug, where the graph has a quantizer.
BUGGY = """
from dataclasses import dataclass
from sparqc.extend import Pass, register

@register
@dataclass(frozen=True)
class Buggy(Pass):
    "Divides by zero."
    name = "buggy"

    def run(self, graph, context):
        return 1 // sum(node.op == "nn.linear" for node in [])
"""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with its weights and data, whose model is gone."""
    folder = tmp_path_factory.mktemp("whole")
    (folder / "model.py").write_text(SEEDED)
    words = ["--passes", "all-sparse", "--with-weights", "--dump", str(folder / "run"), "--quiet"]
    assert cli.run(["compile", str(folder / "model.py"), "-o", str(folder / "o.onnx"), *words]) == 0
    (folder / "model.py").unlink()
    return folder / "run"


@pytest.mark.parametrize("start", ["0", "05", "place", "11"])
def test_a_run_goes_on_from_each_of_its_graphs(
    whole: Path, ask: Ask, start: str, tmp_path: Path
) -> None:
    said = ask(f"replay {whole} --from {start} --dump again")
    assert "passes made" in said
    last = (tmp_path / "again").glob("graphs/*-surgery.onnx.txt")
    (expected,) = whole.glob("graphs/*-surgery.onnx.txt")
    lines = {line for file in last for line in file.read_text().splitlines()}
    # Behind `reestimate` and `calibrate` the numbers are those of the same data.
    assert lines >= {line for line in expected.read_text().splitlines() if " = nn." in line}


def test_other_passes_may_go_on(whole: Path, ask: Ask, tmp_path: Path) -> None:
    said = ask(f"replay {whole} --from fold --passes export -o float.onnx")
    assert said.startswith("1 passes made") and "10" not in said.partition("operators")[2]
    assert (tmp_path / "float.onnx").exists()


def test_weights_of_the_model_are_taken_where_the_run_holds_none(
    dumped: Path, ask: Ask, capsys: pytest.CaptureFixture[str]
) -> None:
    said = ask(f"replay {dumped} --from 0 --passes float")
    assert re.search(r"1\d\d\.\d dB|inf dB", said)  # nothing was made up: the numbers are right


@pytest.mark.parametrize(
    "wish", ["--float fp16", "--io fp16", "--io int8", "--skip untie", "--knob attention=int8"]
)
def test_what_was_asked_of_the_run_does_not_stop_the_reading_of_its_model(
    wish: str, ask: Ask, tmp_path: Path
) -> None:
    """No pass runs there that could do it; behind it, those of the run do."""
    (tmp_path / "model.py").write_text(SEEDED)
    ask(f"compile model.py -o o.onnx --passes int8 {wish} --dump run --quiet")
    assert "passes made" in ask("replay run --from place -o again.onnx")
    made, again = (onnx.load(tmp_path / name).graph.input for name in ("o.onnx", "again.onnx"))
    assert [i.type for i in made] == [i.type for i in again]


@pytest.mark.parametrize(("io", "takes"), [("fp16", "f16"), ("int8", "i8")])
def test_data_of_other_types_than_the_graph_takes_are_refused_with_a_sentence(
    io: str, takes: str, ask: Ask, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "model.py").write_text(SEEDED)
    ask(f"compile model.py -o o.onnx --passes int8 --io {io} --dump run --quiet --with-weights")
    assert cli.run(["replay", "run", "--from", "boundary", "-o", "again.onnx"]) == 2
    said = capsys.readouterr().err
    assert f"input 'x' takes {takes} behind" in said and "the data are float32" in said


def test_numbers_that_the_passes_made_are_made_up(
    dumped: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["replay", str(dumped), "--from", "07", "--passes", "export"]) == 0
    assert "made up" in capsys.readouterr().err


def test_a_graph_edited_by_hand_is_taken_as_it_stands(
    whole: Path, ask: Ask, tmp_path: Path
) -> None:
    run = Path(shutil.copytree(whole, tmp_path / "edited"))
    (file,) = run.glob("graphs/*-fold.fx.txt")
    text = file.read_text()
    file.write_text(text.replace("nn.relu(conv)", "nn.sigmoid(conv)"))
    ask("replay edited --from fold --passes export --dump again")
    (exported,) = (tmp_path / "again").glob("graphs/*-export.onnx.txt")
    assert "nn.sigmoid(conv)" in exported.read_text()
    file.write_text(text.replace("nn.relu(conv)", "nn.relu(conv"))
    said = ask("replay edited --from fold", code=2)
    assert f"{file.name}:" in said and "^" in said


def test_a_weight_that_was_changed_is_refused(whole: Path, ask: Ask, tmp_path: Path) -> None:
    run = Path(shutil.copytree(whole, tmp_path / "edited"))
    for file in (run / "weights").iterdir():
        np.save(file, np.zeros(3, np.float32))
    assert "is not what its name says" in ask("replay edited", code=2)
    for file in (run / "weights").iterdir():
        file.write_bytes(b"nothing")
    assert "cannot read" in ask("replay edited", code=2)


def test_a_graph_that_runs_on_no_batch_is_not_said_to_run_on_another(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (graph,) = (run / "graphs").glob("*-place*")
    graph.write_text(graph.read_text().replace("f32[16, 16, 3, 3]", "f32[16, 16, 3]"))
    assert cli.run(["replay", str(run), "--from", "place"]) == 3
    said = capsys.readouterr().err
    assert " fails on " in said and "runs on" not in said


def failed(folder: Path, words: str, code: int, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """What a failed compile says to type."""
    (folder / "model.py").write_text(SEEDED)
    line = f"compile {folder}/model.py -o {folder}/o.onnx --quiet {words}"
    assert cli.run(shlex.split(line)) == code
    said = capsys.readouterr().err
    assert "to run it again" in said, said
    (command,) = [x for x in said.splitlines() if x.startswith("  to run it again: ")]
    assert not (folder / "o.onnx").exists()
    return shlex.split(command.partition("sparqc ")[2])


@pytest.mark.parametrize("keep", ["", "--with-weights"])
def test_a_failed_compile_leaves_what_fails_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], keep: str
) -> None:
    name = f"unguarded{len(keep)}"  # a pass has one name in one process
    (tmp_path / f"{name}.spq").write_text(UNGUARDED.format(word="exact"))
    words = f"--passes int8,+{name}@after=fold --patterns {tmp_path}/{name}.spq {keep}"
    command = failed(tmp_path, words, 3, capsys)
    (tmp_path / "model.py").unlink()  # it does without
    assert (Path(command[1]) / "weights").exists() == bool(keep)
    assert cli.run(command) == 3
    assert f"the pass {name} promises exact results" in capsys.readouterr().err
    shutil.rmtree(Path(command[1]).parent)


def test_so_does_one_that_a_bug_of_ours_ends(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "buggy.py").write_text(BUGGY)
    words = f"--passes default,+buggy@after=place --import {tmp_path}/buggy.py"
    command = failed(tmp_path, words, 70, capsys)
    assert "ZeroDivisionError" in (Path(command[1]) / "run.json").read_text()
    assert cli.run(command) == 70
    assert "ZeroDivisionError" in capsys.readouterr().err
    shutil.rmtree(Path(command[1]).parent)


@pytest.mark.parametrize(
    ("calibration", "can_be_kept"),
    [("return None", False), ("return [(torch.ones(2, 3, 4, 4),)]", True),
     ("raise OSError('no')", False)],
)  # fmt: skip
def test_what_lies_in_the_data_leaves_nothing_without_them(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    calibration: str,
    can_be_kept: bool,
) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    own = f"def calibration():\n    {calibration}\n\ndef unused():"
    (tmp_path / "model.py").write_text(SEEDED.replace("def calibration():", own))
    line = f"compile {tmp_path}/model.py -o {tmp_path}/o.onnx --quiet"
    for words, kept in ((line, False), (f"{line} --with-weights", can_be_kept)):
        assert cli.run(shlex.split(words)) == 3
        assert ("to run it again" in capsys.readouterr().err) == kept
        assert len(list((tmp_path / "temporary").iterdir())) == kept


def test_wrong_use_leaves_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "model.py").write_text(SEEDED)
    words = ["--passes", "default,-export", "--quiet"]
    assert cli.run(["compile", str(tmp_path / "model.py"), "-o", str(tmp_path / "o"), *words]) == 2
    assert "to run it again" not in capsys.readouterr().err
