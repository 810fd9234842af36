"""What a person does not say about a stage follows from what they say."""

from __future__ import annotations

from typing import Any

import pytest

from sparqc.errors import UsageError
from sparqc.tools.tune.recipe import Recipe, recipes


def both(**wishes: Any) -> tuple[Recipe, Recipe]:
    return recipes(**{"epochs": 10, "optimizer": "sgd", "warmup": 0.1, **wishes})


def test_the_second_stage_is_shorter_and_takes_smaller_steps() -> None:
    sparse, qat = both(ema=0.9, accumulate=4)
    assert (sparse.epochs, qat.epochs) == (10, 2)
    assert (sparse.lr, qat.lr) == (0.01, 0.001)
    assert sparse.weight_decay == qat.weight_decay == 1e-4
    assert sparse.ema == qat.ema == 0.9 and sparse.accumulate == qat.accumulate == 4


def test_an_optimizer_comes_with_its_own_rate_and_decay() -> None:
    sparse, qat = both(qat_optimizer="adamw")
    assert (sparse.optimizer, qat.optimizer) == ("sgd", "adamw")
    assert qat.lr == pytest.approx(5e-5) and qat.weight_decay == 0.01
    sparse, qat = both(optimizer="adamw", lr=0.002, weight_decay=0.0, qat_lr=0.5)
    assert (sparse.lr, qat.lr, qat.weight_decay) == (0.002, 0.5, 0.0)


def test_the_warm_up_of_the_second_stage_fits_into_it() -> None:
    sparse, qat = both(warmup=4)
    assert (sparse.warmup, qat.warmup) == (4, 1)
    assert both(qat_warmup=0.5)[1].warmup == 0.5


@pytest.mark.parametrize(
    ("wishes", "said"),
    [
        ({"warmup": 10}, "warmup is 10; it has to be at least 0, and below the 10 epochs"),
        ({"qat_warmup": 3}, "warmup is 3; it has to be at least 0, and below the 2 epochs"),
        ({"accumulate": 0}, "accumulate is 0; it has to be at least 1"),
        ({"ema": 1.0}, "ema is 1.0; it has to be from 0 to below 1"),
    ],
)
def test_a_schedule_that_does_not_fit_is_refused(wishes: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        both(**wishes)
