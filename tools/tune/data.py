"""The training batches of each epoch, and each rank's share of them."""

from __future__ import annotations

import hashlib
import inspect
import itertools
from collections.abc import Callable, Iterable, Iterator, Sized
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from torch import Tensor

from sparqc.errors import SparqcError
from sparqc.ranks.ranks import ALONE, Ranks, together
from sparqc.tools.model.loading import LoadedModel
from sparqc.tools.model.user_code import RandomStream, UserCode, definition_span
from sparqc.tools.tune.state.checkpoint import tensor_hash
from sparqc.tools.tune.steady import seed_of

_END = object()
#: What training() may ask for.
_KNOWN = ("epoch", "rank", "world")


@dataclass(frozen=True)
class TrainingBatch:
    """The inputs of the model, and what it should give; None where nothing is known."""

    inputs: tuple[Tensor, ...]
    target: Tensor | None
    #: Whether it is this rank's part of a batch, rather than all of it.
    part: bool = False

    @property
    def size(self) -> int:
        """How many samples it has."""
        return self.inputs[0].shape[0] if self.inputs[0].ndim else 1

    def to(self, device: Any) -> TrainingBatch:
        """The same on a device."""
        target = self.target if self.target is None else self.target.to(device, non_blocking=True)
        inputs = tuple(x.to(device, non_blocking=True) for x in self.inputs)
        return TrainingBatch(inputs, target, self.part)

    def cut(self, count: int) -> list[TrainingBatch]:
        """The batch in `count` parts of nearly the same size, or as many as it has samples."""
        given = [*self.inputs, *([] if self.target is None else [self.target])]
        if count == 1 or any(not t.ndim or t.shape[0] != self.size for t in given):
            return [self]
        edges = [round(self.size * i / count) for i in range(count + 1)]
        rows = [slice(a, b) for a, b in itertools.pairwise(edges) if a < b]
        return [
            TrainingBatch(
                tuple(x[part] for x in self.inputs),
                None if self.target is None else self.target[part],
                self.part,
            )
            for part in rows
        ]

    def hash(self) -> str:
        """Tells it from any other batch."""
        tensors = [*self.inputs, *([] if self.target is None else [self.target])]
        return hashlib.sha256("".join(map(tensor_hash, tensors)).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class TrainingData:
    """Batches that a person's function gives, one iterable for each epoch.

    The random numbers that it draws in an epoch follow from the seed and the epoch's number, so
    that the same epoch has the same batches again.  The function may take any of `epoch`, `rank`
    and `world`; one that takes `rank` gives that rank's batches, of any other each rank takes its
    rows of every batch.
    """

    code: UserCode
    function: Callable[..., object]
    #: "training() of model.py".
    title: str
    #: How many inputs the model takes.
    inputs: int
    seed: int = 0
    ranks: Ranks = ALONE

    @property
    def shared_by_owner(self) -> bool:
        """Whether the function itself gives each rank its share."""
        return "rank" in self._wanted()

    def count(self) -> int:
        """How many batches an epoch has; they are gone through where the iterable has no length.

        Raises SparqcError where there are none.
        """
        stream = RandomStream(seed_of(self.seed, "epoch", 0))
        found = self._call(0, stream)
        count = _length(found)
        if count is None:
            count = sum(1 for _ in self._raw(found, stream))
        if not count:
            raise self._error("gave no batches", "let it yield at least one an epoch")
        return count

    def epoch(self, number: int) -> Iterator[TrainingBatch]:
        """This rank's batches of an epoch, which counts from 0."""
        stream = RandomStream(seed_of(self.seed, "epoch", number))
        for index, found in enumerate(self._raw(self._call(number, stream), stream), 1):
            yield self._share(self._checked(found, index), index)

    def _wanted(self) -> list[str]:
        try:
            names = inspect.signature(self.function).parameters
        except (TypeError, ValueError):
            return []
        return [name for name in _KNOWN if name in names]

    def _call(self, epoch: int, stream: RandomStream) -> object:
        values = {"epoch": epoch, "rank": self.ranks.index, "world": self.ranks.count}
        with self.code.running(self.title), stream.active():
            return self.function(**{name: values[name] for name in self._wanted()})

    def _raw(self, found: object, stream: RandomStream) -> Iterator[object]:
        if not isinstance(found, Iterable):
            raise self._error(f"returned {type(found).__name__}, no batches", self._hint)
        with self.code.running(self.title), stream.active():
            iterator = iter(found)
        while True:
            with self.code.running(self.title), stream.active():
                batch = next(iterator, _END)
            if batch is _END:
                return
            yield batch

    def _checked(self, found: object, number: int) -> TrainingBatch:
        if isinstance(found, Tensor):
            found = (found,)
        if not isinstance(found, (tuple, list)) or not all(isinstance(t, Tensor) for t in found):
            kinds = (
                f"({', '.join(type(t).__name__ for t in found)})"
                if isinstance(found, (tuple, list))
                else type(found).__name__
            )
            raise self._error(f"gave {kinds} as batch {number}", self._hint)
        if len(found) not in (self.inputs, self.inputs + 1):
            raise self._error(f"gave {len(found)} tensors as batch {number}", self._hint)
        target = found[self.inputs] if len(found) > self.inputs else None
        batch = TrainingBatch(tuple(found[: self.inputs]), target)
        if not batch.size:
            raise self._error(f"gave an empty batch {number}", "leave it out")
        return batch

    def _share(self, batch: TrainingBatch, number: int) -> TrainingBatch:
        """This rank's rows.  Where there are fewer samples than ranks, every rank takes them all:
        the average over the ranks is the same."""
        if self.shared_by_owner:
            return replace(batch, part=True)
        part = self.ranks.part(batch.size)
        if self.ranks.count == 1 or part is None:
            return batch
        tensors = [*batch.inputs, *([] if batch.target is None else [batch.target])]
        if any(not t.ndim or t.shape[0] != batch.size for t in tensors):
            shapes = ", ".join(str(list(t.shape)) for t in tensors)
            raise self._error(
                f"gave tensors of the shapes {shapes} as batch {number}, which cannot be cut for "
                f"{self.ranks.count} ranks",
                "take the parameters rank and world, and yield that rank's batches",
            )
        target = None if batch.target is None else batch.target[part]
        return TrainingBatch(tuple(x[part] for x in batch.inputs), target, part=True)

    @property
    def _hint(self) -> str:
        return f"yield tuples of the {self.inputs} inputs of the model, with or without a target"

    def _error(self, what: str, hint: str) -> SparqcError:
        return SparqcError(f"{self.title} {what}", span=definition_span(self.function), hint=hint)


def tensor_text(tensor: Tensor) -> str:
    """`float32[16,3,32,32]`."""
    shape = ",".join(map(str, tensor.shape))
    return f"{str(tensor.dtype).removeprefix('torch.')}[{shape}]"


def batches_an_epoch(data: TrainingData) -> int:
    """How many batches an epoch has, on every rank alike; the first one is looked at, too.

    Raises SparqcError where there are none, the first is none, or the ranks have unequally many.
    """
    ranks = data.ranks
    with together(ranks):
        count = data.count()
        next(data.epoch(0), None)
    counts = [int(found) for found in ranks.gather(np.array(count))]
    for rank, other in enumerate(counts):
        if other != counts[0]:
            raise SparqcError(
                f"rank {rank} has {other} training batches an epoch, rank 0 has {counts[0]}",
                hint="training() has to give every rank equally many",
            )
    return count


def _length(batches: object) -> int | None:
    """How many there are, where they know: a DataLoader has a `len` even where its data do not."""
    try:
        return len(batches) if isinstance(batches, Sized) else None
    except TypeError:
        return None


def training_data(loaded: LoadedModel, seed: int, ranks: Ranks) -> TrainingData | None:
    """The batches that a model comes with: of training(), else of calibration(); None: neither."""
    functions, count = loaded.functions, len(loaded.inputs or ())
    if functions is None:
        return None
    if functions.epochs is not None:
        title = f"training() of {functions.code.name}"
        return TrainingData(functions.code, functions.epochs, title, count, seed, ranks)
    if functions.batches is not None:
        title = f"calibration() of {functions.code.name}"
        return TrainingData(functions.code, functions.batches, title, count, seed, ranks)
    return None
