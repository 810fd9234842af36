"""What is said of a model that cannot be compared with its result."""

import numpy as np
import onnx
import pytest
import torch

import sparqc
from sparqc.errors import SparqcError, UsageError
from sparqc.job.verify import difference
from sparqc.pipeline.catalogue import find
from sparqc.pipeline.drift import moves
from sparqc.pipeline.passbase import Pass


class Detections(torch.nn.Module):
    """Gives what is above a threshold, and where."""

    def __init__(self):
        super().__init__()
        self.first, self.second = torch.nn.Conv2d(16, 16, 3), torch.nn.Conv2d(16, 16, 1)

    def forward(self, x):
        y = self.second(torch.relu(self.first(x)))
        return y[y > 0], (y > 0).nonzero(), y


@pytest.mark.parametrize("passes", ["int8", "all-sparse"])
@pytest.mark.parametrize("road", ["FX", "ONNX"])
def test_rounding_may_change_how_many_detections_there_are(road, passes):
    torch.manual_seed(0)
    model, example = Detections().eval(), (torch.randn(4, 16, 10, 10),)
    if road == "ONNX":
        model = sparqc.compile(model, example, passes="float").model
    done = sparqc.compile(model, example, calibration=[example], passes=passes)
    gap = done.difference
    assert gap.other_sizes == tuple(done.graph.output_names[:2])
    assert gap.snr_db > (30 if passes == "int8" else 3)
    assert all(loss.drift.snr_db > 3 for loss in done.losses) and not done.unverified


class FourSamples(torch.nn.Module):
    """Its code takes the samples by their numbers."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Conv2d(8, 8, 3)

    def forward(self, x):
        return self.layer(x)[torch.arange(4), :, 1]


def test_a_model_whose_code_holds_for_its_batch_alone_is_told_how_to_keep_it():
    example = (torch.randn(4, 8, 6, 6),)
    with pytest.raises(SparqcError, match=r"runs on 4 samples, but not on 2 of them.*\n.*--static"):
        sparqc.compile(FourSamples(), example, passes="float")
    assert sparqc.compile(FourSamples(), example, passes="float", dynamic_batch=False).verified


class Second(torch.nn.Module):
    """Takes all samples relative to the second."""

    def __init__(self):
        super().__init__()
        self.first, self.last = torch.nn.Conv2d(8, 8, 3), torch.nn.Conv2d(8, 16, 3)

    def forward(self, x):
        y = self.first(x)
        return self.last(y - y[1])


class Spread(Second):
    """Divides by what varies from sample to sample: of one alone that is no number."""

    def forward(self, x):
        y = self.first(x)
        return self.last(y / y.std(0))


@pytest.mark.parametrize("net", [Second, Spread])
@pytest.mark.parametrize("road", ["FX", "ONNX", "ONNX on noise"])
def test_a_model_that_needs_two_samples_is_verified_on_two(monkeypatch, net, road):
    torch.manual_seed(0)
    model, given = net().eval(), [(torch.randn(4, 8, 6, 6),)]
    options = {"passes": "int8", "calibration": given}
    if road == "FX":
        options["inputs"] = given[0]
    else:
        model = sparqc.compile(model, given[0], passes="export").model
    if road == "ONNX on noise":
        options = {"passes": "cleanup"}
    assert not sparqc.compile(model, **options).unverified
    monkeypatch.setattr(find("cleanup"), "transform", _with_wrong_weights(Pass.transform))
    with pytest.raises(SparqcError, match="the pass cleanup promises"):
        sparqc.compile(model, **options)


def _with_wrong_weights(transform):
    def broken(self, graph, context):
        graph, changes = transform(self, graph, context)
        weight = max((v for v in graph.constants if v.type.rank), key=lambda v: v.data.size)
        weight.data = weight.data / 2
        return graph, changes

    return broken


def test_text_is_equal_or_not():
    one, other = (np.array([["a", word]], object) for word in "bc")
    assert moves([one], [other]) == [0.5] and moves([one], [one]) == [0.0]
    assert difference([one], [other]).equal_share == 0.5


@pytest.mark.parametrize("passes", ["float", "int8"])
def test_a_model_whose_output_is_text_compiles(passes):
    text = onnx.helper.make_node(
        "Constant",
        [],
        ["t"],
        value=onnx.helper.make_tensor("t", onnx.TensorProto.STRING, [1], [b"a"]),
    )
    conv = sparqc.compile(torch.nn.Conv2d(4, 4, 3), (torch.randn(2, 4, 6, 6),), passes="float")
    conv.model.graph.node.append(text)
    conv.model.graph.output.append(
        onnx.helper.make_tensor_value_info("t", onnx.TensorProto.STRING, [1])
    )
    assert sparqc.compile(conv.model, passes=passes, random_calibration=True).model.graph.output


def test_sizes_that_rounding_moves_are_no_bug():
    few, many = [np.zeros(3, np.float32)], [np.ones(4, np.float32)]
    assert moves(few, many) == [np.inf] and moves(few, few) == [0.0]


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
@pytest.mark.parametrize("passes", ["float", "int8"])
def test_types_that_nothing_computes_in_are_named_with_the_layer(dtype, passes):
    net = torch.nn.Sequential(torch.nn.ReLU(), torch.nn.Conv2d(8, 8, 3)).to(dtype).eval()
    x = torch.randn(2, 8, 6, 6, dtype=dtype)
    word = str(dtype).removeprefix("torch.")
    with pytest.raises(UsageError, match=rf"the weights of 'conv \(1\)' are {word}") as caught:
        sparqc.compile(net, (x,), passes=passes, random_calibration=True)
    assert "model.float()" in caught.value.hint


def test_a_program_of_torch_export_is_told_from_a_damaged_file(tmp_path):
    file = tmp_path / "net.pt2"
    torch.export.save(torch.export.export(torch.nn.Linear(4, 4), (torch.randn(2, 4),)), file)
    with pytest.raises(SparqcError, match=r"net\.pt2 is no ONNX model") as caught:
        sparqc.compile(file)
    assert "sparqc compile FILE.pt2" in caught.value.hint


def test_a_compiled_model_is_one_line_and_has_its_findings():
    torch.manual_seed(0)
    example = (torch.randn(4, 16, 10, 10),)
    done = sparqc.compile(Detections().eval(), example, calibration=[example], passes="all-sparse")
    grades = {finding.grade for finding in done.findings}
    text = repr(done)
    assert text.startswith(f"<Compiled: {len(done.graph)} operators for {done.context.target.name}")
    assert " dB" in text and "\n" not in text and len(text) < 120
    assert all(f"of grade {grade}" in text for grade in grades)
    assert sparqc.compile(Detections().eval(), example, passes="fold, export").findings == ()
