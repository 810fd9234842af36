"""The calibration batches, each checked against the inputs of the graph before it is run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from sparqc.errors import DataError, SparqcError, UsageError
from sparqc.ir.graph import Array, Graph, Value, dtype_name
from sparqc.rewrite.context import Batch, Context


@dataclass(frozen=True)
class CalibrationBatches:
    """The fact of how many batches there are, once a pass has seen them all."""

    count: int


@dataclass(frozen=True)
class CalibrationSamples:
    """The fact of on how many samples a pass measured last: the first dimension of its batches."""

    count: int


def check_limit(limit: int | None) -> None:
    """Raise ValueError for a limit that leaves no batch: an option of the passes that take one."""
    if limit is not None and limit < 1:
        raise ValueError("batches must be at least 1")


def calibration_batches(
    graph: Graph, context: Context, limit: int | None = None
) -> Iterator[tuple[int, Batch]]:
    """The batches, numbered from 1, at most `limit` of them; reports progress behind each.

    Raises UsageError where there is no calibration data, DataError where it ends before the first
    batch or with an exception, and where a batch does not fit the graph's inputs.
    """
    if context.calibration is None:
        raise UsageError(
            "there is no calibration data: the ranges of activations are measured on real inputs",
            hint="add calibration() to model.py, which yields batches of inputs, or give them with "
            "--calibration FILE.npz; to see what the graph would look like, "
            "--random-calibration takes noise instead",
        )
    samples = 0
    number, known = 0, context.facts.get(CalibrationBatches)
    total = known.count if known else limit
    if known and limit is not None:
        total = min(limit, known.count)
    for number, batch in enumerate(_given(context.calibration), 1):
        _check(graph.inputs, batch, f"calibration batch {number}")
        samples += len(batch[0]) if batch and batch[0].ndim else 1
        context.facts.put(CalibrationSamples(samples))
        context.batch = number
        yield number, batch
        context.batch = 0
        context.progress(number, total, "calibration batches")
        if number == limit:
            return
    if not number:
        raise DataError("calibration() gave no batches", hint="let it yield at least one")
    context.facts.put(CalibrationBatches(number))


def not_finite(what: str, number: int, wanted: str = "range") -> DataError:
    """The error for a value that is NaN or infinite in a batch, so that nothing is measured."""
    return DataError(
        f"{what} is NaN or infinite in calibration batch {number}",
        hint=f"check the weights and that batch: no {wanted} can be measured there",
    )


def _given(calibration: Callable[[], Iterable[Batch]]) -> Iterator[Batch]:
    """The batches; what a person's function raises names the batch that it was to give."""
    number = 0
    try:
        for batch in calibration():
            number += 1
            yield batch
    except SparqcError as error:
        error.is_of_data = True
        raise
    except Exception as error:
        raise DataError(
            f"calibration() raised {type(error).__name__}: {error} (batch {number + 1})"
        ) from error


def _check(inputs: list[Value], batch: Batch, what: str) -> None:
    """Raise DataError where the arrays of a batch are not what the inputs take."""
    if len(batch) != len(inputs):
        names = ", ".join(value.name for value in inputs)
        raise DataError(
            f"{what} has {len(batch)} arrays, the model takes {len(inputs)}: {names}",
            hint="each batch is a tuple with one tensor for each input, without labels",
        )
    sizes: dict[str, int] = {}
    for value, array in zip(inputs, batch, strict=True):
        if reason := _misfit(value, array, sizes):
            raise DataError(f"{what}, input {value.name!r}: {reason}")


def _misfit(value: Value, array: Array, sizes: dict[str, int]) -> str:
    """Why an array is not what an input takes, "" where it is; `sizes` are the symbolic ones."""
    dtype, shape = dtype_name(array.dtype), list(array.shape)
    if value.type.dtype not in ("?", dtype):
        return f"the elements are {dtype}, the model takes {value.type.dtype}"
    if not array.size:
        return f"it is empty, of shape {shape}"
    wanted = shape if value.shape is None else list(value.shape)
    fits = len(wanted) == len(shape) and all(
        size == (dim if isinstance(dim, int) else sizes.setdefault(dim, size))
        for dim, size in zip(wanted, shape, strict=True)
    )
    return "" if fits else f"the shape is {shape}, the model takes {wanted}"
