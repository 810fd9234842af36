"""The times of kernels, as trtexec exports them."""

import json
from pathlib import Path

import pytest

from sparqc.errors import SparqcError, UsageError
from sparqc.tools.engine.kernel import Kernel
from sparqc.tools.engine.listings.profile import read_profile, timed

ENTRIES = [
    {"count": 100},
    {"name": "conv", "timeMs": 12.0, "averageMs": 0.12, "medianMs": 0.11, "percentage": 80.0},
    {"name": "pool", "timeMs": 3.0, "averageMs": 0.03, "percentage": 20.0},
    {"name": "pool", "timeMs": 4.0, "averageMs": 0.04, "percentage": 20.0},
]


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "profile.json"
    path.write_text(text)
    return path


def test_the_median_in_microseconds_and_the_average_without_one(tmp_path: Path) -> None:
    times = read_profile(written(tmp_path, json.dumps(ENTRIES)))
    assert [name for name, _ in times] == ["conv", "pool", "pool"]
    assert [t for _, t in times] == pytest.approx([110, 30, 40])


def test_kernels_of_one_name_have_theirs_in_order() -> None:
    kernels = [Kernel(name, "") for name in ("pool", "conv", "copy", "pool", "pool")]
    found = timed(kernels, [("conv", 110.0), ("pool", 30.0), ("pool", 40.0)])
    assert [k.time for k in found] == [30.0, 110.0, None, 40.0, None]


def test_a_profile_of_another_engine_is_refused() -> None:
    with pytest.raises(SparqcError, match="times no kernel of the listing"):
        timed([Kernel("conv", "")], [("other", 1.0)])


@pytest.mark.parametrize(
    "text",
    ["", "[", "{}", "[]", "[3]", '[{"count": 1}]', '[{"name": "a"}]',
     '[{"name": "a", "medianMs": -1}]', '[{"name": "a", "averageMs": NaN}]'],
)  # fmt: skip
def test_anything_else_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(SparqcError):
        read_profile(written(tmp_path, text))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no file"):
        read_profile(tmp_path / "missing.json")
