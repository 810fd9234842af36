"""TensorRT-RTX compiles real graphs here; a build takes a tenth of a second."""

import sys

import numpy as np
import pytest
from onnx import TensorProto

from sparqc.errors import SparqcError, UsageError
from sparqc.ir.input_shapes import ShapeRange
from sparqc.tools.engine.rtx import compile_rtx
from tests.engine_models import Net, float_conv, quantized_conv, quantized_matmul, residual_block


def test_a_quantized_convolution_runs_in_int8():
    report = compile_rtx(quantized_conv(), batch=4)
    assert report.accepted
    assert report.int8_nodes == ["conv"]
    (operator,) = report.operators
    assert (operator.op_type, operator.weight) == ("Conv", "conv_w")
    kernel = next(k for k in report.kernels if k.name == operator.kernel)
    assert kernel.inputs[0].dims == (4, 16, 8, 8)
    assert kernel.inputs[0].dtype == kernel.constants[0].dtype == "int8"


def test_activations_are_counted_for_the_stated_batch():
    report = compile_rtx(quantized_conv(), batch=4)
    elements = 4 * 16 * 8 * 8
    assert report.batch == 4
    assert dict(report.shapes) == {"x": (4, 16, 8, 8)}
    # Quantize: FP32 to INT8; convolve: INT8 to FP32; scale and transpose: FP32 to FP32.
    assert [(k.bytes_read, k.bytes_written) for k in report.kernels] == [
        (4 * elements, elements),
        (elements, 4 * elements),
        (4 * elements, 4 * elements),
    ]
    assert report.bytes_read == 9 * elements
    assert compile_rtx(quantized_conv(), batch=8).bytes_read == 18 * elements


def test_weights_are_counted_once_and_in_int8():
    report = compile_rtx(quantized_conv())
    assert 16 * 16 * 9 <= report.weight_bytes < 2 * 16 * 16 * 9


def test_a_float_convolution_is_named_with_the_reason():
    report = compile_rtx(float_conv())
    assert (report.int8_nodes, report.float_nodes) == ([], ["conv"])
    assert report.operators[0].reason == "its data arrive as float32"


def test_a_convolution_with_scales_along_its_input_channels_is_not_int8():
    net = Net()
    report = compile_rtx(net.model(net.conv("x", "conv", axis=1)))
    assert report.accepted
    assert report.float_nodes == ["conv"]


def test_a_half_quantized_convolution_is_not_int8():
    net = Net()
    weight = net.constant("w", np.ones((16, 16, 3, 3), np.float32))
    report = compile_rtx(net.model(net.op("Conv", net.qdq("x"), weight, name="conv")))
    assert report.float_nodes == ["conv"]


def test_a_matmul_that_dequantizes_inside_its_kernel_is_not_int8():
    assert compile_rtx(quantized_matmul(axis=1)).int8_nodes == ["matmul"]
    report = compile_rtx(quantized_matmul(axis=0))
    # INT8 data and INT8 weights enter one kernel, `CastMulCastCastMulFc`, which adds up in FP32.
    assert report.float_nodes == ["matmul"]
    assert "turns it into float" in report.operators[0].reason


def test_a_gemm_runs_in_int8():
    net = Net(("batch", 64))
    weight = net.weight("w", (32, 64), axis=0)
    report = compile_rtx(net.model(net.op("Gemm", net.qdq("x"), weight, name="fc", transB=1)))
    assert report.int8_nodes == ["fc"]


def test_a_transposed_convolution_stays_float():
    net = Net(("batch", 64, 8, 8))
    weight = net.weight("w", (64, 64, 2, 2), axis=1)
    up = net.op("ConvTranspose", net.qdq("x"), weight, name="up", strides=[2, 2])
    report = compile_rtx(net.model(up))
    assert report.accepted
    assert report.float_nodes == ["up"]


def test_quantizing_the_skip_connection_saves_traffic():
    with_skip, without = (compile_rtx(residual_block(q)) for q in (True, False))
    assert with_skip.int8_nodes == without.int8_nodes == ["conv1", "conv2", "conv3"]
    assert with_skip.bytes_read < without.bytes_read
    assert with_skip.bytes_written < without.bytes_written


def test_asymmetric_quantization_is_refused_in_plain_words():
    net = Net()
    net.constant("point", np.uint8(128))
    report = compile_rtx(net.model(net.qdq("x", zero="point")))
    assert not report.accepted
    (error,) = report.errors
    assert (error.node, error.op_type) == ("quantizelinear_0", "QuantizeLinear")
    assert "only symmetric INT8" in str(error)
    assert "onnxOpImporters" in error.detail
    assert report.kernels == ()


def test_an_unknown_operator_is_refused_by_name():
    net = Net()
    report = compile_rtx(net.model(net.op("Frobnicate", "x")))
    assert str(report.errors[0]) == (
        "Frobnicate node 'frobnicate_0': the compiler does not know this operator"
    )


def test_a_network_that_cannot_have_the_batch_is_refused_by_the_builder():
    net = Net()
    constant = net.constant("four", np.ones((4, 16, 8, 8), np.float32))
    model = net.model(net.op("Add", "x", constant, name="add"))
    report = compile_rtx(model, batch=8)
    assert not report.accepted
    assert report.errors[0].node == "add"
    assert "4 != 8" in str(report.errors[0])
    assert "/_src/" not in str(report.errors[0])


