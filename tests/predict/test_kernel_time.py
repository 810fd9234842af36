"""What one kernel takes: at least, and as measured ones do."""

from dataclasses import replace

import pytest

from sparqc.predict.engine import Tensor
from sparqc.predict.kernel_time import kernel_seconds, least_seconds
from tests.predict.kernels import SIMPLE, kernel, with_constants


def conv(channels, results, dtype="i8", rows=None):
    """A 1x1 convolution from so many channels to so many, on images of 100x100."""
    return kernel(
        int8=dtype == "i8", dtype=dtype, macs=10**4 * channels * results,
        inputs=(Tensor("x", dtype, (1, channels, 100, 100)),),
        outputs=(Tensor("y", dtype, (1, results, 100, 100)),),
        weights=(Tensor("w", dtype, (results, rows or channels, 1, 1)),),
    )  # fmt: skip


def test_at_least_it_takes_as_long_as_the_slower_of_memory_and_arithmetic():
    # 3 MB at 1 GB/s are 3 ms; 2 * 10^9 operations at 2 * 10^12 a second 1 ms.
    assert least_seconds(kernel(), SIMPLE, sparse=False) == pytest.approx(3e-3)
    assert least_seconds(kernel(), SIMPLE, sparse=True) == pytest.approx(2.625e-3)
    busy = kernel(macs=16 * 10**9)  # 16 ms dense, 8 ms sparse
    assert least_seconds(busy, SIMPLE, sparse=False) == pytest.approx(16e-3)
    assert least_seconds(busy, SIMPLE, sparse=True) == pytest.approx(8e-3)


def test_measured_ones_begin_later_and_reach_shares_of_the_peaks():
    assert kernel_seconds(kernel(), SIMPLE, sparse=False) == pytest.approx(6e-3)
    assert kernel_seconds(kernel(), with_constants(launch=100), False) == pytest.approx(6.1e-3)
    assert kernel_seconds(kernel(), with_constants(bandwidth=1), False) == pytest.approx(3e-3)
    busy = kernel(macs=16 * 10**9)
    assert kernel_seconds(busy, with_constants(int8=0.8), False) == pytest.approx(20e-3)
    assert kernel_seconds(busy, with_constants(int8_sparse=0.4)) == pytest.approx(20e-3)


def test_float_kernels_run_at_the_rate_and_with_the_share_of_their_type():
    work = kernel(macs=10**10, int8=False, dtype="f16", sparse_pays=False)
    assert least_seconds(work, SIMPLE, sparse=True) == pytest.approx(20e-3)
    assert kernel_seconds(work, with_constants(floats=0.25)) == pytest.approx(80e-3)
    full = replace(work, dtype="f32")
    assert least_seconds(full, SIMPLE, sparse=True) == pytest.approx(40e-3)


def test_only_layers_that_pay_run_sparse_and_none_in_fp32():
    def gains(made, gpu=SIMPLE):
        return kernel_seconds(made, gpu, False) / kernel_seconds(made, gpu, True)

    busy = kernel(macs=10**11)
    assert gains(busy) == pytest.approx(2)
    assert gains(replace(busy, sparse_pays=False)) == 1
    assert gains(replace(busy, int8=False, dtype="f16")) == pytest.approx(2)
    assert gains(replace(busy, int8=False, dtype="f32")) == 1
    without = replace(SIMPLE, generation=replace(SIMPLE.generation, sparse=False))
    assert gains(busy, without) == 1


def test_channels_are_padded_in_memory_and_in_products():
    gpu = with_constants(int8_channels=32, fp16_channels=8)

    def times(*found):
        return kernel_seconds(conv(*found), gpu) / kernel_seconds(conv(*found), SIMPLE)

    # Half of the channels are padding, in the data and in both sides of the weight.
    assert times(16, 16) == pytest.approx(2, rel=1e-3)
    fast = {"bandwidth": 1e6, "int8": 0.5}
    made, wide = conv(16, 16), with_constants(int8_channels=32, fp16_channels=8, **fast)
    products = kernel_seconds(replace(made, sparse_pays=False), wide)
    assert products == pytest.approx(
        4 * kernel_seconds(replace(made, sparse_pays=False), with_constants(**fast)), rel=1e-3
    )
    assert times(4, 32) < 1.2  # an image is padded to 8 channels, not to 32
    assert times(64, 64) == times(12, 8, "f32") == 1
    assert times(12, 16, "f16") == pytest.approx((16 + 16) / (12 + 16), rel=1e-3)


def test_a_depthwise_convolution_multiplies_no_padding():
    fast = {"bandwidth": 1e6}
    deep = replace(conv(16, 16, rows=1), sparse_pays=False)
    padded = with_constants(int8_channels=32, fp16_channels=8, **fast)
    assert kernel_seconds(deep, padded) == kernel_seconds(deep, with_constants(**fast))


def test_few_tiles_leave_sms_without_work():
    made = conv(512, 64)  # 64 * 10^4 results: 313 tiles
    fast = {"bandwidth": 1e6, "tile": 2048}
    few = replace(with_constants(**fast), sms=100, clock=1)
    many = replace(with_constants(**fast), sms=1000, clock=0.1)  # as fast in all
    assert kernel_seconds(made, many) == pytest.approx(kernel_seconds(made, few) * 1000 / 313)


def test_what_has_no_known_size_is_left_out():
    unknown = Tensor("x", "i8", ("batch", 8))
    made = kernel(inputs=(unknown,), outputs=(unknown,), weights=(), macs=None)
    assert least_seconds(made, SIMPLE, sparse=False) == 0
    assert kernel_seconds(made, with_constants(launch=3)) == pytest.approx(3e-6)
