"""In-place operators: how each is read as its functional form.

`x.relu_()` gives x a new value: from there on every use of x means the new one.  Where x is a part
of another tensor (`x = y[:, 1]`), that one gets a new value too, with the new part put into it.
What cannot be read so is another view of the same memory that is used afterwards.
"""

from __future__ import annotations

import operator
from collections.abc import Container, Iterator
from dataclasses import dataclass, field

import torch
from torch import fx

from sparqc.errors import SparqcError
from sparqc.ir.fx.origin import source_of

#: These may give back their input itself, though their schemas do not say so.
_MAY_ALIAS = frozenset({
    "dropout", "feature_dropout", "alpha_dropout", "feature_alpha_dropout", "broadcast_tensors",
    "meshgrid", "expand_as",
})  # fmt: skip


class InPlaceError(SparqcError):
    """A tensor is changed in place while another view of its memory is still used."""


def changed_input(node: fx.Node) -> fx.Node | None:
    """The tensor that a call changes in place, None for functional calls."""
    if not isinstance(node.target, torch._ops.OpOverload):
        return None
    for index, argument in enumerate(node.target._schema.arguments):
        if argument.alias_info is not None and argument.alias_info.is_write:
            value = node.kwargs.get(argument.name)
            value = node.args[index] if index < len(node.args) else value
            return value if isinstance(value, fx.Node) else None
    return None


def _viewed(node: fx.Node) -> Iterator[fx.Node]:
    """The tensors on whose memory the result of a call may lie."""
    if node.op != "call_function":
        return
    if node.target is operator.getitem or _may_alias(node.target):
        yield from node.all_input_nodes[:1]
    elif isinstance(node.target, torch._ops.OpOverload):
        if any(r.alias_info is not None for r in node.target._schema.returns):
            yield from node.all_input_nodes[:1]
    elif isinstance(node.target, torch._ops.HigherOrderOperator):
        yield from node.all_input_nodes


def _may_alias(target: object) -> bool:
    packet = getattr(target, "_overloadpacket", None)
    return packet is not None and packet.__name__.rstrip("_") in _MAY_ALIAS


@dataclass(frozen=True)
class InPlace:
    """What in-place calls change, each by the node of the call."""

    #: The node whose value the call replaces.
    target: dict[fx.Node, fx.Node] = field(default_factory=dict)
    #: The slices that lead from the target to what it is a part of, innermost first; each is read
    #: as a value put into the tensor that it was cut from.
    parts: dict[fx.Node, tuple[fx.Node, ...]] = field(default_factory=dict)

    def current(self, node: fx.Node) -> fx.Node:
        """The node that holds the value of `node`: an in-place call gives back what it changed."""
        return self.target.get(node, node)


def check_in_place(graph: fx.Graph, exempt: Container[fx.Node] = frozenset()) -> InPlace:
    """What the in-place calls of a graph change.

    `exempt` are calls that run for real while the graph is read: they may do as they like.
    Raises InPlaceError where a call cannot be read as its functional form.
    """
    found = InPlace()
    memory: dict[fx.Node, fx.Node] = {}
    members: dict[fx.Node, list[fx.Node]] = {}
    position = {node: index for index, node in enumerate(graph.nodes)}
    for node in graph.nodes:
        changed = changed_input(node)
        if changed is not None and node not in exempt:
            changed = found.current(changed)
            _check_state(node, memory[changed])
            later = {
                found.current(other)
                for other in members[memory[changed]]
                if any(position[user] > position[node] for user in other.users)
            }
            found.parts[node] = _parts(node, changed, later - {changed}, found)
            found.target[node] = changed
        roots = [memory[v] for v in _viewed(node)] if changed is None else [memory[changed]]
        memory[node] = roots[0] if roots else node
        members.setdefault(memory[node], []).append(node)
    return found


def _parts(
    node: fx.Node, changed: fx.Node, later: set[fx.Node], found: InPlace
) -> tuple[fx.Node, ...]:
    """The slices from `changed` up to the tensors that are used later."""
    parts: list[fx.Node] = []
    part = changed
    while later:
        packet = getattr(part.target, "_overloadpacket", None)
        if packet not in (torch.ops.aten.slice, torch.ops.aten.select):
            raise InPlaceError(
                f"{_place(node)} changes a tensor in place while another view of it is used later",
                hint="replace the in-place operation by one that gives a new tensor",
            )
        parts.append(part)
        part = found.current(part.all_input_nodes[0])
        later.discard(part)
    return tuple(parts)


def _check_state(node: fx.Node, memory: fx.Node) -> None:
    if memory.op == "get_attr":
        raise InPlaceError(
            f"{_place(node)} changes {memory.target} in place, a tensor of the module",
            hint="a compiled model keeps no state; compute a new tensor instead",
        )


def _place(node: fx.Node) -> str:
    source = source_of(node.meta.get("stack_trace") or "")
    return f"{source}: {node.target}" if source else str(node.target)
