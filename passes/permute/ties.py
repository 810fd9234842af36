"""What one operator says about the orders along the axes of what it reads and gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from sparqc.ir.graph import Node, Value
from sparqc.ir.layer_names import name_of
from sparqc.passes.permute.segments import Layout, Segment, pin, unify

#: An axis of a value, counted from the front.
Axis = tuple[Value, int]


@dataclass
class Orders:
    """How the axes of a graph are laid out, as far as they were asked for."""

    layouts: dict[Axis, Layout] = field(default_factory=dict)

    def layout(self, axis: Axis) -> Layout | None:
        """The layout of an axis, of free channels at first; None where its size is not known."""
        size = size_of(axis)
        if isinstance(size, str):
            return None
        if axis not in self.layouts:
            self.layouts[axis] = ((Segment(size), 1),)
        return self.layouts[axis]

    def pin(self, axis: Axis, reason: str) -> None:
        """Fix the order along an axis."""
        layout = self.layout(axis)
        if layout is not None:
            pin(layout, reason)


def size_of(axis: Axis) -> int | str:
    """The size of an axis; a name where it is symbolic."""
    value, index = axis
    assert value.shape is not None
    return value.shape[index]


def axes_of(value: Value) -> list[Axis]:
    """Every axis of a value, none where its rank is not known."""
    return [(value, index) for index in range(value.type.rank or 0)]


@dataclass
class Ties:
    """Collects what the rule of one operator declares; whatever it does not mention is pinned."""

    orders: Orders
    node: Node
    mentioned: set[Axis] = field(default_factory=set)

    def same(self, *axes: Axis) -> None:
        """These axes have one order.  An axis of size 1 is stretched, which ties nothing."""
        self.mentioned.update(axes)
        several = [axis for axis in axes if size_of(axis) != 1]
        layouts = [self.orders.layout(axis) for axis in several]
        known = [layout for layout in layouts if layout is not None]
        if len(known) < len(layouts):
            for layout in known:
                pin(layout, self.reason("has a size there that is not known"))
            return
        for layout in known[1:]:
            unify(known[0], layout, self.reason("cuts them differently"))

    def free(self, *axes: Axis) -> None:
        """The result is the same in whichever order these axes are, and so is its meaning."""
        self.mentioned.update(axes)
        for axis in axes:
            self.orders.layout(axis)

    def made_of(self, axis: Axis, parts: Sequence[Layout | None]) -> None:
        """The axis is these parts, one behind the other; None: its size is not known."""
        self.mentioned.add(axis)
        whole = self.orders.layout(axis)
        known = [piece for part in parts if part is not None for piece in part]
        if whole is None or None in parts:
            pin(tuple(known) + (whole or ()), self.reason("has a size there that is not known"))
        else:
            unify(tuple(known), whole, self.reason("cuts them differently"))

    def blocks(self, axis: Axis, block: int) -> Layout | None:
        """The layout of an axis each of whose positions is `block` positions elsewhere."""
        self.mentioned.add(axis)
        layout = self.orders.layout(axis)
        return layout and tuple((segment, stride * block) for segment, stride in layout)

    def pin_the_rest(self) -> None:
        """Fix the order along every axis that was not mentioned."""
        for value in (*self.node.inputs, *self.node.outputs):
            for axis in axes_of(value):
                if axis not in self.mentioned:
                    self.orders.pin(axis, self.reason("needs them in this order"))

    def reason(self, why: str) -> str:
        """A reason that names the operator."""
        return f"{self.node.op} {name_of(self.node)!r} {why}"
