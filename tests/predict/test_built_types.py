"""What runs in FP16 though the file has FP32."""

import pytest

from sparqc.predict.built_types import as_built
from sparqc.predict.engine import PredictedEngine, Tensor
from tests.predict.kernels import kernel


def image(name, channels=64, dtype="f32"):
    return Tensor(name, dtype, (1, channels, 8, 8))


def step(reads, writes, int8=False, macs=1, **changes):
    weights = (Tensor("w", "f32", (64, 64, 1, 1)),) if macs else ()
    return kernel(
        inputs=(reads,), outputs=(writes,), int8=int8, macs=macs, weights=weights, **changes
    )


def types(target, *kernels):
    engine = as_built(PredictedEngine(target, kernels, ()))
    return [(k.inputs[0].dtype, k.outputs[0].dtype) for k in engine.kernels]


CHAIN = [step(image(f"x{n}"), image(f"x{n + 1}")) for n in range(3)]


@pytest.mark.parametrize("target", ["tensorrt-10", "tensorrt-8.6"])
def test_between_kernels_a_weakly_typed_network_is_in_fp16(target):
    assert types(target, *CHAIN) == [("f32", "f16"), ("f16", "f16"), ("f16", "f32")]
    made = as_built(PredictedEngine(target, tuple(CHAIN), ())).kernels[1]
    assert (made.dtype, made.weights[0].dtype) == ("f16", "f16")


@pytest.mark.parametrize("target", ["tensorrt-11", "tensorrt-rtx", "unknown"])
def test_a_strongly_typed_one_is_as_the_file_says(target):
    assert types(target, *CHAIN) == [("f32", "f32")] * 3


def test_an_int8_convolution_of_an_image_writes_fp32_and_what_pools_it_too():
    first = step(image("x", 3, "i8"), image("a"), int8=True)
    pool = step(image("a"), image("b"), macs=0)
    q = step(image("b"), image("c", dtype="i8"), macs=0, operators=("q.quantize",))
    found = types("tensorrt-8.6", first, pool, q)
    assert found == [("i8", "f32"), ("f32", "f32"), ("f32", "i8")]
    wide = step(image("x", 16, "i8"), image("a"), int8=True)
    assert types("tensorrt-8.6", wide, pool, q) == [("i8", "f16"), ("f16", "f16"), ("f16", "i8")]
