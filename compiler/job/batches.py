"""Calibration data and example inputs as arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from sparqc.errors import SparqcError
from sparqc.ir.graph import Array, Graph, TensorType
from sparqc.ir.onnx.types import numpy_dtype
from sparqc.rewrite.context import Batch

if TYPE_CHECKING:
    import torch


#: How many random batches stand for calibration data where a person asked for that.
RANDOM_BATCHES = 4


def batches_of(
    graph: Graph,
    calibration: Callable[[], Iterable[Sequence[torch.Tensor | Array]]] | None,
    random: bool,
    example: Batch,
) -> Callable[[], Iterable[Batch]] | None:
    """What gives the calibration batches anew at each call: a person's own, noise where `random`
    asks for it, else None."""
    if calibration is not None:
        return lambda: (as_batch(batch) for batch in calibration())
    if random:
        return lambda: _random(graph, example)
    return None


def as_batch(batch: object) -> Batch:
    """A batch as arrays; a lone tensor is a batch for the only input."""
    if isinstance(batch, (list, tuple)):
        return [as_array(x) for x in batch]
    return [as_array(batch)]


def as_array(x: object) -> Array:
    """A tensor or an array as an array on the CPU."""
    detach = getattr(x, "detach", None)
    return np.asarray(detach().cpu().numpy() if detach else x)


def _random(graph: Graph, example: Batch) -> Iterable[Batch]:
    """Standard normal noise of the shapes of the example inputs (seeded), and 0 or 1 where the
    elements are no floats: a valid index, token and mask nearly everywhere."""
    generator = np.random.default_rng(0)
    shapes = [x.shape for x in example] or [_sizes(v.type) for v in graph.inputs]
    types = [x.dtype for x in example] or [_numpy_type(v.type) for v in graph.inputs]
    for _ in range(RANDOM_BATCHES):
        yield [_noise(generator, *given) for given in zip(shapes, types, strict=True)]


def _noise(generator: np.random.Generator, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    if dtype.kind == "f":
        return generator.standard_normal(shape, np.float32).astype(dtype)
    return generator.integers(0, 2, shape).astype(dtype)


def _numpy_type(type: TensorType) -> np.dtype[Any]:
    found = numpy_dtype(type.dtype)
    if found is None:
        raise SparqcError("an input of the ONNX model has no known type: there is no noise for it")
    return found


def _sizes(type: TensorType) -> tuple[int, ...]:
    if type.shape is None:
        raise SparqcError("an input of the ONNX model has no rank: random data cannot be made")
    return tuple(d if isinstance(d, int) else 1 for d in type.shape)
