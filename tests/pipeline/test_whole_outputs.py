"""Whole outputs are held to the model's: faults are errors, and networks that amplify are none."""

import json

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

import sparqc
from sparqc.errors import SparqcError
from sparqc.job import run as jobs
from sparqc.job.verify import difference
from sparqc.pipeline.drift import measure
from sparqc.report.quality import grade_of
from sparqc.tools import cli


class Steep(nn.Module):
    """Layers that multiply what their input is off by, as many random networks do."""

    def __init__(self, depth, slope):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(16, 16) for _ in range(depth))
        self.slope = slope

    def forward(self, x):
        for layer in self.layers:
            x = torch.sin(self.slope * layer(x))
        return x


ROWS = torch.randn(4, 16, generator=torch.Generator().manual_seed(1))


def steep(depth, slope, road="FX"):
    torch.manual_seed(2)
    model = Steep(depth, slope)
    return sparqc.compile(model, (ROWS,), passes="export").model if road == "ONNX" else model


def compiled(model, passes="float", example=(ROWS,), **wishes):
    return sparqc.compile(model, example, passes=passes, calibration=[(ROWS,)], **wishes)


#: The layers of a network that amplifies rounding beyond 1e-4, and of one that does not.
CHAOTIC, CALM = (16, 6), (3, 2)


def test_a_network_that_amplifies_is_no_fault_and_told_of():
    done = compiled(steep(*CHAOTIC))
    assert done.difference.max_relative > 1e-3
    assert any("amplifies rounding" in note for note in done.notes)
    assert not any("amplifies" in note for note in compiled(steep(*CALM)).notes)


def damaged(monkeypatch, factor):
    """Let the file that is written have another weight in its last layer."""
    write = jobs._written

    def wrong(graph, context):
        model = write(graph, context)
        weight = [t for t in model.graph.initializer if len(t.dims) == 2][-1]
        array = numpy_helper.to_array(weight) * np.float32(factor)
        weight.CopyFrom(numpy_helper.from_array(array, weight.name))
        return model

    monkeypatch.setattr(jobs, "_written", wrong)


@pytest.mark.parametrize("factor", [1.01, 0.999, 1.0005])
@pytest.mark.parametrize(
    ("road", "example"),
    [("FX", (ROWS,)), ("ONNX", (ROWS,)), ("ONNX", None)],
    ids=["FX", "ONNX", "no-example"],
)
def test_a_float_compile_that_moves_is_an_error(monkeypatch, factor, road, example):
    model = steep(*CALM, road)
    damaged(monkeypatch, factor)
    with pytest.raises(SparqcError, match=r"no pass may change numbers, but the output \S+ moves"):
        compiled(model, example=example)


def test_a_fault_of_a_network_that_amplifies_little_is_found_beyond_that(monkeypatch):
    model = steep(6, 3)  # rounding is multiplied by about a hundred
    damaged(monkeypatch, 1.02)
    with pytest.raises(SparqcError, match="rounding explains"):
        compiled(model)


def test_a_network_that_mixes_its_samples_is_measured_on_equal_batches():
    class Centred(nn.Module):
        def forward(self, x):
            return torch.nn.functional.linear(x - x.mean(0), torch.eye(16) + 0.1)

    torch.manual_seed(4)
    done = compiled(Centred(), "int8", float="fp16", example=(ROWS + 3,))
    assert all(loss.drift.relative < 0.05 for loss in done.losses)


# -- integers ------------------------------------------------------------------------------------


class Labels(nn.Module):
    """Scores, and the class of the largest."""

    def __init__(self, scores):
        super().__init__()
        self.scores = scores
        self.head = nn.Linear(16, 10)

    def forward(self, x):
        y = self.head(x)
        return (y, y.argmax(1)) if self.scores else y.argmax(1)


def test_integers_are_equal_or_not():
    x, y = np.array([1, 2, 900, 4]), np.array([1, 2, 3, 4])
    drift = measure([x], [y], ["labels"])
    assert drift.relative == 0.25 and np.isnan(drift.snr_db) and drift.worst == "labels"
    assert str(drift) == "25 % of its integers are others"
    gap = difference([x], [y])
    assert gap.equal_share == 0.75 and np.isnan(gap.snr_db) and grade_of(gap) == "poor"
    assert gap.to_json()["snr_db"] is None and gap.to_json()["equal_share"] == 0.75
    masks = difference([x > 2, x.astype(np.float32)], [y > 2, x.astype(np.float32)])
    assert masks.equal_share == 1.0 and masks.snr_db == np.inf and grade_of(masks) == "good"


@pytest.mark.parametrize("scores", [False, True])
@pytest.mark.parametrize("road", ["FX", "ONNX"])
def test_labels_are_compared_as_such(scores, road):
    torch.manual_seed(3)
    model = Labels(scores)
    if road == "ONNX":
        model = sparqc.compile(model, (ROWS,), passes="export").model
    done = compiled(model)
    assert done.difference.equal_share == 1.0
    assert np.isnan(done.difference.snr_db) != scores
    quantized = compiled(model, "int8")
    assert 0 <= quantized.difference.equal_share <= 1


def labelling(path):
    """A file that gives labels alone."""
    weight = np.random.default_rng(4).normal(size=(16, 10)).astype(np.float32)
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["s"]),
        helper.make_node("ArgMax", ["s"], ["labels"], axis=1, keepdims=0),
    ]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 16])
    labels = helper.make_tensor_value_info("labels", TensorProto.INT64, ["batch"])
    graph = helper.make_graph(nodes, "g", [x], [labels], [numpy_helper.from_array(weight, "w")])
    opsets = [helper.make_opsetid("", 20)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=10), path)


def test_the_report_has_no_decibels_of_labels(tmp_path, capsys):
    labelling(tmp_path / "m.onnx")
    np.savez(tmp_path / "data.npz", x=ROWS.numpy().repeat(8, 0))
    line = ["compile", str(tmp_path / "m.onnx"), "--passes", "int8", "-o", str(tmp_path / "o.onnx")]
    line += ["--calibration", str(tmp_path / "data.npz")]
    assert cli.run(line) == 0
    shown = capsys.readouterr().out
    assert "of the integers are the original's" in shown and "nan" not in shown.lower()
    assert cli.run([*line, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["difference"]["snr_db"] is None
    assert 0 <= report["difference"]["equal_share"] <= 1
    assert cli.run([*line, "--fail-under", "10"]) == 2
    assert "integers have no decibels" in capsys.readouterr().err


class Even(nn.Module):
    """The variance of equal numbers: 0, where the mean is not rounded."""

    def forward(self, x):
        return torch.rsqrt(x.sign() ** 2 + 0.5).var(1, correction=0)


@pytest.mark.parametrize("check", ["off", "pass", "rule"])
def test_what_rounding_leaves_of_zeros_is_no_fault(check):
    x = torch.randn(2, 13, generator=torch.Generator().manual_seed(5))
    assert not Even()(x).any()
    done = sparqc.compile(Even(), (x,), passes="float", check=check)
    assert 0 < done.difference.max_abs < 1e-12 and np.isinf(done.difference.snr_db)


def test_numbers_in_place_of_zeros_are_one():
    zeros = np.zeros((2, 3), np.float32)
    far = measure([zeros], [zeros + np.float32(1e-3)], ["y"])
    assert np.isinf(far.relative) and far.snr_db == -np.inf
    assert difference([zeros], [zeros + np.float32(1e-3)]).snr_db < 0
