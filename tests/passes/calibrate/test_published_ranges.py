"""Ranges against what published calibrators choose for the same arrays (published/record.py)."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from sparqc.ir.graph import Array
from sparqc.passes.calibrate.calibrators import Method, calibrator
from sparqc.passes.calibrate.histogram import BINS, Histogram

HERE = Path(__file__).parent / "published"
sys.path.insert(0, str(HERE))

from signals import TOP, signals  # noqa: E402

SIGNALS = signals()
PUBLISHED = json.loads((HERE / "ranges.json").read_text())


def ours(name: str, method: Method, percentile: float = 99.99) -> float:
    seen = Histogram()
    seen.add(SIGNALS[name])
    assert seen.width == 1 / BINS  # the bins of 4096 over [0, 1]
    return calibrator(method, percentile).amax(seen)


def theirs(tool: str, name: str, what: str) -> float:
    return float(PUBLISHED[tool]["ranges"][name][what])


def squared_error(x: Array, amax: float) -> float:
    step = amax / 127
    return float(np.mean((np.clip(np.rint(x / step), -127, 127) * step - x) ** 2))


def test_the_versions_are_named() -> None:
    assert sorted(PUBLISHED) == ["modelopt", "onnxruntime", "torch.ao"]
    assert all(len(tool["version"].split()) == 2 for tool in PUBLISHED.values())


@pytest.mark.parametrize("tool", ["modelopt", "onnxruntime", "torch.ao"])
@pytest.mark.parametrize("name", SIGNALS)
def test_max_is_that_of_all(tool: str, name: str) -> None:
    assert ours(name, "max") == pytest.approx(theirs(tool, name, "max"), rel=1e-6)


@pytest.mark.parametrize("name", SIGNALS)
@pytest.mark.parametrize("percentile", [99.003, 99.903, 99.987])
def test_a_percentile_is_theirs_to_a_bin(name: str, percentile: float) -> None:
    """They take the lower edge of the bin that it falls into, and we the upper one, so that the
    share above is never larger than asked for; for bins of another width the two widths add up."""
    found = ours(name, "percentile", percentile)
    same = theirs("modelopt", name, f"percentile {percentile} of 4096")
    assert found - same == pytest.approx(TOP / BINS, rel=1e-2)
    for tool in ("modelopt", "onnxruntime"):
        other = theirs(tool, name, f"percentile {percentile} of 2048")
        assert abs(found - other) <= 1 / BINS + 1 / 2048


@pytest.mark.parametrize("name", SIGNALS)
def test_entropy_is_theirs_where_the_bins_are_the_same(name: str) -> None:
    """The same candidates, and of equal divergences the widest range: the same bin wins."""
    assert ours(name, "entropy") == pytest.approx(
        theirs("modelopt", name, "entropy of 4096"), abs=1e-6
    )


@pytest.mark.parametrize("name", SIGNALS)
def test_mse_is_theirs_where_the_bins_are_the_same(name: str) -> None:
    """They let the range end in the center of a bin, and we at its upper edge; the minimum is
    flat."""
    found, other = ours(name, "mse"), theirs("modelopt", name, "mse of 4096")
    assert found == pytest.approx(other, rel=0.03)
    assert squared_error(SIGNALS[name], found) <= 1.005 * squared_error(SIGNALS[name], other)


@pytest.mark.parametrize("name", SIGNALS)
@pytest.mark.parametrize(("tool", "what"), [("modelopt", "mse of 2048"), ("torch.ao", "mse")])
def test_the_error_of_our_mse_is_no_larger_than_theirs(name: str, tool: str, what: str) -> None:
    """torch.ao's histogram observer searches the least squared error too, for 255 levels of which
    127.5 lie on each side."""
    found = squared_error(SIGNALS[name], ours(name, "mse"))
    assert found <= 1.01 * squared_error(SIGNALS[name], theirs(tool, name, what))
