"""Signal-to-noise ratio and outliers of what a quantizer sees, against the data itself."""

import math

import numpy as np
import pytest

from sparqc.ir.graph import Array
from sparqc.passes.calibrate.calibrators import Max, MeanSquaredError
from sparqc.passes.calibrate.histogram import Histogram
from sparqc.passes.calibrate.range_quality import (
    outliers_of_array,
    outliers_of_histogram,
    snr_of_array,
    snr_of_histogram,
)


def activations(kind: str) -> Array:
    rng = np.random.default_rng(0)
    x = {
        "normal": lambda: rng.standard_normal(100_000),
        "relu": lambda: np.maximum(rng.standard_normal(100_000), 0),
        "laplace": lambda: rng.laplace(size=100_000),
        "outlier": lambda: np.append(rng.standard_normal(100_000), 200.0),
    }[kind]()
    return x.astype(np.float32)


def histogram(x: Array) -> Histogram:
    seen = Histogram()
    seen.add(x)
    return seen


def snr(x: Array, step: float) -> float:
    """As onnxruntime would compute it, element by element."""
    codes = np.clip(np.rint(x.astype(np.float64) / step), -127, 127)
    return float(10 * np.log10((x.astype(np.float64) ** 2).sum() / ((x - codes * step) ** 2).sum()))


@pytest.mark.parametrize("kind", ["normal", "relu", "laplace", "outlier"])
@pytest.mark.parametrize("method", [Max(), MeanSquaredError()])
def test_the_histogram_gives_the_ratio_of_the_data(
    kind: str, method: Max | MeanSquaredError
) -> None:
    x = activations(kind)
    seen = histogram(x)
    step = method.amax(seen) / 127
    assert snr_of_histogram(seen, step) == pytest.approx(snr(x, step), abs=0.25)


def test_six_decibels_a_bit() -> None:
    """A uniform value over the whole range: 127 levels on each side (20 log10(2 * 127) dB)."""
    x = np.random.default_rng(0).uniform(-1, 1, 200_000).astype(np.float32)
    assert snr_of_histogram(histogram(x), 1 / 127) == pytest.approx(48.1, abs=0.1)


def test_a_weight_has_a_step_for_each_channel() -> None:
    w = np.random.default_rng(0).standard_normal((4, 100)) * np.array([[1], [10], [0.1], [3]])
    steps = np.abs(w).max(1) / 127
    expected = np.concatenate([np.rint(row / s) * s for row, s in zip(w, steps, strict=True)])
    noise = ((w.reshape(-1) - expected) ** 2).sum()
    assert snr_of_array(w, steps, 0) == pytest.approx(10 * math.log10((w**2).sum() / noise))
    assert snr_of_array(w.T, steps, 1) == pytest.approx(snr_of_array(w, steps, 0))
    assert snr_of_array(w, steps.max(), None) < snr_of_array(w, steps, 0)  # type: ignore[operator]


def test_codes_that_are_exact_have_no_noise() -> None:
    assert snr_of_array(np.array([1.0, -127.0, 0.0]), np.array(1.0), None) == math.inf


def test_nothing_but_zeros() -> None:
    zeros = np.zeros(5, np.float32)
    assert snr_of_array(zeros, np.array(1.0), None) is None
    assert snr_of_histogram(histogram(zeros), 1.0) is None
    assert outliers_of_histogram(histogram(zeros)) == 1.0
    assert outliers_of_array(zeros) == 1.0


@pytest.mark.parametrize("kind", ["normal", "relu", "laplace", "outlier"])
def test_outliers_are_measured_against_what_nearly_all_stay_below(kind: str) -> None:
    x = activations(kind)
    expected = np.abs(x).max() / np.quantile(np.abs(x), 0.9999)
    assert outliers_of_array(x) == pytest.approx(expected)
    found = outliers_of_histogram(histogram(x))
    assert 0.97 * expected <= found <= expected * 1.001
    assert (found > 4) == (kind == "outlier")
