"""Calibration data and example inputs as arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, Union

import numpy as np

from sparqc.errors import SparqcError, UsageError
from sparqc.ir.dtypes import numpy_dtype
from sparqc.ir.graph import Array, Graph, TensorType
from sparqc.ir.samples import first_samples, is_free
from sparqc.rewrite.context import Batch

if TYPE_CHECKING:
    import torch

#: One tensor or array for every input: in their order, by their names, or bare for the only one.
GivenBatch: TypeAlias = Union[
    "Sequence[torch.Tensor | Array]", "Mapping[str, torch.Tensor | Array]", "torch.Tensor", Array
]
#: Batches that can be walked as often as they are needed, or what gives them anew at each call.
Calibration: TypeAlias = Callable[[], Iterable[GivenBatch]] | Iterable[GivenBatch]
#: Example inputs: by position, or by keyword.
Inputs: TypeAlias = Union["tuple[torch.Tensor, ...]", "Mapping[str, torch.Tensor]"]

#: How many random batches stand for calibration data where a person asked for that.
RANDOM_BATCHES = 4
_FORMS = (
    "give a list of batches, a DataLoader, or a function that yields them anew at each call: "
    "calibration=lambda: (batch for batch in …)"
)


def batches_of(
    graph: Graph, calibration: Calibration | None, random: bool, example: Batch
) -> Callable[[], Iterable[Batch]] | None:
    """What gives the calibration batches anew at each call: a person's own, noise where `random`
    asks for it, else None.

    Raises UsageError for data of a person's that can be walked once only, or not at all.
    """
    if calibration is not None:
        return given_batches(graph, calibration)
    if random:
        return lambda: _random(graph, example)
    return None


def sample_of(
    graph: Graph, example: Batch, batches: Callable[[], Iterable[Batch]] | None, count: int = 1
) -> Batch:
    """So many samples to run the graph on, or all that there are: of the example inputs, else of
    the calibration data, else of noise."""
    noise = _random(graph, (), count if is_free(graph.inputs) else 1)
    sources = ([example] if len(example) else [], batches() if batches else (), noise)
    batch = next(iter(chain.from_iterable(sources)), ())
    return first_samples(batch, graph.inputs, count)


def given_batches(graph: Graph, calibration: Calibration) -> Callable[[], Iterator[Batch]]:
    """A person's batches as arrays in the order of the graph's inputs, anew at each call.

    Raises UsageError for what can be walked once only, or not at all.
    """
    names, walk = [value.name for value in graph.inputs], _walk(calibration)
    return lambda: (as_batch(batch, names) for batch in walk())


def as_batch(batch: object, names: Sequence[str] = ()) -> Batch:
    """A batch as arrays; a lone tensor is a batch for the only input, a dict goes by `names`.

    Raises SparqcError for a dict with other names than these.
    """
    if isinstance(batch, Mapping):
        return [as_array(batch[name]) for name in _matching(batch, names)]
    if isinstance(batch, (list, tuple)):
        return [as_array(x) for item in batch for x in _leaves(item)]
    return [as_array(batch)]


def as_array(x: object) -> Array:
    """A tensor or an array as an array on the CPU."""
    detach = getattr(x, "detach", None)
    return np.asarray(detach().cpu().numpy() if detach else x)


def _leaves(item: object) -> Iterator[object]:
    """The tensors of an input that is a dict, in its order; any other input is one."""
    if not isinstance(item, Mapping):
        yield item
        return
    for inner in item.values():
        if inner is not None:
            yield from _leaves(inner)


def _matching(batch: Mapping[Any, object], names: Sequence[str]) -> Sequence[str]:
    if set(batch) == set(names):
        return names
    raise SparqcError(
        f"a batch has tensors for {', '.join(map(str, batch))}; the inputs of the model are "
        f"{', '.join(names)}",
        hint="give each input by its name, and nothing else: no labels",
    )


def _walk(calibration: Calibration) -> Callable[[], Iterable[object]]:
    """What gives the batches anew at each call."""
    if isinstance(calibration, (str, bytes, Path, Mapping)) or hasattr(calibration, "shape"):
        kind = type(calibration).__name__
        raise UsageError(f"calibration is no batches, but one {kind}", hint=_FORMS)
    if isinstance(calibration, Iterator):
        raise _used_up(f"calibration is a {type(calibration).__name__}, which")
    if isinstance(calibration, Iterable):
        return lambda: calibration
    if callable(calibration):
        return _Calls(calibration)
    if hasattr(calibration, "__getitem__") and hasattr(calibration, "__len__"):
        return lambda: (calibration[index] for index in range(len(calibration)))
    kind = type(calibration).__name__
    raise UsageError(f"calibration takes batches, not a value of type {kind}", hint=_FORMS)


class _Calls:
    """The batches that a function gives, at each call others: an iterator is walked once only."""

    def __init__(self, function: Callable[[], Iterable[object]]) -> None:
        self._function = function
        self._before: object = None

    def __call__(self) -> Iterable[object]:
        found = self._function()
        if isinstance(found, Iterator) and found is self._before:
            raise _used_up(f"calibration() gives one {type(found).__name__} each time, which")
        self._before = found
        return found


def _used_up(what: str) -> UsageError:
    return UsageError(
        f"{what} can be walked once only: several passes need the batches", hint=_FORMS
    )


def _random(graph: Graph, example: Batch, count: int = 1) -> Iterable[Batch]:
    """Standard normal noise of the shapes of the example inputs (seeded).

    Where the elements are no floats, these are the example's own, with its samples in another
    order: valid indices, tokens and masks, also where they depend on each other.  Without an
    example they are 0 or 1, and there are `count` samples.
    """
    generator = np.random.default_rng(0)
    for _ in range(RANDOM_BATCHES):
        yield _like(generator, graph, example) if len(example) else _noises(generator, graph, count)


def _noises(generator: np.random.Generator, graph: Graph, count: int) -> Batch:
    given = [(_sizes(v.type, count), _numpy_type(v.type)) for v in graph.inputs]
    return [_noise(generator, shape, dtype) for shape, dtype in given]


def _like(generator: np.random.Generator, graph: Graph, example: Batch) -> Batch:
    """Inputs with the same free first dimension keep the order of their samples in common."""
    orders: dict[int | str, Array] = {}
    batch = []
    for value, x in zip(graph.inputs, example, strict=True):
        size = value.shape[0] if value.shape else 0
        if x.dtype.kind == "f":
            batch.append(_noise(generator, x.shape, x.dtype))
        elif isinstance(size, str):
            batch.append(x[orders.setdefault(size, generator.permutation(len(x)))])
        else:
            batch.append(x)
    return batch


def _noise(generator: np.random.Generator, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    if dtype.kind == "f":
        return generator.standard_normal(shape, np.float32).astype(dtype)
    return generator.integers(0, 2, shape).astype(dtype)


def _numpy_type(type: TensorType) -> np.dtype[Any]:
    found = numpy_dtype(type.dtype)
    if found is None:
        raise SparqcError("an input of the ONNX model has no known type: there is no noise for it")
    return found


def _sizes(type: TensorType, count: int) -> tuple[int, ...]:
    """Every free dimension is 1, but a free first one `count`."""
    if type.shape is None:
        raise SparqcError("an input of the ONNX model has no rank: random data cannot be made")
    free = (count, *[1] * len(type.shape))
    return tuple(d if isinstance(d, int) else n for d, n in zip(type.shape, free, strict=False))
