"""The report says how much data ranges and statistics rest on, and when that is little."""

import pytest

from sparqc.passes.on_data.batches import CalibrationSamples, calibration_batches
from sparqc.passes.reestimate import Reestimation
from sparqc.report.notes.samples import sample_notes
from sparqc.rewrite.facts import Facts
from tests.calibration_models import Residual, context, images

ON = "ranges and statistics were measured on"


@pytest.mark.parametrize(("count", "few"), [(1, True), (63, True), (64, False), (384, False)])
def test_the_number_of_samples_and_whether_it_is_few(count: int, few: bool) -> None:
    (note,) = sample_notes(Facts(CalibrationSamples(count)))
    assert note.startswith(f"{ON} {count} calibration {'sample' if count == 1 else 'samples'}")
    assert (": few" in note) == few


def test_without_data_nothing_is_said() -> None:
    assert list(sample_notes(Facts())) == []


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (Reestimation(), ""),
        (Reestimation(share=0.0), ""),  # the judge says so
        (Reestimation(share=0.5), "mixed with 50 % new ones: new ones alone are not better"),
        (
            Reestimation(share=0.5, few=1),
            "with 50 % new ones: that served 1 calibration sample ",
        ),
        (Reestimation(few=3), "replaced: that served 3 calibration samples best"),
        (Reestimation(share=0.0, few=3), "kept: that served 3 calibration samples best"),
        (Reestimation(share=0.0, reason="'y' is onnx.Loop"), "kept: 'y' is onnx.Loop"),
    ],
)
def test_what_became_of_the_statistics(found: Reestimation, said: str) -> None:
    notes = " ".join(sample_notes(Facts(found)))
    assert said in notes
    assert bool(notes) == bool(said)


@pytest.mark.parametrize(("limit", "count"), [(None, 12), (2, 8)])
def test_samples_are_counted_in_all_batches_that_are_seen(limit: int | None, count: int) -> None:
    found = context(images(3))
    list(calibration_batches(Residual("fx").graph, found, limit))
    assert found.facts[CalibrationSamples].count == count
