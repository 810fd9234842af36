"""BatchNorm folded into the weights in front of it, against torch in float64."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from sparqc.errors import SparqcError
from sparqc.numerics.two_four import is_two_four, two_four_mask
from sparqc.passes.natives.fold_batch_norm import fold_batch_norm, fold_batch_norm_transposed

EPSILON = 1e-5


class Statistics:
    """Random parameters of a BatchNorm, with variances over six orders of magnitude."""

    def __init__(self, channels: int, seed: int, affine: bool) -> None:
        rng = np.random.default_rng(seed)
        self.mean = rng.standard_normal(channels).astype(np.float32)
        self.var = (10.0 ** rng.uniform(-4, 2, channels)).astype(np.float32)
        self.scale = rng.standard_normal(channels).astype(np.float32) if affine else None
        self.bias = rng.standard_normal(channels).astype(np.float32) if affine else None

    @property
    def operands(self) -> tuple[np.ndarray | None, ...]:
        return self.scale, self.bias, self.mean, self.var

    def apply(self, x: torch.Tensor) -> torch.Tensor:
        scale, bias, mean, var = map(double, self.operands)
        return F.batch_norm(x, mean, var, scale, bias, eps=EPSILON)


def double(x: np.ndarray | None) -> torch.Tensor | None:
    return None if x is None else torch.from_numpy(x).double()


def normal(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.standard_normal(shape).astype(np.float32)


def assert_close(found: torch.Tensor, expected: torch.Tensor) -> None:
    """At most 1e-5 relative to the largest value of each channel."""
    channels = [axis for axis in range(found.ndim) if axis != 1]
    largest = expected.abs().amax(channels, keepdim=True)
    assert ((found - expected).abs() <= 1e-5 * largest).all()


shapes = {
    "groups": st.sampled_from([1, 2, 3]),
    "inputs": st.integers(1, 3),
    "outputs": st.integers(1, 3),
    "kernel": st.sampled_from([(1,), (3,), (1, 1), (3, 2)]),
    "has_bias": st.booleans(),
    "affine": st.booleans(),
    "seed": st.integers(0, 2**32 - 1),
}


@settings(max_examples=60, deadline=None)
@given(**shapes)
def test_a_convolution_takes_the_batch_norm_in(
    groups: int,
    inputs: int,
    outputs: int,
    kernel: tuple[int, ...],
    has_bias: bool,
    affine: bool,
    seed: int,
) -> None:
    rng = np.random.default_rng(seed)
    w = normal(rng, groups * outputs, inputs, *kernel)
    b = normal(rng, groups * outputs) if has_bias else None
    statistics = Statistics(groups * outputs, seed, affine)
    x = double(normal(rng, 2, groups * inputs, *[5] * len(kernel)))
    conv = F.conv1d if len(kernel) == 1 else F.conv2d

    w2, b2 = fold_batch_norm(w, b, *statistics.operands, EPSILON)

    expected = statistics.apply(conv(x, double(w), double(b), groups=groups))
    assert_close(conv(x, double(w2), double(b2), groups=groups), expected)
    assert w2.dtype == b2.dtype == np.float32


@settings(max_examples=60, deadline=None)
@given(**shapes)
def test_a_transposed_convolution_takes_it_in_group_by_group(
    groups: int,
    inputs: int,
    outputs: int,
    kernel: tuple[int, ...],
    has_bias: bool,
    affine: bool,
    seed: int,
) -> None:
    rng = np.random.default_rng(seed)
    w = normal(rng, groups * inputs, outputs, *kernel)
    b = normal(rng, groups * outputs) if has_bias else None
    statistics = Statistics(groups * outputs, seed, affine)
    x = double(normal(rng, 2, groups * inputs, *[4] * len(kernel)))
    conv = F.conv_transpose1d if len(kernel) == 1 else F.conv_transpose2d

    w2, b2 = fold_batch_norm_transposed(w, b, *statistics.operands, EPSILON, groups)

    expected = statistics.apply(conv(x, double(w), double(b), groups=groups))
    assert_close(conv(x, double(w2), double(b2), groups=groups), expected)


def test_a_linear_layer_takes_it_in() -> None:
    rng = np.random.default_rng(0)
    w, b, statistics = normal(rng, 6, 4), normal(rng, 6), Statistics(6, 0, affine=True)
    x = double(normal(rng, 3, 4))

    w2, b2 = fold_batch_norm(w, b, *statistics.operands, EPSILON)

    expected = statistics.apply(F.linear(x, double(w), double(b)))
    assert_close(F.linear(x, double(w2), double(b2)), expected)


def test_the_result_has_the_dtype_of_the_weight() -> None:
    statistics = Statistics(4, 0, affine=True)
    w = np.ones((4, 2), np.float16)
    assert [a.dtype for a in fold_batch_norm(w, None, *statistics.operands, EPSILON)] == [
        np.float16,
        np.float16,
    ]


def test_a_two_four_weight_stays_one() -> None:
    w = normal(np.random.default_rng(0), 8, 16, 3, 3)
    w *= two_four_mask(w, 1)
    folded, _ = fold_batch_norm(w, None, *Statistics(8, 0, affine=True).operands, EPSILON)
    assert is_two_four(folded, 1)
    assert ((folded == 0) == (w == 0)).all()


@pytest.mark.parametrize("variance", [-1.0, -1e-5, np.nan, np.inf])
def test_a_variance_that_is_none_is_refused(variance: float) -> None:
    var = np.array([1.0, variance, 1.0], np.float64)
    with pytest.raises(SparqcError, match="in channel 1"):
        fold_batch_norm(np.ones((3, 2), np.float32), None, None, None, np.zeros(3), var, 1e-5)


def test_a_result_out_of_range_is_refused() -> None:
    w = np.full((1, 1), 1e38, np.float32)
    with pytest.raises(SparqcError, match=r"weight with BatchNorm folded into it has infinite"):
        fold_batch_norm(w, None, None, None, np.zeros(1), np.zeros(1), 1e-5)


def test_a_mean_that_is_nan_is_refused() -> None:
    w = np.ones((1, 1), np.float32)
    with pytest.raises(SparqcError, match=r"bias with BatchNorm folded into it has NaN"):
        fold_batch_norm(w, None, None, None, np.full(1, np.nan), np.ones(1), 1e-5)
