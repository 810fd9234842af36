"""A piece of an ONNX graph, put into the graph that an FX graph becomes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from sparqc.ir.export.mapping import Mapper
from sparqc.ir.graph import Graph, Node, Origin, TensorType, Value
from sparqc.ir.onnx.calls import OnnxCall
from sparqc.ir.onnx.same_form import require_same_form
from sparqc.ir.onnx.types import merged, settled
from sparqc.ir.vocabulary.raw import opsets_of


def splice(
    mapper: Mapper, piece: Graph, inputs: Sequence[Value], outputs: Sequence[Value], origin: Origin
) -> None:
    """Add the nodes of `piece`, which computes `outputs` of the FX graph from `inputs` of it.

    Its nodes get `origin`, and values inside it names after the first output.  Raises SparqcError
    where an operator of it has another meaning in the opset of the graph.
    """
    _Splice(mapper, piece, inputs, outputs, origin).run()


class _Splice:
    def __init__(
        self,
        mapper: Mapper,
        piece: Graph,
        inputs: Sequence[Value],
        outputs: Sequence[Value],
        origin: Origin,
    ) -> None:
        self.mapper, self.piece, self.origin = mapper, piece, origin
        self.outputs = outputs
        self.hint = mapper.names[outputs[0]]
        self.values = {
            inner: mapper.value(value) for inner, value in zip(piece.inputs, inputs, strict=True)
        }
        self.symbols = _symbols(zip(piece.inputs, inputs, strict=True))
        #: What the values behind the outputs become.
        self.wanted: dict[Value, Value] = {}
        for inner, value in zip(piece.outputs, outputs, strict=True):
            if inner.producer is not None:
                self.wanted.setdefault(inner, value)

    def run(self) -> None:
        for node in self.piece.nodes:
            self._add(node)
        for inner, value in zip(self.piece.outputs, self.outputs, strict=True):
            if self.wanted.get(inner) is not value:
                self._pass_on(inner, value)

    def _add(self, node: Node) -> None:
        mapper, read_with = self.mapper, opsets_of(self.piece)
        if node.op.startswith("onnx."):
            for domain in read_with.keys() - mapper.opsets.keys():
                mapper.opsets[domain] = read_with[domain]
            require_same_form(node, read_with, mapper.opsets)
        named = [self._named(value, node) for value in node.outputs]
        made = mapper.graph.create(
            node.op,
            {slot: self._operand(operand) for slot, operand in node.operands.items()},
            node.attributes,
            types=[type for _, type in named],
            names=[name for name, _ in named],
            origin=self.origin,
            raw=node.raw,
        )
        for inner, value in zip(node.outputs, made.outputs, strict=True):
            self.values[inner] = mapper.builder.define(value)
            if inner in self.wanted:
                mapper.values[self.wanted[inner]] = value

    def _named(self, inner: Value, node: Node) -> tuple[str, TensorType]:
        """The name and the type of a value in the graph."""
        if inner in self.wanted:
            value = self.wanted[inner]
            name = self.mapper.names[value]
            return name, merged(settled(value.type, name), self._type(inner, name))
        name = self.mapper.free.fresh(f"{self.hint}_{node.op.rpartition('.')[2].lower()}")
        return name, self._type(inner, name)

    def _type(self, inner: Value, name: str) -> TensorType:
        """The type of a value with the symbolic sizes of the graph."""
        return settled(renamed(inner.type, self.symbols), name)

    def _operand(self, operand: Value | tuple[Value, ...] | None) -> Value | list[Value] | None:
        if operand is None:
            return None
        if isinstance(operand, tuple):
            return [self._value(v) for v in operand]
        return self._value(operand)

    def _value(self, inner: Value) -> Value:
        if inner not in self.values:
            assert inner.data is not None
            name = self.mapper.free.fresh(f"{self.hint}_const")
            self.values[inner] = self.mapper.builder.constant(name, inner.data)
        return self.values[inner]

    def _pass_on(self, inner: Value, value: Value) -> None:
        """An output that is an input, a constant, or another output too."""
        name = self.mapper.names[value]
        call = OnnxCall(
            "Identity", "", [self._value(inner)], {}, [(name, settled(value.type, name))],
            origin=self.origin,
        )  # fmt: skip
        self.mapper.values[value] = self.mapper.builder.call(call).output


def _symbols(pairs: object) -> dict[str, str]:
    """The sizes of the graph by the symbols that stand for them in the piece."""
    found: dict[str, str] = {}
    for inner, value in pairs:  # type: ignore[attr-defined]
        for new, old in zip(inner.shape or (), value.shape or (), strict=False):
            if isinstance(new, str) and new.isidentifier():
                found.setdefault(new, str(old) if str(old).isidentifier() else f"({old})")
    return found


def renamed(type: TensorType, symbols: Mapping[str, str]) -> TensorType:
    """The type with other names for symbolic sizes."""
    if type.shape is None:
        return type
    dims = (
        _bare(re.sub(r"[A-Za-z_]\w*", lambda m: symbols.get(m[0], m[0]), d))
        if isinstance(d, str)
        else d
        for d in type.shape
    )
    return TensorType(type.dtype, tuple(dims))


def _bare(size: str) -> int | str:
    inner = size[1:-1]
    alone = size.startswith("(") and size.endswith(")") and "(" not in inner
    return inner if alone else size
