"""reduce: the smallest part of a model that still shows what is wrong."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import onnx
import pytest

from sparqc.tools.runs.reduce.minimize import minimal
from sparqc.tools.runs.reduce.pieces import piece, with_outputs, without
from tests.match.sketches import graph_of
from tests.tools.conftest import SEEDED
from tests.tools.runs.conftest import Ask
from tests.tools.runs.test_bisect import UNGUARDED

CHAIN = """
x: f32[2, 4]
w: const f32[2, 4]
a = nn.relu(x)
b = nn.mul(a, w)
c = nn.add(b, a)
d = nn.sqrt(c)
e = nn.exp(b)
"""

#: The second convolution does not look at a channel whose range is a thousand times the others', so
#: that INT8 leaves it no code for these.
SPREAD = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(16, 16, 3, padding=1)
        self.conv2 = nn.Conv2d(16, 16, 3, padding=1)
        self.conv3 = nn.Conv2d(16, 16, 3, padding=1)
        self.register_buffer("range", torch.ones(16, 1, 1))
        self.range[0] = 1000
        self.conv2.weight.data[:, 0] = 0

    def forward(self, x):
        y = torch.tanh(self.conv1(x)) * self.range
        return torch.relu(self.conv3(torch.relu(self.conv2(y))))

def model():
    torch.manual_seed(0)
    return Net()

def example_inputs():
    torch.manual_seed(1)
    return (torch.randn(4, 16, 8, 8),)

def calibration():
    return [example_inputs()]
"""


@pytest.mark.parametrize("wanted", [{3}, {0, 7}, {2, 3, 9}, {0}, {15}, set(range(16))])
def test_the_fewest_that_fail_are_found(wanted: set[int]) -> None:
    asked: list[Sequence[int]] = []

    def fails(part: Sequence[int]) -> bool:
        asked.append(part)
        return wanted <= set(part)

    assert minimal(range(16), fails) == sorted(wanted)
    assert len(asked) < 160


def test_one_of_many_takes_few_questions() -> None:
    asked: list[int] = []

    def fails(part: Sequence[int]) -> bool:
        asked.append(len(part))
        return 200 in part

    assert minimal(range(340), fails) == [200]
    assert len(asked) <= 20


def test_a_piece_reads_and_gives_what_crosses_its_edge() -> None:
    part = piece(graph_of(CHAIN), ["b", "c"])
    part.verify()
    assert [node.op for node in part.nodes] == ["nn.mul", "nn.add"]
    assert [v.name for v in part.inputs] == ["a_in"]
    assert [v.name for v in part.outputs] == ["b", "c"]
    assert [v.name for v in part.constants] == ["w"]


def test_outputs_and_operators_are_left_out() -> None:
    graph = graph_of(CHAIN)
    assert [n.op for n in with_outputs(graph, ["e"]).nodes] == ["nn.relu", "nn.mul", "nn.exp"]
    bypassed = without(graph, "b")
    assert bypassed is not None
    bypassed.verify()
    assert [n.op for n in bypassed.nodes] == ["nn.relu", "nn.add", "nn.sqrt", "nn.exp"]
    assert without(graph_of("x: f32[2, 4]\ny = nn.relu(x)"), "y") is None  # an input as an output


def reduced(ask: Ask, folder: Path, words: str, question: str, code: int) -> dict:
    (folder / "model.py").write_text(SEEDED)
    ask(f"compile model.py -o o.onnx --quiet --dump run {words}", code)
    return json.loads(ask(f"reduce run --json {question}"))


def test_what_does_not_compile_is_cut_down(ask: Ask, tmp_path: Path) -> None:
    (tmp_path / "wrong.spq").write_text(UNGUARDED.format(word="exact").replace("fx", "fx, onnx"))
    words = "--passes int8,+wrong@after=fold --patterns wrong.spq"
    found = reduced(ask, tmp_path, words, "", 3)
    model = onnx.load(found["file"])
    onnx.checker.check_model(model, full_check=True)
    assert [node.op_type for node in model.graph.node] == ["Relu"]
    assert found["operators"][1] == 1 and found["tried"] < 40


def test_a_command_says_what_is_bad(ask: Ask, tmp_path: Path) -> None:
    # Bad is a model in which an Add reads a Conv.
    (tmp_path / "judge.py").write_text(
        "import sys, onnx\n"
        "nodes = onnx.load(sys.argv[1]).graph.node\n"
        "convs = {n.output[0] for n in nodes if n.op_type == 'Conv'}\n"
        "sys.exit(any(n.op_type == 'Add' and convs & set(n.input) for n in nodes))\n"
    )
    found = reduced(
        ask, tmp_path, "--passes int8", f"--check '{sys.executable} judge.py {{}}' -o small.onnx", 0
    )
    model = onnx.load(tmp_path / "small.onnx")
    assert sorted(node.op_type for node in model.graph.node) == ["Add", "Conv"]
    assert "nn.conv(" in found["text"]


def test_decibels_say_what_is_bad(ask: Ask, tmp_path: Path) -> None:
    (tmp_path / "model.py").write_text(SPREAD)
    ask("compile model.py -o o.onnx --quiet --dump run --passes int8")
    found = json.loads(ask("reduce run --json --min-snr 25"))
    model = onnx.load(found["file"])
    assert [node.op_type for node in model.graph.node] == ["Conv"]
    assert "conv2.weight" in found["text"]
    assert found["operators"][0] > 5 and found["tried"] < 40


@pytest.mark.parametrize(
    ("question", "said"),
    [
        ("--min-snr 1", "the check does not fail on the model of the run"),
        ("--check 'true {}'", "the check does not fail on the model of the run"),
        ("--check 'false {}'", "the check always fails"),
    ],
)
def test_a_check_that_tells_nothing_gets_a_sentence(
    run: Path, capsys: pytest.CaptureFixture[str], question: str, said: str
) -> None:
    import shlex

    from sparqc.tools import cli

    assert cli.run(["reduce", str(run), *shlex.split(question)]) == 3
    assert said in capsys.readouterr().err
    assert not (run / "reduced.onnx").exists()


def test_a_run_that_did_not_fail_needs_a_check(run: Path, ask: Ask) -> None:
    assert "did not fail" in ask("reduce run", code=2)
    assert "takes one of them" in ask("reduce run --min-snr 3 --check 'true {}'", code=2)
    assert "there is no folder" in ask("reduce run -o nowhere/x.onnx --check 'true {}'", code=2)
