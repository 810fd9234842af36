"""The grade of a result, the pass that lost most, and exit codes for it."""

import math
from dataclasses import replace

import pytest

from sparqc.errors import SparqcError, UsageError
from sparqc.pipeline.drift import Drift
from sparqc.pipeline.gate import Loss
from sparqc.report.quality import Quality, grade, roads_from, worst_loss
from sparqc.tools.compile.command import check_quality
from tests.report.test_text import REPORT, text


@pytest.mark.parametrize(
    ("snr", "word"), [(math.inf, "good"), (15, "good"), (14.9, "poor"), (5, "poor"), (-3, "ruined")]
)
def test_a_ratio_has_a_word(snr, word):
    assert grade(snr) == word


def losses(**behind):
    return [Loss(name, Drift(False, 0.1, snr)) for name, snr in behind.items()]


@pytest.mark.parametrize(
    ("behind", "worst"),
    [
        ({"prune": 4.0, "reestimate": 16.0, "calibrate": 15.5}, "prune"),
        ({"prune": 30.0, "calibrate": 8.0}, "calibrate"),
        ({"calibrate": math.inf}, None),
        ({}, None),
    ],
)
def test_the_pass_that_added_most_noise_is_the_worst(behind, worst):
    found = worst_loss(losses(**behind))
    assert (found.pass_ if found else None) == worst


def test_a_result_below_what_is_allowed_fails():
    check_quality(REPORT, 30.0, 91.0)
    with pytest.raises(SparqcError, match=r"--fail-under 31: the outputs have 30\.0 dB"):
        check_quality(REPORT, 31.0, None)
    with pytest.raises(SparqcError, match=r"--fail-under-metric 91\.5: top-1 is 91\.25"):
        check_quality(REPORT, None, 91.5)


def test_what_was_not_measured_cannot_be_asked_for():
    with pytest.raises(UsageError, match="nothing was compared"):
        check_quality(replace(REPORT, difference=None), 10.0, None)
    with pytest.raises(UsageError, match="nothing was evaluated"):
        check_quality(replace(REPORT, metrics=()), None, 10.0)


def test_what_int8_alone_would_give_is_predicted_from_what_rounding_added():
    # 0.1 of the power behind prune, 0.11 behind calibrate: rounding alone has 0.01.
    found = list(roads_from(losses(prune=10.0, calibrate=-10 * math.log10(0.11))))
    assert [road.command for road in found] == [
        "sparqc tune",
        "sparqc sensitivity",
        "--passes int8",
    ]
    assert all(road.snr_db == pytest.approx(20) for road in found)
    assert "about 20 dB" in found[-1].gain


def test_where_rounding_cannot_be_told_from_pruning_nothing_is_predicted():
    found = list(roads_from(losses(prune=-3.0, calibrate=-2.9)))
    assert all(road.snr_db is None for road in found) and "not predicted" in found[-1].gain


@pytest.mark.parametrize("grade", ["poor", "ruined"])
def test_a_result_that_is_not_good_says_so_first(grade):
    roads = tuple(roads_from(losses(prune=10.0, calibrate=9.0)))
    shown = text(replace(REPORT, quality=Quality(grade, roads=roads)))
    first, *rest = shown.splitlines()
    assert first.startswith(f"result    {grade.upper()}: 30.0 dB")
    assert rest[0].split()[:3] == ["try", "sparqc", "tune:"]
    assert "--passes int8" in shown
    assert text(replace(REPORT, quality=Quality("good"))).startswith("model")
