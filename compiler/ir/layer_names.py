"""What people call an operator, and which ones they mean: `conv_9 (c2.m.a.conv)`.

The name of what it gives, or of the ONNX node, stands first; the module that it comes from behind
it, where that is known and says more.  Wherever a person names an operator, either will do, a glob
over either, or both as they are printed.
"""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase

from sparqc.ir.graph import Graph, Node, Value


def layer_name(name: str, module: str) -> str:
    """`conv_9 (c2.m.a.conv)`; the name alone where no module is known, or where it says as much.

    What the node NODE gives, exporters call NODE_output_0; a node that gives NAME, OPERATOR_NAME.
    """
    said = name == module or name.startswith(f"{module}_output_") or module.endswith(f"_{name}")
    if not module or said:
        return name
    return f"{name} ({module})"


def name_of(node: Node) -> str:
    """What people call the operator of a graph."""
    return layer_name(node.outputs[0].name if node.outputs else node.op, node.origin.module)


def value_name(value: Value) -> str:
    """What people call a value: as the operator that gives it, where there is one."""
    node = value.producer
    return value.name if node is None else layer_name(value.name, node.origin.module)


def is_meant(wanted: str, name: str, module: str) -> bool:
    """Whether a person's words mean what has that name and comes from that module.

    They are one of the two, a glob over one, both as `layer_name` puts them, or `%NAME` for the
    very name.
    """
    if wanted.startswith("%"):
        return wanted[1:] == name
    return any(
        text and (wanted == text or fnmatchcase(text, wanted))
        for text in (name, module, layer_name(name, module))
    )


def nodes_meant(graph: Graph, wanted: str) -> list[Node]:
    """The operators of a graph that a person's words mean, in its order."""
    return [
        node
        for node in graph.nodes
        if any(is_meant(wanted, v.name, node.origin.module) for v in node.outputs)
    ]


def known_names(nodes: Iterable[Node]) -> list[str]:
    """All that operators may be called, each once: for a hint on words that mean none."""
    names = [(value.name, node.origin.module) for node in nodes for value in node.outputs]
    return sorted({text for pair in names for text in pair if text})
