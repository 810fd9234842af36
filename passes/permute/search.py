"""The order of columns in which 2:4 keeps the most.

Pool & Yu, "Channel Permutations for N:M Sparsity" (NeurIPS 2021), search by swaps of two columns,
and by escapes from where no swap helps.  Here every swap is valued at once.  Of three columns in a
group of four let a <= b be the two largest values of a row: with a fourth value d the row keeps
b + max(a, d), so what a whole column d is worth in that place is a sum of maxima, and max(a, d) is
(a + d + |a - d|) / 2: all places against all columns are one matrix of city-block distances.

Many columns are searched in windows of a few groups, drawn anew in every pass.  On the layers of a
ResNet-50 that finds more than a search over all columns, in a twentieth of the steps.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

#: Groups of four that are searched together.
_WINDOW = 16
#: How often all columns are searched.
_PASSES = 6
#: Rounds of swaps in one window; each round gains, so this is only against rounding.
_ROUNDS = 50
#: A swap has to be worth that share of what is kept.
_WORTH = 1e-6

Order = NDArray[np.int64]


def best_order(rows: NDArray[np.float32]) -> Order:
    """The order of the columns of `rows`, [rows, columns], that keeps most by 2:4 along them.

    `rows` is what each weight is worth, not negative.  The columns behind the last multiple of four
    stay where they are.  The result is a permutation; the same for the same rows, and the identity
    where the search finds nothing better.
    """
    order = np.arange(rows.shape[1])
    data = torch.from_numpy(np.ascontiguousarray(rows.T))
    random = np.random.default_rng(0)
    groups = order[: rows.shape[1] - rows.shape[1] % 4].reshape(-1, 4)  # a view
    for number in range(_PASSES):
        for window in _windows(len(groups), random):
            columns = groups[window].reshape(-1)
            found = _Window(data[torch.from_numpy(columns)])
            if number and len(window) == len(groups):
                found.escape(random)
            found.climb()
            if found.total() > found.before:
                groups[window] = columns[found.order.numpy()].reshape(-1, 4)
    return order if kept(rows[:, order]) > kept(rows) else np.arange(rows.shape[1])


def kept(rows: NDArray[np.float32]) -> float:
    """The sum of the two largest of every four values of each row, [rows, columns]."""
    fours = rows[:, : rows.shape[1] - rows.shape[1] % 4].reshape(rows.shape[0], -1, 4)
    return float(np.sort(fours, axis=2)[:, :, 2:].sum(dtype=np.float64))


def _windows(groups: int, random: np.random.Generator) -> Iterator[Order]:
    """All groups, at least two and at most so many at a time, in a random order."""
    if groups < 2:
        return
    shuffled = random.permutation(groups)
    yield from np.array_split(shuffled, -(-groups // _WINDOW))


def _largest(a: Tensor, b: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """The largest and the second largest of three, element by element."""
    low, high = torch.minimum(a, b), torch.maximum(a, b)
    return torch.maximum(high, c), torch.maximum(low, torch.minimum(high, c))


class _Window:
    """A search among some columns: which share a group, and what each is worth in each place."""

    def __init__(self, data: Tensor) -> None:
        self.data = data  # [columns, rows]
        self.sums = data.sum(1)
        count = data.shape[0]
        #: The column at each place; four places are a group.
        self.order = torch.arange(count)
        #: worth[p, d]: what the group of place p keeps with column d there.
        self.worth = torch.empty(count, count)
        self.value(torch.arange(count // 4))
        self.before = self.total()

    def value(self, groups: Tensor) -> None:
        """Compute what every column is worth in every place of some groups."""
        members = self.order.view(-1, 4)[groups]  # [groups, 4]
        for place in range(4):
            others = (self.data[members[:, i]] for i in range(4) if i != place)
            first, second = _largest(*others)
            apart = torch.cdist(second, self.data, p=1)
            both = second.sum(1, keepdim=True) + self.sums
            self.worth[4 * groups + place] = first.sum(1, keepdim=True) + (both + apart) / 2

    def now(self) -> Tensor:
        """What the group of each place keeps."""
        return self.worth.gather(1, self.order[:, None])[:, 0]

    def total(self) -> float:
        """What all groups keep."""
        return float(self.now()[::4].double().sum())

    def climb(self) -> None:
        """Swap as long as that helps."""
        for _ in range(_ROUNDS):
            pairs = list(self.swaps())
            if not pairs:
                return
            self.swap(pairs)

    def swaps(self) -> Iterator[tuple[int, int]]:
        """The best swaps of two places; no group in two of them, so that their gains add up."""
        now = self.now()
        there = self.worth[:, self.order]  # [place, place from which the column comes]
        gains = there + there.T - now[:, None] - now
        groups = len(now) // 4
        tiles = gains.view(groups, 4, groups, 4).permute(0, 2, 1, 3).reshape(groups, groups, 16)
        best, which = tiles.max(2)
        best.fill_diagonal_(-torch.inf)
        helpful = torch.nonzero(best.triu() > _WORTH * float(now.sum()) / 4)
        falling = torch.argsort(best[tuple(helpful.T)], descending=True, stable=True)
        used = [False] * groups
        for i, j in helpful[falling].tolist():
            if not (used[i] or used[j]):
                used[i] = used[j] = True
                place = int(which[i, j])
                yield 4 * i + place // 4, 4 * j + place % 4

    def swap(self, pairs: list[tuple[int, int]]) -> None:
        """Carry out swaps, and value the groups that they change."""
        one, other = torch.tensor(pairs).T
        self.order[one], self.order[other] = self.order[other], self.order[one]
        self.value(torch.unique(torch.cat([one, other]) // 4))

    def escape(self, random: np.random.Generator) -> None:
        """Swap columns of a quarter of the groups at random, two groups at a time."""
        groups = len(self.order) // 4
        chosen = random.permutation(groups)[: 2 * max(1, groups // 8)]
        places = (4 * chosen + random.integers(0, 4, len(chosen))).reshape(-1, 2)
        self.swap([(int(one), int(other)) for one, other in places])
