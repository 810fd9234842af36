"""The order of columns in which 2:4 keeps the most.

Pool & Yu, "Channel Permutations for N:M Sparsity" (NeurIPS 2021), search by swaps of two columns
and by escapes from where no swap helps.  Here every swap is valued at once.  Of three columns in a
group of four let a <= b be the two largest values of a row: with a fourth value d the row keeps
b + max(a, d), so what a whole column d is worth in that place is a sum of maxima, and max(a, d) is
(a + d + |a - d|) / 2: all places against all columns are one matrix of city-block distances.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

#: Elementary steps (one value against one value) of one valuation of all swaps: more rows than
#: that allows are searched by a sample of them.
_VALUATION = 6_000_000_000
#: How many times as much is spent on one search altogether.
_VALUATIONS = 6
#: A swap has to be worth that share of what is kept, or rounding could go on for ever.
_WORTH = 1e-7
#: How often the search leaves a place from which no swap leads up, without finding a better one.
_ESCAPES = 8


def best_order(rows: NDArray[np.float32]) -> NDArray[np.int64]:
    """The order of the columns of `rows`, [rows, columns], that keeps most by 2:4 along them.

    `rows` is what each weight is worth, not negative.  The columns behind the last multiple of four
    stay where they are.  The result is a permutation; the same for the same rows, and the identity
    where the search finds nothing better.
    """
    columns = rows.shape[1] - rows.shape[1] % 4
    order = np.arange(rows.shape[1])
    if columns > 4:
        order[:columns] = _Search(_sample(rows[:, :columns])).run().numpy()
    return order if kept(rows[:, order]) > kept(rows) else np.arange(rows.shape[1])


def kept(rows: NDArray[np.float32]) -> float:
    """The sum of the two largest of every four values of each row, [rows, columns]."""
    fours = rows[:, : rows.shape[1] - rows.shape[1] % 4].reshape(rows.shape[0], -1, 4)
    return float(np.sort(fours, axis=2)[:, :, 2:].sum(dtype=np.float64))


def _sample(rows: NDArray[np.float32]) -> Tensor:
    """Columns first, with at most so many evenly spaced rows as one valuation may look at."""
    most = max(64, _VALUATION // rows.shape[1] ** 2)
    step = -(-rows.shape[0] // most)
    return torch.from_numpy(np.ascontiguousarray(rows[::step].T))


def _largest(a: Tensor, b: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """The largest and the second largest of three, element by element."""
    low, high = torch.minimum(a, b), torch.maximum(a, b)
    return torch.maximum(high, c), torch.maximum(low, torch.minimum(high, c))


class _Search:
    """One search: which columns share a group, and what each column is worth in each place."""

    def __init__(self, data: Tensor) -> None:
        self.data = data  # [columns, rows]
        self.sums = data.sum(1)
        count = data.shape[0]
        #: The column at each place; four places are a group.
        self.order = torch.arange(count)
        #: worth[p, d]: what the group of place p keeps with column d there.
        self.worth = torch.empty(count, count)
        self.random = np.random.default_rng(0)
        self.left = _VALUATIONS * count
        self.value(torch.arange(count // 4))

    def run(self) -> Tensor:
        """Climb, escape and climb again; the best order that was seen."""
        self.climb()
        best, most, failures = self.order.clone(), self.total(), 0
        while failures < _ESCAPES and self.left > 0:
            self.escape()
            self.climb()
            if self.total() > most * (1 + _WORTH):
                best, most, failures = self.order.clone(), self.total(), 0
            else:
                failures += 1
                self.put(best)
        return best

    def value(self, groups: Tensor) -> None:
        """Compute what every column is worth in every place of some groups."""
        self.left -= 4 * len(groups)
        members = self.order.view(-1, 4)[groups]  # [groups, 4]
        for place in range(4):
            others = members[:, [i for i in range(4) if i != place]]
            first, second = _largest(*(self.data[others[:, i]] for i in range(3)))
            apart = torch.cdist(second, self.data, p=1)
            both = second.sum(1, keepdim=True) + self.sums
            self.worth[4 * groups + place] = first.sum(1, keepdim=True) + (both + apart) / 2

    def total(self) -> float:
        """What the order keeps."""
        return float(self.now()[::4].double().sum())

    def now(self) -> Tensor:
        """What the group of each place keeps."""
        return self.worth.gather(1, self.order[:, None])[:, 0]

    def climb(self) -> None:
        """Swap as long as that helps."""
        while self.left > 0:
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
        best = best.triu()
        helpful = torch.nonzero(best > _WORTH * float(now.sum()) / 4)
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

    def escape(self) -> None:
        """Swap a few columns at random."""
        groups = len(self.order) // 4
        chosen = self.random.permutation(groups)[: 2 * max(1, groups // 16)]
        places = 4 * chosen + self.random.integers(0, 4, len(chosen))
        half = len(places) // 2
        pairs = zip(places[:half].tolist(), places[half : 2 * half].tolist(), strict=True)
        self.swap(list(pairs))

    def put(self, order: Tensor) -> None:
        """Go back to an order."""
        changed = (self.order != order).view(-1, 4).any(1)
        self.order = order.clone()
        self.value(torch.nonzero(changed)[:, 0])
