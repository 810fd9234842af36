"""Half of the samples choose, the other half says what the choice is worth."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparqc.declared.gpus import gpu
from sparqc.job.options import make_options
from sparqc.tools.model.open_request import open_request
from sparqc.tools.model.request import Request
from sparqc.tools.sensitivity.choice import parse_budget
from sparqc.tools.sensitivity.judge import Judge, MetricChoice
from sparqc.tools.sensitivity.parts import ALL, CHOICE, HELD_OUT, Estimate, mixed, samples_of
from sparqc.tools.sensitivity.result import Result
from sparqc.tools.sensitivity.run import SensitivityOptions, sensitivity
from sparqc.tools.sensitivity.study import study
from sparqc.tools.sensitivity.text import _choices
from tests.sensitive_models import EVALUATE, model_file


@given(first=st.integers(0, 1000), count=st.integers(1, 200))
def test_every_sample_is_in_one_part(first: int, count: int) -> None:
    choice, held_out = CHOICE.picks(first, count), HELD_OUT.picks(first, count)
    assert (choice ^ held_out).all() and ALL.picks(first, count).all()
    assert abs(int(choice.sum()) - int(held_out.sum())) <= 1


def test_outputs_that_are_not_one_row_a_sample_are_taken_whole() -> None:
    batch = [np.zeros((4, 3))]
    assert samples_of(batch, [np.zeros((4, 2))]) == 4
    for outputs in ([np.zeros((5, 2))], [np.zeros((4, 2)), np.zeros(())]):
        assert samples_of(batch, outputs) == 1
        (taken, *_) = mixed(outputs, [y + 1 for y in outputs], np.array([True]))
        assert (taken == 1).all()


def test_the_estimate_is_that_of_the_mean_where_folds_weigh_alike() -> None:
    lost = [0.0, 2.0, 1.0, 3.0, 0.0, 1.0, 2.0, 3.0]
    found = Estimate.of([x * 5 for x in lost], [5.0] * 8)
    assert found.loss == pytest.approx(np.mean(lost))
    assert found.error == pytest.approx(2.365 * np.std(lost, ddof=1) / math.sqrt(8))


def test_the_true_loss_lies_in_the_interval_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    inside = 0
    for _ in range(400):
        wrong = rng.random(8 * 40) < 0.1
        found = Estimate.of([float(fold.sum()) for fold in wrong.reshape(8, 40)], [40.0] * 8)
        inside += abs(found.loss - 0.1) <= found.error
    assert 0.92 <= inside / 400 <= 0.98


@pytest.mark.parametrize("metric", ["error", "snr"])
def test_the_parts_make_up_the_whole(tmp_path: Path, metric: str) -> None:
    """Of a mean over samples, and of noise over signal, exactly."""
    path = model_file(tmp_path, evaluate=EVALUATE)
    opened = open_request(Request(str(path), make_options(passes="all-sparse")))
    network = study(opened.job)
    judge = Judge(network, opened.loaded, MetricChoice(metric, metric == "error"))
    assert judge.samples == (64 if metric == "error" else 24)
    assert judge.splits == (metric == "error")
    whole, *parts = (
        judge.score(network.placed, "all layers", whole=True, part=part)
        for part in (ALL, CHOICE, HELD_OUT)
    )
    assert judge.loss(whole) > 0
    weighted = math.fsum(judge.loss(part) * part.weight for part in parts)
    assert weighted == pytest.approx(judge.loss(whole) * whole.weight, rel=1e-6)
    held_out = judge.held_out(network.placed, "all layers")
    assert held_out.loss == pytest.approx(judge.loss(parts[1]), rel=1e-6)
    assert held_out.error > 0


def chosen(folder: Path, budget: str, metric: str, evaluate: str = EVALUATE) -> Result:
    path = model_file(folder, evaluate=evaluate)
    opened = open_request(Request(str(path), make_options(passes="all-sparse", float="fp32")))
    options = SensitivityOptions(
        MetricChoice(metric, lower_is_better=metric == "error"), gpu("a40"),
        batch=16384, budget=parse_budget(budget),
    )  # fmt: skip
    return sensitivity(opened, options)


def test_a_budget_is_judged_on_the_samples_that_did_not_choose(tmp_path: Path) -> None:
    found = chosen(tmp_path, "0.001", "error")
    assert found.chosen is not None and found.chosen.held_out is not None
    assert found.chosen.reached and found.samples == 64
    held_out = found.chosen.held_out
    assert held_out.limit == 0.001
    assert held_out.estimate.loss == pytest.approx(
        found.scale.loss(found.together["chosen"].score), rel=1e-6
    )
    lines = list(_choices(found))
    assert lines[0].startswith("all layers together, measured on the samples that did not choose")
    assert lines[-1].startswith("  chosen on 32 samples; on the 32 others error 0.0")
    assert (
        found.to_json()["budget"]["held_out"]["low"] < found.to_json()["budget"]["held_out"]["high"]
    )


#: A figure that only the samples that choose see: each second one of the others is never right.
LUCKY = EVALUATE.replace(
    "given = run(x)", "given = run(x); given[1::2] += 0.01 * (given[1::2] != expected[1::2])"
)


def test_a_choice_that_does_not_hold_elsewhere_is_said_to(tmp_path: Path) -> None:
    found = chosen(tmp_path, "0.001", "error", LUCKY)
    assert found.chosen is not None and found.chosen.reached
    assert list(_choices(found))[-1].endswith(
        "beyond the budget there; a smaller --budget spares more"
    )


def test_with_few_samples_all_of_them_choose_and_that_is_said(tmp_path: Path) -> None:
    found = chosen(tmp_path, "60dB", "snr")
    assert found.samples == 24 and found.chosen is not None and found.chosen.held_out is None
    assert any(note.startswith("chosen and judged on the same 24 samples") for note in found.notes)
