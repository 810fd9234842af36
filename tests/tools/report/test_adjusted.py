"""The report's sentences on channels that were equalized and biases that were corrected."""

import pytest
import torch
from torch import nn

import sparqc
from sparqc.passes.correct_bias.correct_bias import BiasCorrection, Correction
from sparqc.passes.equalize.equalized import Equalization, Equalized
from sparqc.rewrite.facts import Facts
from sparqc.tools.report.adjusted import adjusted_notes


def group(name: str, measured: float = 0.0, reason: str = "") -> Equalized:
    return Equalized((name,), (name,), 16, measured_db=measured, reason=reason)


def test_nothing_is_said_where_neither_ran() -> None:
    assert not [*adjusted_notes(Facts())]


def test_what_was_gained_and_what_stayed() -> None:
    groups = (group("a", 1.0), group("b", 2.0), group("c", reason="why"), group("d", reason="why"))
    layers = (Correction("a", "a"), Correction("b", "b", reason="it is shared"))
    assert [*adjusted_notes(Facts(Equalization(groups), BiasCorrection(layers)))] == [
        "channels equalized in 2 of 4 groups: the noise of INT8 in what reads them is 1.5 dB "
        "smaller on average, measured on calibration data that is held back",
        "channels of 2 groups not equalized: why",
        "biases corrected in 1 of 2 layers",
        "biases of 1 layer not corrected: it is shared",
    ]


@pytest.mark.parametrize("passes", ["int8-accurate", "int8"])
def test_a_compile_says_so_where_they_ran(passes) -> None:
    net = nn.Sequential(nn.Conv2d(16, 16, 3), nn.ReLU(), nn.Conv2d(16, 16, 3)).eval()
    x = torch.randn(16, 16, 8, 8)
    found = sparqc.compile(net, (x,), passes=passes, calibration=[(x,)])
    notes = " ".join(adjusted_notes(found.context.facts))
    assert ("equalized" in notes) == ("biases" in notes) == (passes == "int8-accurate")
