"""How long a predicted engine takes at least, and the figures that this rests on."""

from dataclasses import replace

import pytest

from sparqc.errors import UsageError
from sparqc.predict.engine import PredictedEngine, PredictedKernel, Tensor
from sparqc.predict.roofline import Gpu, default_gpus, estimate, gpu, gpus

SIMPLE = Gpu("simple", "", bandwidth=1, int8=2, int8_sparse=4, fp16=1, fp32=0.5, source="none")


def kernel(**changes):
    made = PredictedKernel(
        name="y", kind="conv_act", operators=("nn.conv",), values=("y",), int8=True,
        inputs=(Tensor("x", "i8", (1000, 1000)),), outputs=(Tensor("y", "i8", (1000, 1000)),),
        weights=(Tensor("w", "i8", (1000, 1000)),), macs=10**9, sparse=True,
    )  # fmt: skip
    return replace(made, **changes)


def seconds(*kernels, on=SIMPLE):
    found = estimate(PredictedEngine("any", kernels, ()), on)
    return found.dense, found.sparse, found.memory


def test_a_kernel_takes_as_long_as_the_slower_of_memory_and_arithmetic():
    # 3 MB at 1 GB/s are 3 ms; 2 * 10^9 operations at 2 * 10^12 a second 1 ms.
    assert seconds(kernel()) == pytest.approx((3e-3, 2.625e-3, 3e-3))
    # 16 times as many: 16 ms dense, 8 ms sparse, and nothing waits for memory.
    assert seconds(kernel(macs=16 * 10**9)) == pytest.approx((16e-3, 8e-3, 0))


def test_float_kernels_run_at_the_rate_of_their_type():
    work = {"macs": 10**10, "sparse": False, "int8": False}
    assert seconds(kernel(**work, dtype="f16"))[0] == pytest.approx(20e-3)
    assert seconds(kernel(**work, dtype="f32"))[0] == pytest.approx(40e-3)
    assert seconds(kernel(**work), on=replace(SIMPLE, tf32=1))[0] == pytest.approx(20e-3)


def test_a_gpu_without_sparse_tensor_cores_gains_nothing():
    dense, sparse, _ = seconds(kernel(), on=replace(SIMPLE, int8_sparse=None))
    assert dense == sparse


def test_kernels_add_up():
    assert seconds(kernel(), kernel()) == pytest.approx(tuple(2 * t for t in seconds(kernel())))


def test_what_has_no_known_size_is_left_out():
    unknown = Tensor("x", "i8", ("batch", 8))
    made = kernel(inputs=(unknown,), outputs=(unknown,), weights=(), macs=None)
    assert seconds(made) == (0, 0, 0)


@pytest.mark.parametrize("known", gpus().values(), ids=str)
def test_the_figures_of_the_gpus_are_consistent(known):
    """Sparse is twice dense, INT8 twice FP16, within the rounding of the data sheets."""
    assert known.source
    if known.int8_sparse is not None:
        assert known.int8_sparse == pytest.approx(2 * known.int8, rel=0.01)
    assert known.int8 == pytest.approx(2 * known.fp16, rel=0.02)
    assert known.fp32 < known.fp16 and 100 < known.bandwidth < 10_000


def test_gpus_are_found_by_name():
    assert gpu("A40").bandwidth == 696
    assert default_gpus()
    with pytest.raises(UsageError, match="a40"):
        gpu("a41")
