"""Calibration data from a file: `--calibration FILE.npz|.npy|.safetensors`.

Each array is all the data of one graph input, whose name it has; along its first axis lie the
samples, which are handed out in batches.  Nothing is unpickled.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sparqc.base.reading import damaged
from sparqc.errors import SparqcError, UsageError, did_you_mean
from sparqc.ir.graph import Array, dtype_name
from sparqc.ir.types import Shape

#: Samples in a batch where the model leaves the batch open and nobody shows a size.
DEFAULT_BATCH = 8
_WRITE = "write it with numpy.savez(FILE, NAME=array) or safetensors.numpy.save_file"


@dataclass(frozen=True)
class Slot:
    """A graph input: its name, and what its batches look like.

    `shape` includes the batch dimension; a dimension that is not a number takes any size.
    """

    name: str
    dtype: str = "?"
    shape: Shape | None = None

    def __str__(self) -> str:
        if self.shape is None:
            return f"{self.name!r}"
        return f"{self.name!r} ({self.dtype}[{', '.join(map(str, self.shape))}])"


ArrayBatches = Callable[[], Iterator[list[Array]]]


def file_batches(path: Path, slots: Sequence[Slot], usual: int | None = None) -> ArrayBatches:
    """The batches in a file, one array for each slot, anew at each call.

    A fixed first dimension gives the size of a batch, and samples that do not fill the last batch
    are left out; an open one takes `usual` samples at a time, and the rest.

    Raises:
        UsageError: where the file does not exist or is of another kind.
        SparqcError: where it is damaged, or does not hold what the inputs need.
    """
    with damaged(str(path), hint=_WRITE):
        arrays = _assign(path, read_arrays(path), slots)
    samples = {len(array) for array in arrays}
    if len(samples) > 1:
        sizes = ", ".join(f"{s.name}: {len(a)}" for s, a in zip(slots, arrays, strict=True))
        raise SparqcError(f"{path}: the arrays hold different numbers of samples: {sizes}")
    size, fixed = _batch_size(slots, usual)
    count = samples.pop()
    if count < (size if fixed else 1):
        need = f"the model takes {size} at a time" if fixed else "it is empty"
        raise SparqcError(f"{path} holds {count} samples; {need}")
    stop = count - count % size if fixed else count
    return lambda: ([array[i : i + size] for array in arrays] for i in range(0, stop, size))


def _batch_size(slots: Sequence[Slot], usual: int | None) -> tuple[int, bool]:
    """How many samples make a batch, and whether the model takes no other number."""
    sizes = [s.shape[0] for s in slots if s.shape and isinstance(s.shape[0], int)]
    return (sizes[0], True) if sizes else (usual or DEFAULT_BATCH, False)


# -- reading -----------------------------------------------------------------------------------


def read_arrays(path: Path) -> dict[str, Array]:
    """The arrays of a file by name; the one of a .npy file has the name "".

    Raises UsageError for a missing file or another kind of file, SparqcError for a damaged one.
    """
    if path.suffix not in _READERS:
        raise UsageError(
            f"--calibration {path}: {path.suffix or 'a file without an ending'} is not known",
            hint=f"known: {', '.join(_READERS)}",
        )
    if not path.is_file():
        raise UsageError(f"--calibration {path}: there is no such file")
    # In this machine's byte order, whichever the file has.
    return {name: _native(array) for name, array in _READERS[path.suffix](path).items()}


def _native(array: Array) -> Array:
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def _read_numpy(path: Path) -> dict[str, Array]:
    try:
        # Pickled objects could run code.
        loaded: Any = np.load(path, allow_pickle=False)
        return {"": loaded} if isinstance(loaded, np.ndarray) else dict(loaded)
    except OSError as error:
        raise _unreadable(path, error.strerror or str(error)) from error
    except Exception as error:  # zipfile, zlib and numpy each have their own
        reason = "it holds pickled objects" if "allow_pickle" in str(error) else str(error)
        raise _unreadable(path, reason) from error


def _read_safetensors(path: Path) -> dict[str, Array]:
    from safetensors.numpy import load_file

    with damaged(str(path), hint=_WRITE):
        return load_file(path)


def _unreadable(path: Path, reason: str) -> SparqcError:
    return SparqcError(f"{path} cannot be read: {reason}", hint=_WRITE)


_READERS: Mapping[str, Callable[[Path], dict[str, Array]]] = {
    ".npz": _read_numpy,
    ".npy": _read_numpy,
    ".safetensors": _read_safetensors,
}

# -- fitting -----------------------------------------------------------------------------------


def _assign(path: Path, arrays: Mapping[str, Array], slots: Sequence[Slot]) -> list[Array]:
    """The array of each slot, by name; a single one, and numpy's arr_0, arr_1, … by position."""
    names = {slot.name for slot in slots}
    unnamed = all(re.fullmatch(r"arr_\d+|", name) for name in arrays)
    if len(slots) == len(arrays) and not names & set(arrays) and (unnamed or len(slots) == 1):
        found = [arrays[name] for name in sorted(arrays, key=lambda n: int(n[4:] or 0))] \
            if unnamed else list(arrays.values())  # fmt: skip
    else:
        found = [_named(path, arrays, slot) for slot in slots]
    return [_fitted(path, array, slot) for array, slot in zip(found, slots, strict=True)]


def _named(path: Path, arrays: Mapping[str, Array], slot: Slot) -> Array:
    if slot.name not in arrays:
        raise SparqcError(
            f"{path} holds no array for the input {slot}",
            hint=did_you_mean(slot.name, arrays) or f"it holds: {', '.join(arrays) or 'nothing'}",
        )
    return arrays[slot.name]


def _fitted(path: Path, array: Array, slot: Slot) -> Array:
    """The array in the input's type; only wide floats are converted, as integers may be pixels."""
    have = dtype_name(array.dtype)
    if slot.dtype == "f32" and have in ("f64", "f16"):
        array, have = array.astype(np.float32), "f32"
    if slot.dtype not in ("?", have):
        raise SparqcError(
            f"{path}: the array for the input {slot} holds {have}, not {slot.dtype}",
            hint="store the data as the model takes it: normalized, in the right type",
        )
    if not _fits(array, slot.shape):
        raise SparqcError(
            f"{path}: the array for the input {slot} has the shape {list(array.shape)}",
            hint="the first axis counts samples, the others are those of one input",
        )
    return array


def _fits(array: Array, shape: Shape | None) -> bool:
    """Whether the array holds samples of the shape; how many is another question."""
    if shape is None:
        return array.ndim > 0
    return array.ndim == len(shape) > 0 and all(
        not isinstance(want, int) or want == got
        for want, got in zip(shape[1:], array.shape[1:], strict=True)
    )
