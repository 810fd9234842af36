"""The states of all calibration batches, in memory or, where they are large, on disk."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sparqc.passes.layerwise.network import State

#: Bytes of states that stay in memory.
LIMIT = 1 << 30


class States:
    """One state for each batch and network."""

    def __init__(self, folder: Path, limit: int = LIMIT) -> None:
        self._folder, self._limit = folder, limit
        self._held: dict[tuple[int, int], State] = {}
        self._sizes: dict[tuple[int, int], int] = {}

    def put(self, key: tuple[int, int], state: State) -> None:
        """Keep a state under a key: network, batch."""
        self.drop(key)
        size = _bytes(state.values())
        if size + sum(self._sizes.values()) > self._limit:
            torch.save(state, self._file(key))
            return
        self._held[key], self._sizes[key] = state, size

    def take(self, key: tuple[int, int]) -> State:
        """The state of a key."""
        if key in self._held:
            return self._held[key]
        state: State = torch.load(self._file(key), weights_only=True)
        return state

    def drop(self, key: tuple[int, int]) -> None:
        """Forget a state."""
        self._held.pop(key, None)
        self._sizes.pop(key, None)
        self._file(key).unlink(missing_ok=True)

    def _file(self, key: tuple[int, int]) -> Path:
        return self._folder / f"{key[0]}-{key[1]}.pt"


@contextmanager
def open_states(limit: int = LIMIT) -> Iterator[States]:
    """A store whose folder is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="sparqc-") as folder:
        yield States(Path(folder), limit)


def _bytes(items: Sequence[Any] | Any) -> int:
    return sum(
        item.untyped_storage().nbytes()
        if isinstance(item, Tensor)
        else _bytes(item)
        if isinstance(item, list | tuple)
        else 0
        for item in items
    )
