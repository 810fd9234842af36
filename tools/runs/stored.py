"""Weights and data beside the graphs of a run, for who wants to run it again without the model."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sparqc.errors import UsageError
from sparqc.ir.graph import Array, Graph
from sparqc.ir.text.tokens import INLINE, content_hash

if TYPE_CHECKING:
    from sparqc.rewrite.context import Context

WEIGHTS, DATA = "weights", "data"
#: What is kept of calibration data, in bytes: the first batches.
MOST_DATA = 64 << 20


def large_constants(graph: Graph) -> Iterator[tuple[str, Array]]:
    """The constants that the graph's text names by their content hash only, by that."""
    for value in graph.constants:
        data = value.data
        if data is not None and data.size > INLINE and data.dtype.kind in "fiub":
            yield content_hash(data), data


def write_weights(folder: Path, weights: Mapping[str, Array]) -> None:
    """Write each array once, under its content hash."""
    (folder / WEIGHTS).mkdir()
    for digest, array in weights.items():
        np.save(folder / WEIGHTS / f"{digest}.npy", array, allow_pickle=False)


def write_data(folder: Path, context: Context) -> None:
    """Write the example inputs and the first calibration batches."""
    (folder / DATA).mkdir()
    if len(context.example):
        np.savez(folder / DATA / "example.npz", *context.example)
    size = 0
    for number, batch in enumerate(context.calibration() if context.calibration else ()):
        size += sum(array.nbytes for array in batch)
        if number and size > MOST_DATA:
            break
        np.savez(folder / DATA / f"calibration-{number:04}.npz", *batch)


@dataclass(frozen=True)
class StoredWeights(Mapping[str, Array]):
    """The weights of a run by their content hash, read when they are asked for."""

    folder: Path

    def __getitem__(self, digest: str) -> Array:
        path = self.folder / WEIGHTS / f"{digest}.npy"
        if not path.is_file():
            raise KeyError(digest)
        array = _load(path)
        if not isinstance(array, np.ndarray) or content_hash(array) != digest:
            raise UsageError(f"{path} is not what its name says: it was changed, or cut off")
        return array

    def __iter__(self) -> Iterator[str]:
        return (path.stem for path in sorted((self.folder / WEIGHTS).glob("*.npy")))

    def __len__(self) -> int:
        return sum(1 for _ in self)


def has_data(folder: Path) -> bool:
    """Whether a run holds its data."""
    return (folder / DATA).is_dir()


def example_of(folder: Path) -> list[Array] | None:
    """The example inputs that a run holds."""
    path = folder / DATA / "example.npz"
    return list(_arrays(path)) if path.is_file() else None


def calibration_of(folder: Path) -> list[list[Array]]:
    """The calibration batches that a run holds."""
    files = sorted((folder / DATA).glob("calibration-*.npz"))
    return [list(_arrays(path)) for path in files]


def _arrays(path: Path) -> Iterable[Array]:
    held = _load(path)
    return [held[f"arr_{index}"] for index in range(len(held.files))]


def _load(path: Path) -> Any:
    try:
        return np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError, json.JSONDecodeError) as error:
        raise UsageError(f"cannot read {path}: {error}") from error
