"""The report's sentences on channels that were equalized and biases that were corrected."""

import pytest
import torch
from torch import nn

import sparqc
from sparqc.passes.correct_bias.correct_bias import BiasCorrection, Correction
from sparqc.passes.equalize.equalized import Equalization, Equalized
from sparqc.passes.on_data.transaction import Judgement, Judgements
from sparqc.report.notes.adjusted import adjusted_notes, judged_notes
from sparqc.rewrite.facts import Facts


def group(name: str, reason: str = "") -> Equalized:
    return Equalized((name,), (name,), 16, reason=reason)


def test_nothing_is_said_where_neither_ran() -> None:
    assert not [*adjusted_notes(Facts())]


def test_what_was_gained_and_what_stayed() -> None:
    groups = (group("a"), group("b"), group("c", "why"), group("d", "why"))
    layers = (Correction("a", "a"), Correction("b", "b", reason="it is shared"))
    assert [*adjusted_notes(Facts(Equalization(groups), BiasCorrection(layers)))] == [
        "channels equalized in 2 of 4 groups",
        "channels of 2 groups not equalized: why",
        "biases corrected in 1 of 2 layers",
        "biases of 1 layer not corrected: it is shared",
    ]


KEPT = Judgement("a", 16, ("x", "y"), (), 20.0, 21.25, 1.25, 0.5, 1)
PART = Judgement("b", 16, ("x",), ("y", "z"), 20.0, 21.25, -0.5, 0.75, 3)
UNDONE = Judgement("c", 16, (), ("x",), 20.0, 20.0, -1.5, 0.5, 1)
FEW = Judgement("d", 2, reason="2 calibration samples are few")


def test_what_the_judge_said() -> None:
    assert [*judged_notes(Facts(Judgements((KEPT, PART, UNDONE, FEW, Judgement("e")))))] == [
        "a was kept everywhere: 20.0 -> 21.2 dB on 16 calibration samples that it did not use",
        "b was kept in 1 of 3 places: 20.0 -> 21.2 dB on 16 calibration samples that it did not "
        "use (the whole of it -0.5 dB, give or take 0.8)",
        "c was undone: the outputs come no nearer on 16 calibration samples that it did not use "
        "(the whole of it -1.5 dB, give or take 0.5)",
        "d did nothing: 2 calibration samples are few",
    ]


def test_one_reason_is_said_once() -> None:
    """For all passes that it stands against, and not for each group again."""
    why = "2 calibration samples are few"
    facts = Facts(
        Judgements((FEW, Judgement("e", reason=why))),
        Equalization((group("v", why), group("w", "other"))),
    )
    assert [*judged_notes(facts)] == [f"d, e did nothing: {why}"]
    assert [*adjusted_notes(facts)] == ["channels of 1 group not equalized: other"]


@pytest.mark.parametrize("passes", ["int8-accurate", "int8"])
def test_a_compile_says_so_where_they_ran(passes) -> None:
    net = nn.Sequential(nn.Conv2d(16, 16, 3), nn.ReLU(), nn.Conv2d(16, 16, 3)).eval()
    x = torch.randn(64, 16, 8, 8)
    found = sparqc.compile(net, (x,), passes=passes, calibration=[(x,)])
    notes = " ".join(adjusted_notes(found.context.facts))
    assert ("equalized" in notes) == ("biases" in notes) == (passes == "int8-accurate")
