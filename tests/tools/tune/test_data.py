"""Training batches: the same ones for the same epoch, and shared among ranks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from sparqc.errors import SparqcError
from sparqc.ranks.ranks import ALONE, Ranks
from sparqc.tools.model.user_code import UserCode
from sparqc.tools.tune.data import TrainingData

HERE = Path(__file__).parent
CODE = UserCode("model.py", HERE, HERE, first=False)


def data(function: Callable[..., Any], ranks: Ranks = ALONE, inputs: int = 1) -> TrainingData:
    return TrainingData(CODE, function, "training() of model.py", inputs, seed=3, ranks=ranks)


def shuffled() -> Iterator[tuple[Tensor, Tensor]]:
    for index in torch.randperm(20).split(8):
        yield index[:, None].float() + torch.rand(len(index), 1) / 2, index


def test_an_epoch_has_the_same_batches_again_and_the_next_one_others() -> None:
    one, again, following = (list(data(shuffled).epoch(n)) for n in (0, 0, 1))
    for a, b in zip(one, again, strict=True):
        assert torch.equal(a.inputs[0], b.inputs[0]) and a.hash() == b.hash()
    assert [b.hash() for b in one] != [b.hash() for b in following]


def test_what_the_loop_draws_in_between_changes_nothing() -> None:
    def hashes(disturb: bool) -> list[str]:
        found = []
        for batch in data(shuffled).epoch(2):
            found.append(batch.hash())
            if disturb:
                torch.rand(7)
        return found

    assert hashes(True) == hashes(False)


def test_a_data_loader_says_how_long_it_is_without_being_run() -> None:
    x = torch.arange(20.0)[:, None]

    def training() -> DataLoader[Any]:
        return DataLoader(TensorDataset(x, x), batch_size=8, shuffle=True)

    assert data(training).count() == 3
    assert data(shuffled).count() == 3  # of a generator: by going through it
    one, two = ([b.hash() for b in data(training).epoch(0)] for _ in range(2))
    assert one == two


def test_ranks_share_every_batch() -> None:
    whole = list(data(shuffled).epoch(0))
    parts = [list(data(shuffled, Ranks(i, 3)).epoch(0)) for i in range(3)]
    for index, batch in enumerate(whole):
        found = torch.cat([part[index].inputs[0] for part in parts])
        assert torch.equal(found, batch.inputs[0])


def test_too_few_samples_go_to_every_rank() -> None:
    def training() -> Iterator[Tensor]:
        yield torch.ones(2, 1)

    assert [b.size for b in data(training, Ranks(1, 3)).epoch(0)] == [2]


def test_a_function_may_share_by_itself_and_ask_for_the_epoch() -> None:
    def training(rank: int, world: int, epoch: int) -> Iterator[Tensor]:
        yield torch.full((4, 1), 100.0 * epoch + 10 * world + rank)

    (batch,) = data(training, Ranks(1, 2)).epoch(7)
    assert batch.size == 4 and batch.target is None
    assert batch.inputs[0][0].item() == 721


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        ((torch.ones(2), "label"), "gave (Tensor, str) as batch 1"),
        (3, "gave int as batch 1"),
        ((torch.ones(2),) * 3, "gave 3 tensors as batch 1"),
        ((torch.ones(0, 4),), "gave an empty batch 1"),
    ],
)
def test_what_is_no_batch_is_refused(batch: object, message: str) -> None:
    with pytest.raises(SparqcError) as caught:
        list(data(lambda: [batch]).epoch(0))
    assert message in str(caught.value)


def test_what_the_function_raises_is_said_with_its_place() -> None:
    def training() -> Iterator[Tensor]:
        yield torch.ones(2, 1)
        raise KeyError("images")

    with pytest.raises(SparqcError, match=r"training\(\) of model.py raised KeyError: 'images'"):
        list(data(training).epoch(0))


def test_an_empty_epoch_is_refused() -> None:
    with pytest.raises(SparqcError, match=r"training\(\) of model.py gave no batches"):
        data(lambda: []).count()


def test_tensors_of_other_lengths_cannot_be_shared() -> None:
    def training() -> Iterator[tuple[Tensor, Tensor]]:
        yield torch.ones(4, 2), torch.ones(3)

    with pytest.raises(SparqcError, match="which cannot be cut for 2 ranks"):
        list(data(training, Ranks(0, 2)).epoch(0))
