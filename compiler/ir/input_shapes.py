"""The input shapes that an engine is built for: the smallest, the usual and the largest one."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sparqc.errors import UsageError, did_you_mean
from sparqc.ir.bounds import LARGEST

Dims = tuple[int, ...]


@dataclass(frozen=True)
class InputSpec:
    """An input of a graph; a free dimension is its name, or "" where it has none."""

    name: str
    dims: tuple[int | str, ...] | None

    def __str__(self) -> str:
        if self.dims is None:
            return f"'{self.name}' (no shape)"
        return f"'{self.name}' ({'x'.join(str(d or '?') for d in self.dims)})"

    @property
    def is_free(self) -> bool:
        """Whether a size of it is not fixed."""
        return self.dims is None or any(isinstance(d, str) for d in self.dims)


#: The batch that a free batch dimension gets where nobody names one.
DEFAULT_BATCH = 8


@dataclass(frozen=True)
class ShapeRange:
    """The smallest, the usual (`opt`) and the largest shape of one input."""

    min: Dims
    opt: Dims
    max: Dims

    @property
    def fixed(self) -> bool:
        """Whether only one shape is allowed."""
        return self.min == self.opt == self.max

    def at_opt(self) -> ShapeRange:
        """The range that holds nothing but the usual shape."""
        return ShapeRange(self.opt, self.opt, self.opt)


#: What a caller may say of an input: one exact shape, or a range.
Shapes = Mapping[str, Sequence[int] | ShapeRange]


def parse_shape(text: str) -> tuple[str, ShapeRange]:
    """Read `name:8x3x224x224`, or `name:1x3x224x224,8x3x224x224,16x3x224x224` (min, opt, max).

    Raises:
        UsageError: for any other form.
    """
    name, colon, dims = text.rpartition(":")
    parts = [p.strip() for p in dims.split(",")]
    if not (name and colon and len(parts) in (1, 3) and all(map(_is_shape, parts))):
        raise UsageError(
            f"--shape '{text}' is not a shape",
            hint="write name:8x3x224x224, or the smallest, usual and largest one: "
            "name:1x3x64x64,8x3x224x224,16x3x512x512",
        )
    shapes = [tuple(int(d) for d in p.split("x")) for p in parts]
    return name, ShapeRange(shapes[0], shapes[len(shapes) // 2], shapes[-1])


def _is_shape(text: str) -> bool:
    return re.fullmatch(r"[0-9]{1,9}(x[0-9]{1,9})*", text) is not None


def input_ranges(
    inputs: Sequence[InputSpec], batch: int | None = None, shapes: Shapes | None = None
) -> dict[str, ShapeRange]:
    """The range of every input, from the model, the batch and the shapes that a caller names.

    A free first dimension, and every dimension of the same name, is the batch: 1 to `batch`
    (8 where it is None).

    Raises:
        UsageError: an unknown name, a shape that does not fit the model, a free dimension that
            is not the batch, or a batch for a model whose batch is fixed to another size.
    """
    if batch is not None and batch < 1:
        raise UsageError(f"the batch has to be at least 1, and is {batch}")
    if batch is not None and batch > LARGEST:
        raise UsageError(f"a batch of {batch} is more than any target takes")
    given = {name: _as_range(name, shape) for name, shape in (shapes or {}).items()}
    _check_names(given, inputs)
    symbols = {s.dims[0] for s in inputs if s.dims and isinstance(s.dims[0], str)} - {""}
    ranges = {
        s.name: _checked(s, given[s.name]) if s.name in given else _default(s, batch, symbols)
        for s in inputs
    }
    _check_batch(batch, ranges)
    return ranges


def _as_range(name: str, shape: Sequence[int] | ShapeRange) -> ShapeRange:
    if not isinstance(shape, ShapeRange):
        exact = tuple(int(d) for d in shape)
        return ShapeRange(exact, exact, exact)
    if len({len(shape.min), len(shape.opt), len(shape.max)}) > 1 or any(
        not low <= usual <= high
        for low, usual, high in zip(shape.min, shape.opt, shape.max, strict=True)
    ):
        raise UsageError(
            f"the three shapes of input '{name}' do not go from the smallest to the largest one"
        )
    return shape


def _check_names(given: Mapping[str, ShapeRange], inputs: Sequence[InputSpec]) -> None:
    names = [s.name for s in inputs]
    for name in given:
        if name not in names:
            raise UsageError(f"the model has no input '{name}'", hint=did_you_mean(name, names))


def _checked(spec: InputSpec, given: ShapeRange) -> ShapeRange:
    if spec.dims is not None and not all(
        _fits(spec.dims, shape) for shape in (given.min, given.opt, given.max)
    ):
        raise UsageError(f"shape {'x'.join(map(str, given.opt))} does not fit input {spec}")
    return given


def _fits(dims: Sequence[int | str], shape: Dims) -> bool:
    return len(dims) == len(shape) and all(
        isinstance(dim, str) or dim == size for dim, size in zip(dims, shape, strict=True)
    )


def _default(spec: InputSpec, batch: int | None, symbols: set[str]) -> ShapeRange:
    dims = spec.dims
    if dims is None or any(_is_free(axis, dim, symbols) for axis, dim in enumerate(dims)):
        raise UsageError(
            f"input {spec} has sizes that are neither fixed nor the batch",
            hint=f"give them: --shape {spec.name}:{_example(dims)}",
        )
    usual = _with_batch(dims, batch or DEFAULT_BATCH)
    return ShapeRange(_with_batch(dims, 1), usual, usual)


def _is_free(axis: int, dim: int | str, symbols: set[str]) -> bool:
    return isinstance(dim, str) and axis != 0 and dim not in symbols


def _with_batch(dims: Sequence[int | str], batch: int) -> Dims:
    return tuple(batch if isinstance(d, str) else d for d in dims)


def _example(dims: Sequence[int | str] | None) -> str:
    sizes = [
        d if isinstance(d, int) else 1 if axis == 0 else 224
        for axis, d in enumerate(dims or ("", 3, "", ""))
    ]
    return "x".join(map(str, sizes))


def _check_batch(batch: int | None, ranges: Mapping[str, ShapeRange]) -> None:
    if batch is None or any(r.opt[:1] == (batch,) for r in ranges.values()):
        return
    shapes = ", ".join(f"'{n}' ({'x'.join(map(str, r.opt))})" for n, r in ranges.items())
    raise UsageError(
        f"batch {batch} does not fit the inputs: {shapes}",
        hint="leave the batch out, or export the model with a dynamic batch",
    )
