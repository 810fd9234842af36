"""Models that are FP16 as they come: their scales are FP16 too, on both roads."""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

import sparqc
from sparqc.errors import UsageError
from sparqc.passes.correct_bias.correct_bias import BiasCorrection


def half_model(bias=True):
    torch.manual_seed(0)
    first, second = nn.Conv2d(16, 32, 3, bias=bias), nn.Conv2d(32, 16, 3, bias=bias)
    return nn.Sequential(first, nn.ReLU(), second).half().eval()


EXAMPLE = torch.randn(4, 16, 8, 8, generator=torch.Generator().manual_seed(1)).half()


@pytest.fixture(scope="module", params=["FX", 17, 20])
def model(request):
    """The network as PyTorch has it, or as an ONNX file of an opset."""
    if request.param == "FX":
        return half_model()
    exported = sparqc.compile(half_model(), (EXAMPLE,), passes="export").model
    exported.opset_import[0].version = request.param  # the operators are the same in both
    onnx.checker.check_model(exported)
    return exported


def compiled(model, **wishes):
    return sparqc.compile(model, (EXAMPLE,), calibration=[(EXAMPLE,)], **wishes)


@pytest.mark.parametrize("passes", ["int8", "int8-accurate", "one-shot"])
def test_scales_have_the_type_of_the_model(model, passes):
    done = compiled(model, passes=passes)
    scales = {node.input[1] for node in done.model.graph.node if "Linear" in node.op_type}
    types = {t.data_type for t in done.model.graph.initializer if t.name in scales}
    assert len(scales) >= 4 and types == {onnx.TensorProto.FLOAT16}
    session = onnxruntime.InferenceSession(done.model.SerializeToString())
    (found,) = session.run(None, {session.get_inputs()[0].name: EXAMPLE.numpy()})
    with torch.no_grad():
        wanted = half_model()(EXAMPLE).numpy().astype(np.float32)
    noise = np.square(found - wanted).sum()
    assert not done.unverified
    # one-shot prunes, and nothing was trained
    assert passes == "one-shot" or 10 * np.log10(np.square(wanted).sum() / noise) > 30


@pytest.mark.parametrize("road", ["fx", "onnx"])
def test_a_bias_that_a_layer_lacked_has_the_type_of_the_model(road):
    model = half_model(bias=False)
    if road == "onnx":
        model = sparqc.compile(model, (EXAMPLE,), passes="export").model
    images = np.random.default_rng(0).standard_normal((64, 16, 8, 8)).astype(np.float16)
    data = [(torch.from_numpy(images[i : i + 4]),) for i in range(0, 64, 4)]
    done = sparqc.compile(model, (EXAMPLE,), calibration=data, passes="int8-accurate")
    rows = done.context.facts[BiasCorrection].layers
    assert any(row.shift or row.reason.startswith("undone") for row in rows)  # it was tried
    onnx.checker.check_model(done.model, full_check=True)
    onnxruntime.InferenceSession(done.model.SerializeToString())


def test_a_target_that_reads_scales_in_fp32_only_says_so_of_a_module():
    with pytest.raises(UsageError, match=r"is f16 in the model, .*'tensorrt-8.6' reads scales in"):
        compiled(half_model(), passes="int8", target="tensorrt-8.6")


def test_such_a_target_has_a_file_in_fp32():
    model = sparqc.compile(half_model(), (EXAMPLE,), passes="export").model
    done = compiled(model, passes="int8", target="tensorrt-8.6")
    scales = {node.input[1] for node in done.model.graph.node if "Linear" in node.op_type}
    types = {t.data_type for t in done.model.graph.initializer if t.name in scales}
    assert types == {onnx.TensorProto.FLOAT}
    ends = [*done.model.graph.input, *done.model.graph.output]
    assert {e.type.tensor_type.elem_type for e in ends} == {onnx.TensorProto.FLOAT16}
