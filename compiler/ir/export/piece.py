"""A region of an FX graph cut out as a graph of its own."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from sparqc.ir.export.regions import Region
from sparqc.ir.fx.native import FxNative
from sparqc.ir.graph import Graph, Node, Value

#: Up to so many numbers a constant is one of the piece: torch.onnx computes with it.  A larger one
#: is an input, and stays the array that it is.
MOST_NUMBERS = 64


@dataclass(frozen=True)
class Piece:
    """The graph, and what its inputs and outputs are in the graph that it is cut from."""

    graph: Graph
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    #: Equal for pieces that compute the same from inputs of the same types.
    key: str


def cut(region: Region) -> Piece:
    """The piece of a region."""
    source = region.nodes[0].graph
    tensors = source.native.tensors if isinstance(source.native, FxNative) else {}
    graph = Graph("fx", "piece", native=FxNative(tensors))
    values: dict[Value, Value] = {}
    inputs: list[Value] = []
    lines: list[str] = []
    for value in region.inputs:
        if value.data is not None and value.data.size <= MOST_NUMBERS:
            values[value] = graph.constant(value.data, value.name)
            lines.append(f"{value.name in tensors} {_text(value.data)}")
        else:
            values[value] = graph.add_input(f"x{len(inputs)}", value.type)
            inputs.append(value)
            lines.append(str(value.type))
    for node in (*region.sizes, *region.nodes):
        places = {value: place for place, value in enumerate(values)}
        lines.append(_line(node, places))
        values.update(zip(node.outputs, _copy(node, graph, values), strict=True))
    outputs = region.outputs
    places = {value: place for place, value in enumerate(values)}
    lines.append(str([places[v] for v in outputs]))
    graph.set_outputs([values[v] for v in outputs], [f"y{i}" for i in range(len(outputs))])
    return Piece(graph, tuple(inputs), tuple(outputs), "\n".join(lines))


def _copy(node: Node, graph: Graph, values: dict[Value, Value]) -> tuple[Value, ...]:
    made = graph.create(
        node.op,
        {slot: _mapped(operand, values) for slot, operand in node.operands.items()},
        node.attributes,
        types=[v.type for v in node.outputs],
        names=[v.name for v in node.outputs],
        origin=node.origin,
        raw=node.raw,
    )
    return made.outputs


def _mapped(operand: Any, values: dict[Value, Any]) -> Any:
    if isinstance(operand, tuple):
        return tuple(values[v] for v in operand)
    return None if operand is None else values[operand]


def _line(node: Node, places: dict[Value, int]) -> str:
    """An operator, its attributes, and its operands by their number."""
    operands = {slot: _mapped(operand, places) for slot, operand in node.operands.items()}
    attributes = {name: _text(attribute) for name, attribute in node.attributes.items()}
    types = [v.type for v in node.outputs]
    # What is in a template (a submodule) is the same where the template is the same object.
    return f"{node.op} {operands} {attributes} {types} {id(node.raw) if node.raw else ''}"


def _text(item: Any) -> str:
    if isinstance(item, np.ndarray):
        digest = hashlib.sha256(item.tobytes()).hexdigest()
        return f"{item.dtype} {item.shape} {digest}"
    return repr(item)
