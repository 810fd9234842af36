"""Writing FP16 into a graph: types, scales, constants, and a Cast where two types meet."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import cast

import numpy as np

from sparqc.ir.graph import Graph, Node, TensorType, Value
from sparqc.ir.quantizers import CONVERSIONS, is_dequantized
from sparqc.passes.half.kept import fits
from sparqc.passes.half.types import FULL, HALF, Signature, as_half


@dataclass
class Typing:
    """Which type every value gets, once it is known which operators are FP16."""

    signatures: Mapping[Node, Signature]
    #: The operators that are not FP16.
    full: Collection[Node]

    def of(self, value: Value) -> str:
        """The type of a value that is computed or fed in FP32 now; constants and what is
        dequantized take whatever type is wanted of them."""
        node = value.producer
        if node is None or node in self.full or node not in self.signatures:
            return value.type.dtype
        return HALF if value in self.signatures[node].results else value.type.dtype

    def wanted(self, node: Node, value: Value) -> str:
        """The type in which an operator takes an FP32 value, "" where it takes either."""
        if node.op == "q.quantize":
            return ""
        signature = self.signatures.get(node, Signature())
        if value in signature.free:
            return ""
        return HALF if value in signature.bound and node not in self.full else FULL


@dataclass
class Writer:
    """Carries a typing out; `casts` counts the Casts that it took."""

    graph: Graph
    typing: Typing
    casts: int = 0
    #: A value in another type, by that type.
    _versions: dict[tuple[Value, str], Value] = field(default_factory=dict)
    #: DequantizeLinears whose type is decided.
    _dequantized: dict[Value, str] = field(default_factory=dict)

    def write(self) -> None:
        """Change the graph; every value that was FP32 may be FP16 afterwards."""
        self._convert_constants()
        for node in list(self.graph.nodes):
            if node.op not in CONVERSIONS or node.op == "q.quantize":
                self._convert_operands(node)
        self._convert_outputs()
        for node in self.graph.nodes:
            self._convert_results(node)
        for node in [n for n in self.graph.nodes if _scale_of(n) is not None]:
            self._set_scale(node)
        drop_casts(self.graph)
        self.graph.drop_dead()

    # -- operands ----------------------------------------------------------------------------------

    def _convert_constants(self) -> None:
        """Constants that all readers take in FP16 are converted where they stand."""
        for constant in list(self.graph.constants):
            if constant.type.dtype != FULL or constant.is_output or constant.data is None:
                continue
            if all(self._wants_half(node, constant) for node in constant.readers):
                constant.data = as_half(constant.data)
                constant.type = TensorType(HALF, constant.shape)

    def _wants_half(self, node: Node, value: Value) -> bool:
        return node.op not in CONVERSIONS and self.typing.wanted(node, value) == HALF

    def _convert_operands(self, node: Node) -> None:
        for value in dict.fromkeys(node.inputs):
            if value.type.dtype != FULL or (node.op == "q.quantize" and value.is_const):
                continue
            wanted = self.typing.wanted(node, value)
            if wanted:
                new = self._version(value, wanted, node)
                for slot in node.slots_of(value) if new is not value else ():
                    self.graph.redirect(node, slot, value, new)

    def _version(self, value: Value, wanted: str, reader: Node | None) -> Value:
        """A value in the wanted type: itself, a constant, a dequantized copy, or a Cast."""
        if is_dequantized(value) and self._dequantized.setdefault(value, wanted) == wanted:
            return value
        if not is_dequantized(value) and self.typing.of(value) == wanted:
            return value
        if (value, wanted) not in self._versions:
            self._versions[value, wanted] = self._new_version(value, wanted, reader)
        return self._versions[value, wanted]

    def _new_version(self, value: Value, wanted: str, reader: Node | None) -> Value:
        if value.data is not None:
            return self.graph.constant(as_half(value.data), value.name)
        type_, producer = TensorType(wanted, value.shape), value.producer
        if producer is not None and is_dequantized(value):
            operands, attributes, op = dict(producer.operands), producer.attributes, producer.op
        else:
            operands, attributes, op = {"x": value}, {"to": wanted}, "nn.cast"
            self.casts += 1
        new = self.graph.create(
            op, operands, attributes, types=[type_], names=[f"{value.name}.{wanted}"],
            before=reader, origin=producer.origin if producer else None,
        ).output  # fmt: skip
        if op == "q.dequantize":
            self._dequantized[new] = wanted
        return new

    def _convert_outputs(self) -> None:
        """Graph outputs keep their type."""
        kept = [v if v.is_const else self._output(v) for v in self.graph.outputs]
        if kept != self.graph.outputs:
            self.graph.set_outputs(kept, self.graph.output_names)

    def _output(self, value: Value) -> Value:
        return self._version(value, FULL, None) if value.type.dtype == FULL else value

    # -- results -----------------------------------------------------------------------------------

    def _convert_results(self, node: Node) -> None:
        """Give the results of an FP16 operator their type, and the attribute that names it."""
        if node in self.typing.full or node not in self.typing.signatures:
            return
        results = self.typing.signatures[node].results
        for value in results:
            value.type = TensorType(HALF, value.shape)
        fill = node.attributes.get("value")
        if results and node.op == "nn.cast":
            node.attributes["to"] = HALF
        elif results and isinstance(fill, np.ndarray) and fill.dtype == np.float32:
            node.attributes["value"] = as_half(fill)

    def _set_scale(self, node: Node) -> None:
        """Give a quantizer the scale in the type of its float side, rounded alike on both sides."""
        scale, dtype = cast(Value, node.operands["scale"]), self._dtype_of(node)
        assert scale.data is not None
        if fits(scale.data):
            scale.data = as_half(scale.data).astype(scale.data.dtype)
        if node.op == "q.dequantize":
            node.output.type = TensorType(dtype, node.output.shape)
        if dtype == HALF:
            self.graph.set_operand(node, "scale", self._half_scale(scale))

    def _half_scale(self, scale: Value) -> Value:
        """A scale in FP16: itself, unless a quantizer reads it in FP32."""
        assert scale.data is not None
        if all(n.op in CONVERSIONS and self._dtype_of(n) == HALF for n in scale.readers):
            scale.data, scale.type = as_half(scale.data), TensorType(HALF, scale.shape)
            return scale
        if (scale, HALF) not in self._versions:
            self._versions[scale, HALF] = self.graph.constant(as_half(scale.data), scale.name)
        return self._versions[scale, HALF]

    def _dtype_of(self, node: Node) -> str:
        """The type of the float side of a quantizer."""
        if node.op == "q.dequantize":
            return self._dequantized.get(node.output, HALF)  # its readers take either
        return cast(Value, node.operands["x"]).type.dtype


def drop_casts(graph: Graph) -> None:
    """Remove the model's own Casts that change nothing any more."""
    for node in list(graph.nodes):
        x = node.operands.get("x")
        if node.op != "nn.cast" or not isinstance(x, Value):
            continue
        is_end = node.output.is_output and (x.is_input or x.is_const)
        if x.type.dtype == node.attributes["to"] and not is_end:
            graph.replace(node.output, x)
            graph.erase(node)


def _scale_of(node: Node) -> Value | None:
    """The FP32 scale of a quantizer, where it is known."""
    scale = node.operands.get("scale") if node.op in CONVERSIONS else None
    known = isinstance(scale, Value) and scale.data is not None and scale.type.dtype == FULL
    return cast(Value, scale) if known else None
