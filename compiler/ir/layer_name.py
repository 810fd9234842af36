"""The name of a layer on both sides of the export."""

from __future__ import annotations

from sparqc.ir.graph import Node


def layer_name(node: Node, known: set[str]) -> str:
    """The name under which a pass before the export knew the layer.

    A Linear becomes MatMul and Add; the Add then carries the layer's name.
    """
    name = node.output.name
    if name not in known and len(node.output.readers) == 1:
        reader = node.output.readers[0]
        if reader.op == "nn.add" and reader.output.name in known:
            return reader.output.name
    return name
