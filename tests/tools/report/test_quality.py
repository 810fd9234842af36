"""The grade of a result, the pass that lost most, and exit codes for it."""

import math

import pytest

from sparqc.errors import SparqcError, UsageError
from sparqc.pipeline.drift import Drift
from sparqc.pipeline.gate import Loss
from sparqc.tools.compile.command import check_quality
from sparqc.tools.report.quality import grade, worst_loss
from tests.tools.report.test_text import REPORT


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
    from dataclasses import replace

    with pytest.raises(UsageError, match="nothing was compared"):
        check_quality(replace(REPORT, difference=None), 10.0, None)
    with pytest.raises(UsageError, match="nothing was evaluated"):
        check_quality(replace(REPORT, metrics=()), None, 10.0)