def test_a_batch_that_only_the_usual_shape_has_is_a_warning():
    net = Net()
    shape = net.constant("shape", np.array([4, 2048]))
    ones = net.constant("ones", np.ones((4, 2048), np.float32))
    report = compile_rtx(net.model(net.op("Add", net.op("Reshape", "x", shape), ones)))
    assert report.accepted
    assert any("kMIN" in str(w) for w in report.warnings)


@pytest.mark.parametrize("code", [TensorProto.STRING, TensorProto.UINT16, TensorProto.FLOAT8E5M2])
def test_unknown_types_are_refused_without_a_word_on_the_terminal(code, capfd):
    net = Net(dtype=code)
    on_input = compile_rtx(net.model(net.op("Identity", "x")))
    net = Net()
    in_a_node = compile_rtx(net.model(net.op("Cast", "x", to=code)))
    for report in (on_input, in_a_node):
        assert f"type {TensorProto.DataType.Name(code)}" in str(report.errors[0])
    assert capfd.readouterr() == ("", "")


def test_nothing_of_the_log_reaches_the_terminal(capfd):
    compile_rtx(quantized_conv())
    net = Net()
    compile_rtx(net.model(net.op("Frobnicate", "x")))
    assert capfd.readouterr() == ("", "")


def test_nodes_without_a_name_or_with_the_same_or_an_odd_one_are_told_apart():
    net = Net(("batch", 16, 8, 8))
    value = "x"
    for name in ("", "conv", "conv", "a[0], {b}"):
        weight = net.weight(f"w{len(net.nodes)}", (16, 16, 3, 3))
        value = net.op("Conv", net.qdq(value), weight, name=name, pads=[1] * 4)
    model = net.model(value)
    before = model.SerializeToString()
    report = compile_rtx(model)
    assert report.int8_nodes == ["Conv_conv_3", "conv", "conv#1", "a[0], {b}"]
    assert model.SerializeToString() == before


def test_shapes_can_be_a_range_and_need_no_batch():
    net = Net(("batch", 3, "height", "width"))
    model = net.model(net.conv("x", "conv", (16, 3)))
    with pytest.raises(UsageError, match="neither fixed nor the batch") as caught:
        compile_rtx(model)
    assert "--shape x:1x3x224x224" in str(caught.value)
    sizes = ShapeRange((1, 3, 16, 16), (2, 3, 32, 32), (4, 3, 64, 64))
    report = compile_rtx(model, shapes={"x": sizes})
    assert report.accepted
    assert (report.batch, dict(report.shapes)) == (2, {"x": (2, 3, 32, 32)})
    assert compile_rtx(model, shapes={"x": (2, 3, 32, 32)}).bytes_read == report.bytes_read


def test_an_input_that_is_an_output_too_keeps_its_profile():
    net = Net()
    assert compile_rtx(net.model("x")).accepted


def test_an_unknown_capability_lists_the_known_ones():
    with pytest.raises(UsageError, match="SM90") as caught:
        compile_rtx(quantized_conv(), sm=90)
    assert "75, 80, 86, 89, 120, 121" in str(caught.value)


def test_turing_gets_no_int8_convolutions():
    assert compile_rtx(quantized_conv(), sm=75).float_nodes == ["conv"]
    assert compile_rtx(quantized_conv(), sm=89).int8_nodes == ["conv"]


def test_a_refused_build_does_not_change_the_next_one():
    net = Net(("batch", 64))
    gemm = net.op("MatMul", "x", net.constant("w", np.ones((64, 64), np.float32)))
    assert not compile_rtx(net.model(gemm), sm=75).accepted
    assert compile_rtx(quantized_conv(), sm=86).int8_nodes == ["conv"]


def test_fifty_builds_in_one_process_say_the_same():
    model = quantized_conv(dims=(2, 16, 8, 8))
    first, *others = (compile_rtx(model) for _ in range(50))
    assert all(r.kernels == first.kernels for r in others)
    assert first.batch == 2


def test_the_engine_is_written_whole(tmp_path):
    report = compile_rtx(quantized_conv(), output=tmp_path / "engine.plan")
    assert [f.name for f in tmp_path.iterdir()] == ["engine.plan"]
    assert (tmp_path / "engine.plan").stat().st_size == report.plan_bytes > 0


def test_no_engine_is_written_for_a_refused_model(tmp_path):
    net = Net()
    compile_rtx(net.model(net.op("Frobnicate", "x")), output=tmp_path / "engine.plan")
    assert list(tmp_path.iterdir()) == []


def test_sparsity_can_be_left_out():
    assert compile_rtx(quantized_conv()).sparsity_enabled
    assert not compile_rtx(quantized_conv(), sparse=False).sparsity_enabled


def test_a_missing_library_says_what_to_install(monkeypatch):
    for name in ("tensorrt_rtx", "tensorrt_rtx_bindings"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(SparqcError, match="not installed") as caught:
        compile_rtx(quantized_conv())
    assert "pip install 'sparqc[rtx]'" in str(caught.value)
