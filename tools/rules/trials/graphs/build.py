"""The graph of an expanded match block."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np

from sparqc.ir.graph import Array, Attribute, Graph, TensorType, Value, dtype_name
from sparqc.ir.levels.infer import infer_types
from sparqc.ir.onnx.native import OnnxNative
from sparqc.ir.quantizers import DEQUANTIZE, FAKE_QUANTIZE
from sparqc.ir.types import Level
from sparqc.ir.vocabulary.forms import NUMPY_DTYPES
from sparqc.ir.vocabulary.onnx_names import DEFAULT_OPSET
from sparqc.ir.vocabulary.operator import ONE_SIZE, REQUIRED, Given, Sample
from sparqc.ir.vocabulary.table import OperatorTable
from sparqc.tools.rules.trials.graphs.around import is_needed, keeps_shape, sample_around
from sparqc.tools.rules.trials.graphs.drawn import DrawnGenerator
from sparqc.tools.rules.trials.graphs.expand import Leaf, Output, Source, Step
from sparqc.tools.rules.trials.graphs.ties import without_ties

#: How often samples are drawn until one has all the operands that are wanted.
_TRIES = 12


class Unfit(Exception):
    """Operators that do not fit together: no instance, and another one is drawn."""


@dataclass
class Instance:
    """A graph, and an array for each of its inputs."""

    graph: Graph
    feeds: dict[Value, Array] = field(default_factory=dict)

    @property
    def batch(self) -> list[Array]:
        """The arrays in the order of the inputs."""
        return [self.feeds[value] for value in self.graph.inputs]


class Builder:
    """Builds operators one behind the other, each around what it reads."""

    def __init__(self, random: DrawnGenerator, level: Level, table: OperatorTable) -> None:
        self.random, self.table = random, table
        native = OnnxNative({"": DEFAULT_OPSET}) if level == "onnx" else None
        self.graph = Graph(level, "instance", native=native)
        self.instance = Instance(self.graph)
        self.half = random.chance(0.08)
        self.free_batch = random.chance(0.25)
        self.prepared: dict[Step, Sample] = {}
        self.bound: dict[tuple[int, str], Attribute] = {}
        self.decided: dict[Step, dict[str, Attribute]] = {}
        self.readers: dict[Step, list[tuple[Step, str]]] = {}

    def build(self, steps: list[Step]) -> Instance:
        """The instance of all steps, without outputs; raises Unfit."""
        for step in steps:
            for slot, source in step.operands.items():
                if isinstance(source, Output):
                    self.readers.setdefault(source.step, []).append((step, slot))
        for step in steps:
            self.step(step)
        return self.instance

    # -- operators -------------------------------------------------------------------------------

    def step(self, step: Step) -> None:
        """Build one operator, and the leaves that it reads."""
        self.lead(step)
        sample = self.prepared.get(step) or self.sample(step)
        attributes = {**step.row.attributes, **sample.attributes, **self.fixed(step)}
        if any(value is REQUIRED for value in attributes.values()):
            raise Unfit
        attributes = {k: v for k, v in attributes.items() if k in step.row.attributes}
        for name, key in step.names.items():
            if name in attributes:
                self.bound.setdefault(key, cast(Attribute, attributes[name]))
        operands = {spec.name: self.operand(step, spec.name, sample) for spec in step.row.operands}
        types = [TensorType()] * _count(step, attributes)
        node = self.graph.create(
            step.row.name, operands, cast(Mapping[str, Attribute], attributes), types=types
        )
        infer_types(self.graph, node, self.table)
        if any(v.type.dtype == "?" or v.shape is None for v in node.outputs):
            raise Unfit
        step.outputs = node.outputs
        if node.op == FAKE_QUANTIZE:
            without_ties(operands["x"], operands["scale"], node.attributes["axis"])

    def lead(self, step: Step) -> None:
        """Where a value passes through operators that keep its shape, what reads it behind these
        says which shape it has."""
        slot = step.row.operands[0].name
        leaf, anchor = step.operands.get(slot), self.anchor(step)
        if not isinstance(leaf, Leaf) or leaf.value is not None or anchor is None:
            return
        behind, place = anchor
        sample = self.prepared.setdefault(behind, self.sample(behind))
        array = sample.operands.get(place)
        if not isinstance(array, np.ndarray):
            raise Unfit
        if step.row.name == DEQUANTIZE:
            codes = self.random.numpy.integers(-128, 256, array.shape)
            array = codes.astype("u1" if self.random.chance(0.2) else "i1")
        leaf.value = self.leaf(leaf, array, place in sample.constants)

    def anchor(self, step: Step) -> tuple[Step, str] | None:
        """Behind an operator that keeps the shape of its first operand, the first one that does
        not, and where it reads."""
        if not keeps_shape(step.row):
            return None
        for behind, slot in self.readers.get(step, []):
            if not keeps_shape(behind.row) or slot != behind.row.operands[0].name:
                return behind, slot
            found = self.anchor(behind)
            if found is not None:
                return found
        return None

    def fixed(self, step: Step) -> dict[str, Attribute]:
        """The attributes that are decided already."""
        if step in self.decided:
            return self.decided[step]
        found = self.decided[step] = dict(step.attributes)
        for name, key in step.names.items():
            if key in self.bound:
                found[name] = self.bound[key]
            elif step.wanted.get(name) and self.random.chance(0.7):
                found[name] = self.bound[key] = self.random.choice(step.wanted[name])
        return found

    def sample(self, step: Step) -> Sample:
        """A sample around what is there, with an array for each operand that is to be made."""
        given: dict[str, Value | None] = {}
        wanted = []
        for slot, source in step.operands.items():
            value = _value_of(source)
            if source is None or value is not None:
                given[slot] = value
            elif not isinstance(source, tuple):
                wanted.append(slot)
        fixed = self.fixed(step)
        found = None
        for _ in range(_TRIES):
            sample = sample_around(step.row, Given(given, fixed), self.random)
            if sample is not None and all(sample.operands.get(slot) is not None for slot in wanted):
                found = sample
                if all(_is_wanted(step.operands[s], sample.operands[s]) for s in wanted):
                    break
        if found is None:
            raise Unfit
        return found

    # -- values ----------------------------------------------------------------------------------

    def operand(self, step: Step, slot: str, sample: Sample) -> Any:
        """What stands in a slot, made like the sample where it is not there yet."""
        made = sample.operands.get(slot)
        if slot in step.free:
            if made is None or (self.random.chance(0.5) and not is_needed(step.row, slot)):
                return None
            return self.leaf(Leaf(), cast(Array, made), slot in sample.constants)
        source = step.operands[slot]
        if isinstance(source, tuple):
            arrays = list(made) if isinstance(made, list | tuple) else []
            arrays += arrays[-1:] * len(source)
            return [self.value(s, a, False) for s, a in zip(source, arrays, strict=False)]
        return self.value(source, made, slot in sample.constants)

    def value(self, source: Source | None, made: Any, const: bool) -> Value | None:
        """The value of a source."""
        if source is None:
            return None
        known = _value_of(source)
        if known is not None:
            return known
        if not isinstance(source, Leaf) or made is None:
            raise Unfit
        source.value = self.leaf(source, made, const)
        return source.value

    def leaf(self, leaf: Leaf, array: Array, const: bool) -> Value:
        """A constant or an input like `array`, as its constraint wants it."""
        array = self.shaped(np.asarray(array), leaf)
        if leaf.filled is not None:
            array = np.full_like(array, leaf.filled)
        wanted = [t for t in leaf.constraint.dtypes or leaf.dtypes if t in NUMPY_DTYPES]
        if wanted and dtype_name(array.dtype) not in wanted:
            array = self.typed(array, NUMPY_DTYPES[self.random.choice(wanted)])
        elif self.half and array.dtype == np.float32:
            array = array.astype(np.float16)
        if leaf.number is not None:
            return self.number(leaf.number, array)
        const = not leaf.computed and (const or self.random.chance(0.05))
        if leaf.constraint.const or const:
            return self.constant(array)
        shape = tuple(array.shape)
        sizes: tuple[int | str, ...] = shape
        if self.free_batch and len(shape) > 1 and shape[0] == ONE_SIZE:
            sizes = ("batch", *shape[1:])
        value = self.graph.add_input("x", TensorType(dtype_name(array.dtype), sizes))
        self.instance.feeds[value] = array
        return value

    def number(self, number: int | float | bool, like: Array) -> Value:
        """A literal: one number, or a zero point for each channel."""
        shape = like.shape if like.dtype.kind in "iu" else ()
        try:
            return self.graph.constant(np.full(shape, number, like.dtype), "number")
        except OverflowError:
            raise Unfit from None

    def constant(self, array: Array) -> Value:
        """A constant, at times one that is computed: rounded to codes."""
        value = self.graph.constant(array, "k")
        if array.ndim < 2 or array.dtype.kind != "f" or not self.random.chance(0.05):
            return value
        scale = self.graph.constant(np.array(0.02, array.dtype), "scale")
        row = self.table.require(FAKE_QUANTIZE)
        operands = {"x": value, "scale": scale, "zero_point": None}
        attributes = cast(Mapping[str, Attribute], row.attributes)
        without_ties(value, scale, None)
        return self.graph.create(row.name, operands, attributes, types=[value.type]).output

    def typed(self, array: Array, dtype: np.dtype[Any]) -> Array:
        """Numbers of another type, drawn anew where they would all be alike."""
        if dtype.kind in "iu" and array.dtype.kind == "f":
            return self.random.numpy.integers(-128, 256, array.shape).astype(dtype)
        return array > 0 if dtype.kind == "b" else array.astype(dtype)

    def shaped(self, array: Array, leaf: Leaf) -> Array:
        """With as many dimensions as asked for, where that is a number of sizes."""
        dims = leaf.constraint.dims
        if dims is None or "..." in dims or len(dims) == array.ndim:
            return array
        if dims:
            raise Unfit
        return np.asarray(array.reshape(-1)[0] if array.size else 1, array.dtype)


def _is_wanted(source: Source | tuple[Source, ...] | None, array: Any) -> bool:
    """Whether an array has as many dimensions as are asked of a value, and the type."""
    if not isinstance(source, Leaf):
        return True
    dims, dtypes = source.constraint.dims, source.constraint.dtypes or source.dtypes
    rank = source.rank if dims is None or "..." in dims else len(dims)
    typed = not dtypes or dtype_name(np.asarray(array).dtype) in dtypes
    return typed and rank in (None, np.ndim(array))


def _value_of(source: Source | tuple[Source, ...] | None) -> Value | None:
    if isinstance(source, Output):
        return source.step.outputs[source.index] if source.step.outputs else None
    return source.value if isinstance(source, Leaf) else None


def _count(step: Step, attributes: Mapping[str, Any]) -> int:
    """How many results it has: as many as sizes, or entries of the axis, where the row names no
    number."""
    if not step.row.outputs[-1].endswith("*"):
        return len(step.row.outputs)
    first = _value_of(step.operands.get(step.row.operands[0].name))
    if "sizes" in attributes:
        count = len(attributes["sizes"])
    elif first is not None and first.shape is not None and "axis" in attributes:
        count = int(first.shape[int(attributes["axis"])])
    else:
        count = step.count
    if count < step.count:
        raise Unfit
    return count
