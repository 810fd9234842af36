"""The processes that work on one job together, and what they tell each other.

Alone, which is the rule, there is one of them.  `process_group.py` has the one that several
processes of torch.distributed share.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from sparqc.errors import SparqcError
from sparqc.ir.graph import Array


@dataclass(frozen=True)
class Ranks:
    """This process among those that work together; alone unless a subclass says otherwise."""

    #: Which of them this one is, from 0; 0 alone writes files and talks to a person.
    index: int = 0
    #: How many there are.
    count: int = 1

    def gather(self, array: Array) -> list[Array]:
        """The arrays that all ranks give at this point, in their order; every rank gets them all.

        Shapes and dtypes may differ from rank to rank.
        """
        return [array]

    def takes(self, number: int) -> bool:
        """Whether the work of that number, which any one rank can do, is this rank's."""
        return number % self.count == self.index

    def part(self, size: int) -> slice | None:
        """The rows of a batch of `size` that are this rank's; None where there are too few."""
        if size < self.count:
            return None
        edges = np.linspace(0, size, self.count + 1).astype(int)
        return slice(int(edges[self.index]), int(edges[self.index + 1]))


#: One process.
ALONE = Ranks()


@contextmanager
def together(ranks: Ranks) -> Iterator[None]:
    """Work in which the ranks exchange nothing: where it fails on one of them, it does on all.

    Raises SparqcError on every rank, which names the rank where it failed.
    """
    failure: SparqcError | None = None
    try:
        yield
    except SparqcError as error:
        failure = error
    if ranks.count > 1:
        _agree(failure, ranks)
    if failure:
        raise failure


def _agree(failure: SparqcError | None, ranks: Ranks) -> None:
    text = str(failure) if failure else ""
    texts = [a.tobytes().decode() for a in ranks.gather(np.frombuffer(text.encode(), np.uint8))]
    if failure:
        return
    for index, other in enumerate(texts):
        if other:
            raise SparqcError(f"rank {index} failed: {other}")
