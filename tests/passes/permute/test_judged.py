"""New orders of channels stay where data held back say so."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from sparqc.ir.graph import Array, Graph
from sparqc.passes.on_data.transaction import Judgements
from sparqc.passes.permute import Permutations, permute_channels
from sparqc.passes.permute.permutation import UNDONE
from sparqc.passes.prune import Prune
from sparqc.rewrite.context import Batch, Context
from tests.calibration_models import context, placing_context
from tests.passes.permute.networks import assert_equal_outputs, graph_of, layers_of, outputs

CHANNELS = 16


class Pair(nn.Module):
    """Half of the channels between two layers have large weights behind them; they lie together, so
    that 2:4 takes half of them, and does not where they alternate with the others.

    With `alive` they say much; without they are 0, so that whatever 2:4 takes of them is no loss,
    and the others are all that counts.
    """

    def __init__(self, alive: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.front, self.norm = nn.Conv2d(4, CHANNELS, 1), nn.BatchNorm2d(CHANNELS)
        self.behind = nn.Conv2d(CHANNELS, 16, 1)
        large = torch.arange(CHANNELS) < CHANNELS // 2
        with torch.no_grad():
            self.behind.weight[:, large] += 4 * self.behind.weight[:, large].sign()
            if not alive:
                self.front.weight[large] = 0
                self.front.bias[large] = -1

    def forward(self, x: Tensor) -> Tensor:
        return self.behind(torch.relu(self.norm(self.front(x))))


def images(count: int = 64) -> Tensor:
    return torch.randn(count, 4, 4, 4, generator=torch.Generator().manual_seed(1))


def batches(count: int = 64) -> list[Batch]:
    return [[part.numpy()] for part in images(count).split(8)]


def graph(alive: bool, level: str) -> Graph:
    found = graph_of(Pair(alive), images(2))
    if level == "onnx":
        found.level, found.native = "onnx", None
    return found


def permuted(found: Graph, given: Context, **options: bool) -> None:
    layers = [layer for layer in layers_of(found) if layer.shape[1] == CHANNELS]
    permute_channels(found, given, layers, **options)


def constants(found: Graph) -> dict[str, Array]:
    return {c.name: c.data for c in found.constants if c.data is not None}


@pytest.fixture(params=["fx", "onnx"])
def level(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_an_order_that_helps_stays(level: str) -> None:
    found, given = graph(True, level), context(batches())
    before = outputs(found, [images(2)])
    permuted(found, given)
    (judgement,) = given.facts[Judgements].passes
    assert judgement.pass_ == "permute" and judgement.samples == 16
    assert len(judgement.kept) == 1 and judgement.after_db > judgement.before_db + 3
    (row,) = given.facts[Permutations].groups
    assert row.reason == "" and row.after > row.before and row.group == judgement.kept[0]
    assert_equal_outputs(before, outputs(found, [images(2)]), rtol=1e-6)


def test_an_order_that_keeps_only_magnitude_leaves_no_byte(level: str) -> None:
    found, given = graph(False, level), context(batches())
    before = constants(found)
    permuted(found, given)
    (judgement,) = given.facts[Judgements].passes
    assert not judgement.kept and judgement.whole_db < -1
    (row,) = given.facts[Permutations].groups
    assert row.reason == UNDONE and row.after == row.before
    assert all(np.array_equal(before[name], data) for name, data in constants(found).items())


def test_always_takes_them_untried(level: str) -> None:
    found, given = graph(False, level), context(batches())
    permuted(found, given, always=True)
    assert Judgements not in given.facts
    (row,) = given.facts[Permutations].groups
    assert row.reason == "" and row.after > row.before


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (context(), "calibration data is missing"),
        (context(batches(16), random_calibration=True), "calibration data is random"),
        (context(batches(16)), "4 calibration samples are held back"),
    ],
)
def test_without_data_to_judge_all_are_taken_and_the_fact_says_so(given: Context, why: str) -> None:
    found = graph(False, "fx")
    permuted(found, given)
    fact = given.facts[Permutations]
    assert fact.untried.startswith(why) and fact.groups[0].reason == ""


@pytest.mark.parametrize(("always", "stays"), [(False, False), (True, True)])
def test_prune_hands_its_option_on(always: bool, stays: bool) -> None:
    found, given = graph(False, "fx"), placing_context(batches())
    Prune(method="permuted", always=always).run(found, given)
    reasons = [row.reason for row in given.facts[Permutations].groups]
    assert ("" in reasons) == stays
