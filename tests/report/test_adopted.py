"""What the command line says of models that other tools have quantized: text, JSON and HTML."""

import json
import shlex
from pathlib import Path

import pytest

from sparqc.passes.adopt.adopted import Adoption, QuantizerChange
from sparqc.passes.calibrate.calibrate import CalibratedRanges, Range
from sparqc.passes.place.placement import Placement
from sparqc.report.adopted import adopted_lines, adopted_rows
from sparqc.rewrite.facts import Facts
from sparqc.tools import cli
from tests.pages import shown_run

FOLDER = Path(__file__).parents[1] / "adopted"
MODEL = f"""
import sys
sys.path.insert(0, {str(FOLDER.parents[1])!r})
import torch
from tests.adopted import doubles
from tests.adopted.network import Network, images, trained

def model():
    net = trained(Network(doubles.QuantConv2d, doubles.QuantLinear))
    return doubles.calibrated(net, images(8, 2))

def example_inputs():
    return (images(),)

def calibration():
    yield (images(8, 2),)
"""


@pytest.fixture
def compiled(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.py").write_text(MODEL)

    def run(line):
        assert cli.run(["compile", *shlex.split(line), "-o", "out.onnx"]) == 0
        return capsys.readouterr().out

    return run


def test_a_model_py_with_quantizers_of_another_tool(compiled):
    said = " ".join(compiled("model.py --passes int8").split())
    assert "adopted quantizers of another tool: 14 kept, 2 added" in said
    assert "measured anew: conv_5" in said
    assert "added: conv_5: conv_add_act reads add_1." in said


def test_the_json_has_each_change_with_its_reason(compiled):
    report = json.loads(compiled("model.py --passes int8 --json"))["adopted"]
    kinds = {change["kind"] for change in report["changes"]}
    assert {"kept", "added"} <= kinds and all(c["reason"] for c in report["changes"])
    assert "layer1.conv1._input_quantizer" in {c["origin"] for c in report["changes"]}
    assert "conv1.weight" in report["taken"] and "conv_5" in report["measured"]


def test_an_onnx_file_and_the_page_of_its_dump(compiled, tmp_path):
    import numpy as np

    np.save("x.npy", np.load(FOLDER / "model_optimizer.npz")["input"])
    path = FOLDER / "model_optimizer.onnx"
    compiled(f"{path} --passes int8 --calibration x.npy --dump run")
    adopted = shown_run(tmp_path / "run")["run"]["report"]["adopted"]
    assert any("hands codes on" in change["reason"] for change in adopted["changes"])


def test_an_exported_program_needs_no_data(compiled):
    said = " ".join(compiled(f"{FOLDER / 'pt2e.pt2'} --passes int8").split())
    assert "asymmetric: the range became symmetric" in said
    assert "measured anew" not in said
    assert "quantized_decomposed" not in said  # nothing passed through


@pytest.mark.parametrize("file", ["pt2e.pt2", "model_optimizer.onnx"])
def test_ranges_that_a_float_compile_loses_are_told(compiled, file):
    said = " ".join(compiled(f"{FOLDER / file} --passes float").split())
    assert "quantizers of another tool: removed nothing is quantized, and their ranges" in said
    assert "--passes int8 keeps them" in said


def test_without_quantizers_there_is_no_section(compiled):
    assert adopted_rows(Facts()) is None
    assert list(adopted_lines(None)) == []


def test_changes_of_one_reason_share_a_line():
    rows = [QuantizerChange(f"v{i}", "removed", "inside conv_act", "q") for i in range(5)]
    rows += [QuantizerChange("a", "moved", "nn.max_pool hands codes on", "q", "b")]
    ranges = [Range("b", "", "s", "adopted", 1, 1, 1), Range("w", "", "t", "weight", 1, 1, 1)]
    taken = Adoption(changes=rows, left_in_float={"fc": "it was"})
    facts = Facts(taken, CalibratedRanges(tuple(ranges)), Placement())
    lines = list(adopted_lines(adopted_rows(facts)))
    assert lines == [
        "quantizers of another tool: 1 moved, 5 removed",
        "its ranges serve 1 scale",
        "computed anew from the weights: w",
        "moved: a -> b: nn.max_pool hands codes on",
        "removed: v0, v1, v2 and 2 more: inside conv_act",
        "fc in float: it was",
    ]
