"""Several processes of torch.distributed that work on one job.

What they exchange are numbers and JSON, never pickled objects.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from sparqc.errors import SparqcError
from sparqc.ir.graph import Array
from sparqc.ranks.ranks import ALONE, Ranks


@dataclass(frozen=True)
class ProcessGroup(Ranks):
    """The default process group.  Where a rank does not answer in time, SparqcError."""

    def gather(self, array: Array) -> list[Array]:
        """The arrays of all ranks, in order."""
        array = np.asarray(array, order="C")
        head = [array.dtype.str, list(array.shape)]
        heads = [json.loads(text) for text in self._texts(json.dumps(head))]
        return self._gather_bytes(array, heads)

    def _texts(self, text: str) -> list[str]:
        data = np.frombuffer(text.encode(), np.uint8)
        sizes = self._all(torch.tensor([data.size]))
        longest = max(int(size) for size in sizes)
        padded = np.zeros(longest, np.uint8)
        padded[: data.size] = data
        rows = self._all(torch.from_numpy(padded))
        pairs = zip(rows, sizes, strict=True)
        return [row[: int(size)].numpy().tobytes().decode() for row, size in pairs]

    def _gather_bytes(self, array: Array, heads: list[Any]) -> list[Array]:
        sizes = [np.dtype(d).itemsize * math.prod(shape) for d, shape in heads]
        padded = np.zeros(max(*sizes, 1), np.uint8)
        padded[: array.nbytes] = np.frombuffer(array.tobytes(), np.uint8)
        rows = self._all(torch.from_numpy(padded))
        return [
            np.frombuffer(bytearray(row.numpy()[:size]), dtype).reshape(shape)
            for row, size, (dtype, shape) in zip(rows, sizes, heads, strict=True)
        ]

    def _all(self, tensor: Tensor) -> list[Tensor]:
        rows = [torch.empty_like(tensor) for _ in range(self.count)]
        with answered():
            dist.all_gather(rows, tensor)
        return rows


@contextmanager
def answered() -> Iterator[None]:
    """SparqcError where a rank does not take part in what the others exchange."""
    try:
        yield
    except (RuntimeError, ValueError) as error:
        # gloo begins with the place in its own source.
        reason = re.sub(r"^\[[^]]*\] ", "", str(error).strip().partition("\n")[0])
        raise SparqcError(
            f"rank {dist.get_rank()}: another rank does not answer: {reason}",
            hint="look at the messages of the other ranks: one of them has failed or is stuck",
        ) from error


def current_ranks() -> Ranks:
    """The default process group of torch.distributed, where one was started; else alone."""
    if not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1:
        return ALONE
    return ProcessGroup(dist.get_rank(), dist.get_world_size())


def share_tensors(tensors: Iterable[Tensor], ranks: Ranks) -> None:
    """Overwrite tensors with those that rank 0 has, in place."""
    if ranks.count == 1:
        return
    for tensor in tensors:
        # gloo knows neither bool nor bfloat16 in every version: bytes it always takes.
        data = tensor.detach().cpu().contiguous().clone().reshape(-1).view(torch.uint8)
        with answered():
            dist.broadcast(data, 0)
        with torch.no_grad():
            tensor.copy_(data.view(tensor.dtype).reshape(tensor.shape))


def add_up(numbers: Sequence[float], ranks: Ranks) -> list[float]:
    """The sums over the ranks, in float64."""
    if ranks.count == 1:
        return list(numbers)
    total = torch.tensor(numbers, dtype=torch.float64)
    with answered():
        dist.all_reduce(total)
    return [float(x) for x in total]


def told_by_all(numbers: Sequence[float], ranks: Ranks) -> list[list[float]]:
    """What each rank tells, in float64; equally many numbers on each."""
    mine = torch.tensor(numbers, dtype=torch.float64)
    if ranks.count == 1:
        return [mine.tolist()]
    rows = [torch.empty_like(mine) for _ in range(ranks.count)]
    with answered():
        dist.all_gather(rows, mine)
    return [row.tolist() for row in rows]
