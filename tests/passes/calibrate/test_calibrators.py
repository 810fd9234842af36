"""Ranges from histograms, against slow and obvious references."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparqc.passes.calibrate.calibrators import (
    Calibrator,
    Entropy,
    Max,
    MeanSquaredError,
    Percentile,
    _divergence,
    _ranges,
    _squared_error,
    calibrator,
)
from sparqc.passes.calibrate.histogram import Histogram

EVERY: list[Calibrator] = [Max(), Percentile(), Entropy(), MeanSquaredError()]


def histogram(x: np.ndarray) -> Histogram:
    result = Histogram()
    result.add(x.astype(np.float32))
    return result


def activations(kind: str, size: int = 200_000) -> np.ndarray:
    """What layers give: symmetric, behind a ReLU, with heavy tails, with one outlier."""
    rng = np.random.default_rng(0)
    x = {
        "normal": lambda: rng.standard_normal(size),
        "relu": lambda: np.maximum(rng.standard_normal(size), 0),
        "laplace": lambda: rng.laplace(size=size),
        "outlier": lambda: np.append(rng.standard_normal(size), 60.0),
        "uniform": lambda: rng.uniform(-1, 1, size),
    }[kind]()
    return x.astype(np.float32)


def divergence(counts: np.ndarray, bins: int) -> float:
    """KL divergence of one range, bin by bin, as pytorch-quantization computes it."""
    group = np.digitize(np.arange(bins), np.linspace(0, bins, 129)) - 1
    q = np.zeros(bins)
    for level in range(128):
        members = (group == level) & (counts[:bins] > 0)
        if members.any():
            q[members] = counts[:bins][group == level].sum() / members.sum()
    p = counts[:bins].astype(float)
    p[-1] += counts[bins:].sum()
    p, q = p / p.sum(), q / max(q.sum(), 1)
    if (q[p > 0] == 0).any():
        return np.inf
    return float((p[p > 0] * np.log(p[p > 0] / q[p > 0])).sum())


def squared_error(counts: np.ndarray, bins: int) -> float:
    """Every bin's center quantized to the levels 0..127 of one range."""
    centers = np.arange(counts.size) + 0.5
    step = bins / 127
    codes = np.minimum(np.floor(centers / step + 0.5), 127)
    return float((counts * (codes * step - centers) ** 2).sum())


counted = st.builds(
    lambda seed, size, density: (
        np.random.default_rng(seed).poisson(density * np.exp(-np.arange(size) / size * 4))
        + np.eye(1, size, size - 1, dtype=int)[0]
    ).astype(float),
    st.integers(0, 2**32 - 1),
    st.integers(130, 400),
    st.sampled_from([0.05, 1.0, 50.0]),
)


@settings(max_examples=25, deadline=None)
@given(counted)
def test_the_divergence_is_the_published_one(counts: np.ndarray) -> None:
    ranges = _ranges(counts.size)
    found = _divergence(counts, ranges)
    expected = np.array([divergence(counts, int(bins)) for bins in ranges])
    finite = np.isfinite(expected)
    assert (np.isfinite(found) == finite).all()
    np.testing.assert_allclose(found[finite], expected[finite], rtol=1e-9, atol=1e-12)


@settings(max_examples=25, deadline=None)
@given(counted)
def test_the_squared_error_is_that_of_quantizing_every_bin(counts: np.ndarray) -> None:
    ranges = _ranges(counts.size)
    expected = [squared_error(counts, int(bins)) for bins in ranges]
    np.testing.assert_allclose(_squared_error(counts, ranges), expected, rtol=1e-9)


def test_entropy_chooses_the_published_range_within_one_bin() -> None:
    found = histogram(activations("laplace", 20_000))
    counts = found.counts[: found.occupied].astype(float)
    counts[0] = counts[1]
    chosen = round(Entropy().amax(found) / found.width)
    near = [divergence(counts, bins) for bins in range(chosen - 1, chosen + 2)]
    others = [divergence(counts, bins) for bins in range(128, found.occupied + 1, 61)]
    assert min(near) <= min(others)


@pytest.mark.parametrize("kind", ["normal", "relu", "laplace", "outlier"])
def test_the_mean_squared_error_on_the_data_itself_is_the_smallest(kind: str) -> None:
    x = activations(kind)

    def error(amax: float) -> float:
        step = amax / 127
        return float(np.mean((np.clip(np.rint(x / step), -127, 127) * step - x) ** 2))

    amax = MeanSquaredError().amax(histogram(x))
    grid = np.linspace(0.1, 1.0, 91) * np.abs(x).max()
    assert error(amax) <= 1.01 * min(map(error, grid))


@pytest.mark.parametrize("kind", ["normal", "relu", "laplace", "outlier", "uniform"])
@pytest.mark.parametrize("percentile", [90.0, 99.9, 99.99, 100.0])
def test_the_percentile_is_numpys_within_one_bin(kind: str, percentile: float) -> None:
    x = activations(kind)
    found = histogram(x)
    expected = np.percentile(np.abs(x), percentile, method="inverted_cdf")
    assert 0 <= Percentile(percentile).amax(found) - expected <= found.width
    assert found.share_above(Percentile(percentile).amax(found)) <= 1 - percentile / 100 + 1e-12


def test_the_maximum_saturates_nothing() -> None:
    x = activations("outlier")
    assert Max().amax(histogram(x)) == 60.0


def test_one_outlier_does_not_set_the_range() -> None:
    found = histogram(activations("outlier"))
    for method in (Percentile(), Entropy(), MeanSquaredError()):
        assert 3.0 < method.amax(found) < 30.0


def test_a_flat_distribution_keeps_its_range() -> None:
    found = histogram(activations("uniform"))
    for method in EVERY:
        assert method.amax(found) > 0.98


@pytest.mark.parametrize("method", EVERY)
def test_the_range_is_positive_and_at_most_the_maximum(method: Calibrator) -> None:
    for x in (np.ones(1), np.array([1e-30, 1.0]), np.array([3.0, 0, 0, 0]), activations("relu")):
        found = histogram(x)
        assert 0 < method.amax(found) <= found.maximum


@pytest.mark.parametrize("method", EVERY)
def test_zeros_have_no_range(method: Calibrator) -> None:
    assert method.amax(histogram(np.zeros(10))) == 0.0


@pytest.mark.parametrize("method", EVERY)
def test_ranges_scale_with_the_data(method: Calibrator) -> None:
    x = activations("laplace", 20_000)
    assert method.amax(histogram(x * 8)) == 8 * method.amax(histogram(x))


def test_calibrators_by_name() -> None:
    assert calibrator("percentile", 99.9) == Percentile(99.9)
    assert [calibrator(m) for m in ("max", "percentile", "entropy", "mse")] == EVERY  # type: ignore[arg-type]


@pytest.mark.parametrize("percentile", [0.0, -1.0, 100.5, float("nan")])
def test_a_percentile_that_is_none(percentile: float) -> None:
    with pytest.raises(ValueError, match="is not above 0 and at most 100"):
        calibrator("percentile", percentile)


def test_a_method_that_does_not_exist() -> None:
    with pytest.raises(ValueError, match="no method 'kl'; known: max, percentile, entropy, mse"):
        calibrator("kl")  # type: ignore[arg-type]
