"""From dump text back to a graph, and from the statements of an example to one."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sparqc.base.reading import damaged
from sparqc.errors import PatternError, did_you_mean
from sparqc.ir.dtypes import numpy_dtype
from sparqc.ir.graph import Array, Attribute, Graph, Node, TensorType, Value
from sparqc.ir.levels.infer import infer_types
from sparqc.ir.onnx.native import OnnxNative
from sparqc.ir.text.grammar import (
    ArrayText,
    Called,
    ConstantLine,
    GraphText,
    Hash,
    Header,
    InputLine,
    Line,
    NodeLine,
    Operand,
    ReturnLine,
    Word,
    parse_text,
    span_of,
)
from sparqc.ir.text.tokens import Absent, origin_of
from sparqc.ir.types import Level
from sparqc.ir.vocabulary.onnx_names import DEFAULT_OPSET
from sparqc.ir.vocabulary.operator import Operator, Required
from sparqc.ir.vocabulary.raw import opsets_of, raw_operator
from sparqc.ir.vocabulary.table import OperatorTable, default_table


def parse_graph(
    text: str,
    table: OperatorTable | None = None,
    *,
    weights: Mapping[str, Array] | None = None,
    file: str = "graph text",
) -> Graph:
    """The graph that `print_graph` printed.

    `weights` gives large constants by their content hash; without it they are `Absent` arrays,
    zeros that print the same hash again.  What is no part of the text (the output structure of an
    FX module, subgraphs, metadata) is not in the graph.  Raises PatternError, with the place in
    the text.
    """
    tree = parse_text(text, file)
    builder = _GraphBuilder(tree, text, file, table or default_table(), weights or {})
    if len(tree.headers) != 1:
        raise builder.error(_first_word(tree), "a graph starts with one line `graph name on …`")
    with damaged(file, error=PatternError):
        return builder.whole(tree.headers[0])


def parse_statements(
    text: str,
    table: OperatorTable | None = None,
    level: Level = "fx",
    inputs: Mapping[str, TensorType] | None = None,
    *,
    file: str = "statements",
    first_line: int = 1,
    opset: int = DEFAULT_OPSET,
) -> Graph:
    """A graph from statements without a header, such as the `example` blocks of pattern files.

    A name that is used and not defined is an input, of the type in `inputs` or in a line
    `x: f32[batch, 16]`, else of unknown type.  `w: const f32[2]` declares a constant; without
    `= …` it is filled with random numbers that depend on its name and type only (vectors lie in
    [0.5, 1.5), so that they may be variances and scales).  A number in an operand slot is a 0-d
    constant of the dtype of the first operand that has one.  Types that are not written are
    inferred.  Without a `return`, the outputs are the values that nothing reads.

    `first_line` is the line of `file` in which the text starts.  Raises PatternError.
    """
    shifted = "\n" * (first_line - 1) + text
    tree = parse_text(shifted, file)
    builder = _GraphBuilder(tree, shifted, file, table or default_table(), {}, dict(inputs or {}))
    if tree.headers:
        raise builder.error(_first_word(tree), "statements have no `graph` line")
    with damaged(file, error=PatternError):
        return builder.statements(level, opset)


@dataclass
class _GraphBuilder:
    tree: GraphText
    text: str
    file: str
    table: OperatorTable
    weights: Mapping[str, Array]
    #: The types of inputs that are not defined by a line of their own; None: there are no such.
    open_inputs: dict[str, TensorType] | None = None
    graph: Graph = field(default_factory=lambda: Graph("fx"))
    returned: bool = False

    def error(self, word: Word | None, message: str, hint: str = "") -> PatternError:
        place = word or Word("", 1, 1, 1)
        span = span_of(self.text, self.file, place.line, place.column, place.width)
        return PatternError(message, span=span, hint=hint)

    def whole(self, header: Header) -> Graph:
        if header.level.text not in ("fx", "onnx"):
            raise self.error(header.level, "a graph is on fx or on onnx")
        level: Level = "fx" if header.level.text == "fx" else "onnx"
        self.graph = Graph(level, header.name, native=_native(level, header.opsets))
        for line in header.inputs:
            self.input(line.name, line.type)
        for statement in self.tree.lines:
            self.line(statement)
        if tuple(self.graph.output_names) != header.outputs:
            raise self.error(header.level, "the first line and `return` name different outputs")
        return self.graph

    def statements(self, level: Level, opset: int) -> Graph:
        self.graph = Graph(level, "statements", native=_native(level, {"": opset}))
        for line in self.tree.lines:
            self.line(line)
        if not self.returned:
            unread = [v for n in self.graph.nodes for v in n.outputs if not v.readers]
            self.graph.set_outputs(unread)
        return self.graph

    def line(self, line: Line) -> None:
        if self.returned:
            raise self.error(_word_of(line), "nothing comes after `return`")
        if isinstance(line, ConstantLine):
            self.constant(line)
        elif isinstance(line, InputLine):
            self.input(line.name, line.type)
        elif isinstance(line, NodeLine):
            self.node(line)
        else:
            self.returned = True
            values = [self.value(word) for word, _ in line.results]
            self.graph.set_outputs(values, [name for _, name in line.results])

    # -- values ----------------------------------------------------------------------------------

    def input(self, word: Word, type: TensorType) -> Value:
        self.require_new(word)
        return self.graph.add_input(word.text, type)

    def constant(self, line: ConstantLine) -> None:
        self.require_new(line.name)
        if line.has_data:
            data = self.array(line.name, line.type, line.data)
        elif self.open_inputs is not None:
            data = _random(line.name.text, *self.concrete(line.name, line.type))
        else:
            raise self.error(line.name, "this constant has no content", "write `= …` behind it")
        # Assigned once more because the graph takes an `Absent` array for a plain one.
        self.graph.constant(data, line.name.text).data = data

    def require_new(self, word: Word) -> None:
        if word.text in self.graph:
            raise self.error(word, f"{word.text!r} is already defined")

    def value(self, word: Word) -> Value:
        if word.text in self.graph:
            return self.graph.value(word.text)
        if self.open_inputs is None:
            hint = did_you_mean(word.text, self.graph._values)
            raise self.error(word, f"{word.text!r} is not defined", hint)
        return self.input(word, self.open_inputs.get(word.text, TensorType()))

    def array(self, word: Word, type: TensorType, data: Hash | Attribute) -> Array:
        dtype, shape = self.concrete(word, type)
        if isinstance(data, Hash):
            known = self.weights.get(data.digest)
            return Absent.of(dtype, shape, data.digest) if known is None else known
        try:
            elements = np.array(data, dtype)
            if dtype.kind in "iu" and np.array(data).dtype.kind == "f" and elements.size:
                raise ValueError("they are no integers")
            return elements.reshape(shape) if not elements.size else _as_shape(elements, shape)
        except (ValueError, TypeError, OverflowError) as error:
            raise self.error(word, f"the elements do not fit the type: {error}") from None

    def concrete(self, word: Word, type: TensorType) -> tuple[np.dtype[Any], tuple[int, ...]]:
        dtype, shape = numpy_dtype(type.dtype), type.shape
        if dtype is None or shape is None or not all(isinstance(d, int) for d in shape):
            raise self.error(word, "a constant needs a dtype and a shape of numbers: f32[16, 3]")
        return dtype, tuple(int(d) for d in shape)

    # -- nodes -----------------------------------------------------------------------------------

    def node(self, line: NodeLine) -> None:
        for target in line.targets:
            self.require_new(target)
        if line.types and len(line.types) != len(line.targets):
            raise self.error(line.call.op, "one type for each output, or none")
        self.call(line.call, line.targets, line.types, line.comment)

    def call(
        self,
        call: Called,
        targets: tuple[Word, ...],
        types: tuple[TensorType, ...] | None = None,
        comment: str = "",
    ) -> Node:
        row = self.row(call.op)
        values = self.operands(call)
        node = self.graph.create(
            call.op.text,
            self.slots(call, row, values),
            self.attributes(call, row),
            types=types or [TensorType()] * len(targets),
            names=[t.text for t in targets],
            origin=origin_of(comment),
        )
        if types is None and self.open_inputs is not None:
            infer_types(self.graph, node, self.table)
        return node

    def row(self, op: Word) -> Operator | None:
        known = self.table.get(op.text)
        namespaces = {name.partition(".")[0] for name in self.table.names}
        if known is None and op.text.partition(".")[0] in namespaces:
            hint = did_you_mean(op.text, self.table.names)
            raise self.error(op, f"unknown operator {op.text!r}", hint)
        return known or raw_operator(op.text, opsets_of(self.graph))

    def operands(self, call: Called) -> list[Value | tuple[Value, ...] | None]:
        """The operands in order; numbers come last, as they take the dtype of the others."""
        values = [None if _is_number(o) else self.operand(o) for o in call.operands]
        typed = (v.type.dtype for v in values if isinstance(v, Value))
        dtype = numpy_dtype(next((d for d in typed if d != "?"), "f32"))
        for index, operand in enumerate(call.operands):
            if _is_number(operand):
                values[index] = self.graph.constant(np.array(operand, dtype), "number")
        return values

    def operand(self, operand: Operand) -> Value | tuple[Value, ...] | None:
        if isinstance(operand, Word):
            return self.value(operand)
        if isinstance(operand, tuple):
            return tuple(v for o in operand if isinstance(v := self.operand(o), Value))
        if isinstance(operand, Called):
            hint = operand.op.text.rpartition(".")[2]
            name = Word(self.graph.fresh(hint), 0, 0, 0)
            return self.call(operand, (name,)).output
        return None

    def slots(
        self, call: Called, row: Operator | None, values: list[Value | tuple[Value, ...] | None]
    ) -> dict[str, Value | tuple[Value, ...] | None]:
        """Operands by name; those behind the last are absent, or the values of a variadic one."""
        named = {word.text: self.operand(operand) for word, operand in call.named}
        if row is None:
            return {f"i{index}": value for index, value in enumerate(values)} | named
        if named and self.table.get(row.name):
            raise self.error(call.named[0][0], f"operands of {row.name} stand by position only")
        specs = [o for o in row.operands if o.name not in named]
        slots: dict[str, Value | tuple[Value, ...] | None] = {}
        if specs and specs[-1].variadic and not isinstance(_at(values, len(specs) - 1), tuple):
            rest = values[len(specs) - 1 :]
            slots[specs.pop().name] = tuple(v for v in rest if isinstance(v, Value))
            values = values[: len(specs)]
        if len(values) > len(specs):
            raise self.error(call.op, f"{row.name} takes {len(specs)} operands at most")
        given = values + [None] * (len(specs) - len(values))
        for spec, value in zip(specs, given, strict=True):
            if value is None and not spec.optional:
                raise self.error(call.op, f"{row.name} needs its operand {spec.name!r}")
        return {spec.name: value for spec, value in zip(specs, given, strict=True)} | slots | named

    def attributes(self, call: Called, row: Operator | None) -> dict[str, Attribute]:
        given = {word.text: self.attribute(word, value) for word, value in call.attributes}
        if row is None:
            return given
        if self.table.get(row.name) is None:
            operands = {word.text for word, _ in call.named}
            return {k: v for k, v in _defaults(row).items() if k not in operands} | given
        for word, _ in call.attributes:
            if word.text not in row.attributes:
                hint = did_you_mean(word.text, row.attributes)
                raise self.error(word, f"{row.name} has no attribute {word.text!r}", hint)
        missing = [k for k, v in row.attributes.items() if isinstance(v, Required)]
        if absent := [k for k in missing if k not in given]:
            raise self.error(call.op, f"{row.name} needs its attribute {absent[0]!r}")
        return {k: given.get(k, _defaults(row).get(k)) for k in row.attributes}

    def attribute(self, word: Word, value: Attribute | ArrayText) -> Attribute:
        if isinstance(value, ArrayText):
            return self.array(word, value.type, value.data)
        return value


def _defaults(row: Operator) -> dict[str, Attribute]:
    return {k: v for k, v in row.attributes.items() if not isinstance(v, Required)}


def _native(level: Level, opsets: Mapping[str, int]) -> OnnxNative | None:
    return OnnxNative(opsets or {"": DEFAULT_OPSET}) if level == "onnx" else None


def is_made_up(constant: Value) -> bool:
    """Whether a constant of `parse_statements` was declared without its numbers."""
    data = constant.data
    return data is not None and np.array_equal(data, _random(constant.name, data.dtype, data.shape))


def _random(name: str, dtype: np.dtype[Any], shape: tuple[int, ...]) -> Array:
    """Random content for a declared constant: the same for the same name and type."""
    rng = np.random.default_rng(zlib.crc32(f"{name} {dtype} {shape}".encode()))
    if dtype == np.bool_ or dtype.kind in "iu":
        return rng.integers(0, 2, shape).astype(dtype)
    numbers = rng.standard_normal(shape) if len(shape) > 1 else rng.uniform(0.5, 1.5, shape)
    return np.asarray(numbers).astype(dtype)


def _as_shape(elements: Array, shape: tuple[int, ...]) -> Array:
    if elements.shape != shape:
        raise ValueError(f"they have the shape {list(elements.shape)}")
    return elements


def _is_number(operand: Operand) -> bool:
    return isinstance(operand, int | float)


def _at(values: list[Value | tuple[Value, ...] | None], index: int) -> Any:
    return values[index] if index < len(values) else None


def _word_of(line: Line) -> Word | None:
    if isinstance(line, ReturnLine):
        return line.results[0][0] if line.results else None
    return line.targets[0] if isinstance(line, NodeLine) else line.name


def _first_word(tree: GraphText) -> Word | None:
    if tree.headers:
        return tree.headers[-1].level
    return _word_of(tree.lines[0]) if tree.lines else None
