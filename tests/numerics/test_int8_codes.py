"""INT8 codes and scales of weights, against onnxruntime's QuantizeLinear."""

import numpy as np
import onnxruntime as ort
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from onnx import TensorProto, helper

from sparqc.errors import SparqcError
from sparqc.numerics.int8_codes import (
    DEAD_SCALE,
    channel_amax,
    quantize_codes,
    safe_scale,
    weight_scale,
)


def quantize_linear(x: np.ndarray, scale: np.ndarray, axis: int | None) -> np.ndarray:
    """What onnxruntime makes of it."""
    zero = np.zeros(scale.shape, np.int8)
    graph = helper.make_graph(
        [helper.make_node("QuantizeLinear", ["x", "s", "z"], ["y"], axis=axis or 0)],
        "quantize",
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, x.shape),
            helper.make_tensor_value_info("s", TensorProto.FLOAT, scale.shape),
            helper.make_tensor_value_info("z", TensorProto.INT8, zero.shape),
        ],
        [helper.make_tensor_value_info("y", TensorProto.INT8, x.shape)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (codes,) = session.run(None, {"x": x, "s": scale, "z": zero})
    return codes


@pytest.mark.parametrize("axis", [None, 0, 1, 2])
def test_codes_are_those_of_onnxruntime_to_the_bit(axis: int | None) -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((32, 48, 96)).astype(np.float32) * 3
    channels = () if axis is None else (x.shape[axis],)
    scale = rng.uniform(0.005, 0.05, channels).astype(np.float32)
    codes = quantize_codes(x, scale, axis, -128, 127)
    assert codes.dtype == np.int8
    assert (codes == quantize_linear(x, scale, axis)).all()


def test_ties_go_to_the_even_code_and_the_ends_saturate() -> None:
    x = np.array([0.5, 1.5, 2.5, -0.5, -1.5, -2.5, 126.5, 127.5, 1e30, -1e30], np.float32)
    codes = quantize_codes(x, np.float32(1.0), None, -127, 127)
    assert codes.tolist() == [0, 2, 2, 0, -2, -2, 126, 127, 127, -127]
    assert (quantize_codes(x, np.float32(1), None, -128, 127) == quantize_linear(
        x, np.array(1, np.float32), None
    )).all()  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(
    w=hnp.arrays(
        np.float32,
        hnp.array_shapes(min_dims=2, max_dims=4, max_side=5),
        elements=st.floats(-1e3, 1e3, width=32),
    ),
    axis=st.sampled_from([None, 0, 1, -1]),
)
def test_codes_are_within_half_a_step_of_the_weight(w: np.ndarray, axis: int | None) -> None:
    scale = weight_scale(w, axis)
    codes = quantize_codes(w, scale, axis, -127, 127)
    steps = scale if axis is None else np.moveaxis(
        np.broadcast_to(scale, (*np.delete(w.shape, axis), len(scale))), -1, axis
    )  # fmt: skip
    assert scale.dtype == np.float32
    assert (scale >= np.finfo(np.float32).smallest_normal).all()
    assert (np.abs(codes * np.float64(steps) - w) <= 0.5001 * steps).all()
    assert ((codes == 0) | (w != 0)).all()  # zeros stay zeros: 2:4 stays 2:4


def test_the_largest_weight_of_each_channel_gets_the_largest_code() -> None:
    w = np.random.default_rng(0).standard_normal((16, 8, 3, 3)).astype(np.float32)
    codes = quantize_codes(w, weight_scale(w, 0), 0, -127, 127)
    assert (np.abs(codes).max(axis=(1, 2, 3)) == 127).all()
    assert (channel_amax(w, 0) == np.abs(w).max(axis=(1, 2, 3))).all()
    assert channel_amax(w, None) == np.abs(w).max()


def test_a_dead_channel_gets_a_scale_that_survives_half_precision() -> None:
    w = np.array([[0, 0], [1, -2], [1e-42, 0]], np.float32)
    assert weight_scale(w, 0).tolist() == [DEAD_SCALE, np.float32(2 / 127), DEAD_SCALE]
    assert np.float16(DEAD_SCALE) == np.finfo(np.float16).smallest_normal
    assert not quantize_codes(w, weight_scale(w, 0), 0, -127, 127)[[0, 2]].any()


def test_a_half_precision_scale_is_never_subnormal() -> None:
    assert safe_scale(np.array([1e-6, 0.5]), np.float16).tolist() == [DEAD_SCALE, 0.5]


@pytest.mark.parametrize("bad", [np.nan, -np.inf])
def test_what_is_no_number_is_refused(bad: float) -> None:
    w = np.array([[1.0, bad]], np.float32)
    with pytest.raises(SparqcError, match="the weight to quantize has"):
        weight_scale(w, 0)
    with pytest.raises(SparqcError, match="the tensor to quantize has"):
        quantize_codes(w, np.float32(1), None, -127, 127)


@given(st.lists(st.floats(2**-30, 2**17, width=32), min_size=1, max_size=8))
def test_scales_that_fp16_holds_clip_nothing(scales: list[float]) -> None:
    measured = np.array(scales, np.float32)
    found = safe_scale(measured, in_half=True)
    assert found.dtype == np.float32 and (found >= measured).all()
    if np.sqrt(np.square(measured, dtype=np.float64).mean()) < DEAD_SCALE:
        assert np.array_equal(found, measured)  # FP16 would be too coarse for all of it
        return
    held = measured <= np.finfo(np.float16).max
    assert np.array_equal(found.astype(np.float16).astype(np.float32)[held], found[held])
    assert np.array_equal(found[~held], measured[~held])
    # The next number of FP16, a part in 1024 away, or its least normal one.
    assert (found <= np.maximum(measured * (1 + 2.0**-10), DEAD_SCALE)).all()


def test_a_small_channel_among_others_gets_the_least_scale_of_fp16() -> None:
    found = safe_scale(np.array([0.01, 1e-7, 0.0]), in_half=True)
    assert 0.01 <= found[0] == np.float16(found[0])
    assert found[1] == found[2] == DEAD_SCALE
