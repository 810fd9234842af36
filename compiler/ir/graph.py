"""The graph that every rule and every pass sees, whether it came from torch.fx or from ONNX.

A `Graph` is a list of `Node`s in topological order.  Each node applies one operator of the
vocabulary (`nn.conv`, `q.qdq`, or a raw `aten.*` / `onnx.*`) to `Value`s and defines new ones.
Graphs are in SSA form: a value is defined once, by a node, as a graph input or as a constant.

The adapters (`sparqc.ir.fx.adapter`, `sparqc.ir.onnx.adapter`) read a native graph into this one
and write it back.  What a raw operator needs beyond its tensors travels in `Node.raw` and
`Graph.native`, which nothing but the adapter of that level looks into.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparqc.ir.types import Level, Shape

Array = NDArray[Any]
Attribute = None | bool | int | float | str | Array | tuple["Attribute", ...]


@dataclass(frozen=True)
class TensorType:
    """Element type and shape of a value.

    `dtype` is one of f64 f32 f16 bf16 i64 i32 i16 i8 u8 bool, "sym" for a symbolic integer,
    "list" for a value that is no tensor, "?" where it is unknown.  `shape` is None where even the
    rank is unknown.
    """

    dtype: str = "?"
    shape: Shape | None = None

    @property
    def rank(self) -> int | None:
        """Number of dimensions, or None where unknown."""
        return None if self.shape is None else len(self.shape)


@dataclass(frozen=True)
class Origin:
    """Where a node comes from: the module and line of the user's model, and the rules since."""

    module: str = ""  # "layer1.0.conv1"
    source: str = ""  # "model.py:12"
    rules: tuple[str, ...] = ()  # "patterns/algebra/fold.spq:12 fold_batch_norm", oldest first

    def after(self, rule: str) -> Origin:
        """The same origin once `rule` has rewritten the node."""
        return self if rule in self.rules else replace(self, rules=(*self.rules, rule))


class Value:
    """One tensor of a graph.  Compared by identity.

    `producer` is the node that defines it, None for inputs and constants; `data` is the array of a
    constant, None otherwise.
    """

    __slots__ = ("_readers", "data", "index", "name", "outputs", "producer", "type")

    def __init__(
        self,
        name: str,
        type: TensorType,
        producer: Node | None = None,
        index: int = 0,
        data: Array | None = None,
    ) -> None:
        self.name, self.type, self.producer, self.index, self.data = (
            name,
            type,
            producer,
            index,
            data,
        )
        #: How often each node reads the value, in the order in which they began to.
        self._readers: dict[Node, int] = {}
        #: How many graph outputs the value is.
        self.outputs = 0

    @property
    def readers(self) -> tuple[Node, ...]:
        """The nodes that read the value, each once, in a deterministic order."""
        return tuple(self._readers)

    @property
    def reader_count(self) -> int:
        """How many nodes read the value, without listing them."""
        return len(self._readers)

    @property
    def is_output(self) -> bool:
        """Whether the value is an output of the graph."""
        return self.outputs > 0

    @property
    def is_const(self) -> bool:
        """Whether the value is a constant tensor (a parameter, a buffer, an initializer)."""
        return self.data is not None

    @property
    def is_input(self) -> bool:
        """Whether the value is an input of the graph."""
        return self.producer is None and self.data is None

    @property
    def shape(self) -> Shape | None:
        """Shorthand for `type.shape`."""
        return self.type.shape

    def __repr__(self) -> str:
        return f"%{self.name}"


class Node:
    """One application of an operator.  Compared by identity, hashable.

    `operands` maps operand names to what they take, in the table's order; `attributes` holds every
    attribute of the operator, defaults filled in.  `layers` is what passes call what the node
    computes (`sparqc.ir.layer_identity`).  `raw` belongs to the adapter.
    """

    __slots__ = (
        "_next",
        "_prev",
        "attributes",
        "graph",
        "id",
        "layers",
        "op",
        "operands",
        "origin",
        "outputs",
        "raw",
    )

    def __init__(self, graph: Graph, id: int, op: str) -> None:
        self.graph, self.id, self.op = graph, id, op
        self.operands: dict[str, Value | tuple[Value, ...] | None] = {}
        self.attributes: dict[str, Attribute] = {}
        self.outputs: tuple[Value, ...] = ()
        self.origin = Origin()
        self.layers: tuple[str, ...] = ()
        self.raw: Any = None
        self._prev: Node | None = None
        self._next: Node | None = None

    @property
    def inputs(self) -> Iterator[Value]:
        """Every value the node reads, in operand order, repeated where read twice."""
        for operand in self.operands.values():
            if isinstance(operand, Value):
                yield operand
            elif operand is not None:
                yield from operand

    def slots_of(self, value: Value) -> tuple[str, ...]:
        """The operand slots in which the node reads a value, variadic ones included."""
        return tuple(
            slot
            for slot, operand in self.operands.items()
            if operand is value or (isinstance(operand, tuple) and value in operand)
        )

    @property
    def output(self) -> Value:
        """The first output; most operators have just this one."""
        return self.outputs[0]

    def __repr__(self) -> str:
        return f"<{', '.join(map(repr, self.outputs))} = {self.op}>"


@dataclass(eq=False)
class Graph:
    """A graph of one level.  Every change goes through its methods, which keep readers right."""

    level: Level
    name: str = "graph"
    inputs: list[Value] = field(default_factory=list)
    #: Replaced through `set_outputs` and `replace` only.
    outputs: list[Value] = field(default_factory=list)
    #: The names the outputs have to the world; they survive every rewrite.
    output_names: list[str] = field(default_factory=list)
    #: What the adapter must remember of the native graph (output structure, opset, metadata).
    native: Any = None

    def __post_init__(self) -> None:
        self._first: Node | None = None
        self._last: Node | None = None
        self._count = 0
        self._size = 0
        self._values: dict[str, Value] = {}
        self._serials: dict[str, int] = {}
        #: Counts the changes of structure; analyses keep their results as long as it stands still.
        self.version = 0
        #: The runner that `sparqc.ir.levels.kept` keeps for the graph; a change drops it.
        self.kept: Any = None
        #: Whoever wants to know what takes the place of what puts a list here; an export, what the
        #: values become in the graph that it makes.
        self.replaced: list[tuple[Value, Value]] | None = None

    # -- reading ---------------------------------------------------------------------------------

    @property
    def nodes(self) -> Iterator[Node]:
        """The nodes in topological order.  The node at hand may be erased while iterating."""
        node = self._first
        while node is not None:
            following = node._next
            yield node
            node = following

    def __len__(self) -> int:
        """How many nodes there are."""
        return self._size

    @property
    def constants(self) -> Iterator[Value]:
        """The constants, in the order in which they were added."""
        return (v for v in list(self._values.values()) if v.is_const)

    @property
    def values(self) -> Iterator[Value]:
        """Every value: inputs, constants, and what the nodes define."""
        return iter(self._values.values())

    def value(self, name: str) -> Value:
        """The value of that name; KeyError where there is none."""
        return self._values[name]

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def clone(self) -> Graph:
        """A copy with values and nodes of its own; arrays and the adapter's data are shared."""
        copy = Graph(self.level, self.name, native=self.native)
        values = {
            v: Value(v.name, v.type, index=v.index, data=v.data) for v in self._values.values()
        }
        nodes = {node: _copy_node(node, copy, values) for node in self.nodes}
        for old, new in values.items():
            new._readers = {nodes[reader]: count for reader, count in old._readers.items()}
            new.outputs = old.outputs
            copy._values[new.name] = new
        for node in nodes.values():
            copy._link(node, None)
        copy.inputs = [values[v] for v in self.inputs]
        copy.outputs = [values[v] for v in self.outputs]
        copy.output_names = list(self.output_names)
        copy._count, copy._serials = self._count, dict(self._serials)
        return copy

    # -- building --------------------------------------------------------------------------------

    def fresh(self, hint: str) -> str:
        """A name like `hint` that no value has: "conv", "conv_1", "conv_2", …"""
        if hint not in self._values:
            return hint
        stem = re.sub(r"_\d+$", "", hint)
        number = self._serials.get(stem, 1)
        while f"{stem}_{number}" in self._values:
            number += 1
        self._serials[stem] = number + 1
        return f"{stem}_{number}"

    def _register(self, value: Value) -> Value:
        if value.name in self._values:
            raise ValueError(f"the graph already has a value named {value.name!r}")
        self._values[value.name] = value
        return value

    def add_input(self, name: str, type: TensorType) -> Value:
        """Append a graph input."""
        value = self._register(Value(self.fresh(name), type))
        self.inputs.append(value)
        return value

    def constant(self, data: Array, name: str = "const") -> Value:
        """Add a constant tensor; the array is kept, not copied."""
        data = np.asarray(data)
        type = TensorType(dtype_name(data.dtype), tuple(data.shape))
        return self._register(Value(self.fresh(name), type, data=data))

    def create(
        self,
        op: str,
        operands: Mapping[str, Value | Sequence[Value] | None],
        attributes: Mapping[str, Attribute] | None = None,
        *,
        types: Sequence[TensorType] = (TensorType(),),
        names: Sequence[str] | None = None,
        before: Node | None = None,
        origin: Origin | None = None,
        raw: Any = None,
    ) -> Node:
        """Add a node in front of `before` (at the end without it), one output for each type."""
        node = Node(self, self._count, op)
        self._count += 1
        for slot, operand in operands.items():
            node.operands[slot] = (
                operand if operand is None or isinstance(operand, Value) else tuple(operand)
            )
        for value in node.inputs:
            value._readers[node] = value._readers.get(node, 0) + 1
        node.attributes = dict(attributes or {})
        node.origin, node.raw = origin or Origin(), raw
        hints = names or [op.rpartition(".")[2]] * len(types)
        node.outputs = tuple(
            self._register(Value(self.fresh(hint), type, node, index))
            for index, (hint, type) in enumerate(zip(hints, types, strict=True))
        )
        self._link(node, before)
        return node

    def set_outputs(self, values: Sequence[Value], names: Sequence[str] | None = None) -> None:
        """Declare the graph outputs."""
        for value in self.outputs:
            value.outputs -= 1
        self.outputs = list(values)
        for value in self.outputs:
            value.outputs += 1
        self.output_names = list(names) if names is not None else [v.name for v in values]

    def _changed(self) -> None:
        self.version += 1
        self.kept = None

    # -- changing --------------------------------------------------------------------------------

    def replace(self, old: Value, new: Value) -> None:
        """Let every reader of `old`, and every graph output it is, take `new` instead."""
        if old is new:
            return
        self._changed()
        if self.replaced is not None:
            self.replaced.append((old, new))
        for node in old.readers:
            for slot, operand in node.operands.items():
                if operand is old:
                    node.operands[slot] = new
                elif isinstance(operand, tuple) and old in operand:
                    node.operands[slot] = tuple(new if v is old else v for v in operand)
            new._readers[node] = new._readers.get(node, 0) + old._readers[node]
        old._readers.clear()
        if old.outputs:
            self.outputs = [new if v is old else v for v in self.outputs]
            new.outputs += old.outputs
            old.outputs = 0

    def set_operand(self, node: Node, slot: str, operand: Value | Sequence[Value] | None) -> None:
        """Let one operand of a node take another value (or values, or nothing)."""
        self._changed()
        for value in _values_of(node.operands.get(slot)):
            value._readers[node] -= 1
            if not value._readers[node]:
                del value._readers[node]
        node.operands[slot] = (
            operand if operand is None or isinstance(operand, Value) else tuple(operand)
        )
        for value in _values_of(node.operands[slot]):
            value._readers[node] = value._readers.get(node, 0) + 1

    def redirect(self, node: Node, slot: str, old: Value, new: Value) -> None:
        """Let one slot of a node read `new` where it read `old`."""
        operand = node.operands[slot]
        if isinstance(operand, tuple):
            self.set_operand(node, slot, [new if v is old else v for v in operand])
        else:
            self.set_operand(node, slot, new)

    def rename(self, value: Value, name: str) -> None:
        """Give a value another name; ValueError where the name is taken."""
        if value.name == name:
            return
        if name in self._values:
            raise ValueError(f"the graph already has a value named {name!r}")
        del self._values[value.name]
        value.name = name
        self._values[name] = value

    def erase(self, node: Node) -> None:
        """Remove a node whose outputs nobody reads."""
        for value in node.outputs:
            if value._readers or value.is_output:
                raise ValueError(f"{node!r} is still read")
        for slot in list(node.operands):
            self.set_operand(node, slot, None)
        for value in node.outputs:
            del self._values[value.name]
        self._unlink(node)

    def drop_dead(self, candidates: Iterable[Node] | None = None) -> int:
        """Remove nodes whose outputs nobody reads, then unread constants; count the nodes.

        With `candidates`, looks at these and what dies with them only (work in proportion to the
        rewrite, not to the graph).
        """
        stack = list(self.nodes) if candidates is None else list(candidates)
        dropped: set[Node] = set()
        while stack:
            node = stack.pop()
            if node in dropped or any(v._readers or v.is_output for v in node.outputs):
                continue
            sources = list(node.inputs)
            self.erase(node)
            dropped.add(node)
            for value in sources:
                if value.producer is not None:
                    stack.append(value.producer)
                elif candidates is not None:
                    self.drop_constant(value)
        if candidates is None:
            for value in self.constants:
                self.drop_constant(value)
        return len(dropped)

    def drop_constant(self, value: Value) -> None:
        """Forget a value if it is a constant that nobody reads."""
        if value.is_const and not value._readers and not value.is_output:
            self._values.pop(value.name, None)

    def move_before(self, node: Node, anchor: Node) -> None:
        """Move a node in front of another."""
        self._unlink(node)
        self._link(node, anchor)

    def sort(self) -> None:
        """Restore topological order, moving as little as possible (stable)."""
        placed: set[Node] = set()
        order: list[Node] = []
        for root in list(self.nodes):
            stack = [root]
            while stack:
                node = stack[-1]
                missing = [
                    v.producer for v in node.inputs if v.producer and v.producer not in placed
                ]
                if node in placed or not missing:
                    stack.pop()
                    if node not in placed:
                        placed.add(node)
                        order.append(node)
                else:
                    stack.extend(reversed(missing))
        self._first = self._last = None
        self._size = 0
        for node in order:
            node._prev = node._next = None
            self._link(node, None)

    def verify(self) -> None:
        """Raise ValueError where an invariant of the structure is broken (a bug in a pass)."""
        known: set[int] = {id(v) for v in self.inputs}
        counted: dict[Value, dict[Node, int]] = {}
        for node in self.nodes:
            for value in node.inputs:
                if value.producer is None and not value.is_const and id(value) not in known:
                    raise ValueError(f"{node!r} reads {value!r}, which is not in the graph")
                if value.producer is not None and id(value) not in known:
                    raise ValueError(f"{node!r} reads {value!r} before it is defined")
                table = counted.setdefault(value, {})
                table[node] = table.get(node, 0) + 1
            for value in node.outputs:
                if value.producer is not node or self._values.get(value.name) is not value:
                    raise ValueError(f"{value!r} is not registered as an output of {node!r}")
                known.add(id(value))
        for value in self._values.values():
            if value._readers != counted.get(value, {}):
                raise ValueError(f"the readers of {value!r} are out of step")
            if value.outputs != sum(v is value for v in self.outputs):
                raise ValueError(f"the output count of {value!r} is out of step")

    # -- the linked list -------------------------------------------------------------------------

    def _link(self, node: Node, before: Node | None) -> None:
        self._changed()
        previous = self._last if before is None else before._prev
        node._prev, node._next = previous, before
        if previous is None:
            self._first = node
        else:
            previous._next = node
        if before is None:
            self._last = node
        else:
            before._prev = node
        self._size += 1

    def _unlink(self, node: Node) -> None:
        self._changed()
        if node._prev is None:
            self._first = node._next
        else:
            node._prev._next = node._next
        if node._next is None:
            self._last = node._prev
        else:
            node._next._prev = node._prev
        node._prev = node._next = None
        self._size -= 1


def _copy_node(node: Node, graph: Graph, values: Mapping[Value, Value]) -> Node:
    """The node over other values, not yet linked into its graph."""
    copy = Node(graph, node.id, node.op)
    for slot, operand in node.operands.items():
        one = operand is None or isinstance(operand, Value)
        copied = tuple(values[v] for v in _values_of(operand))
        copy.operands[slot] = next(iter(copied), None) if one else copied
    copy.attributes = dict(node.attributes)
    copy.origin, copy.layers, copy.raw = node.origin, node.layers, node.raw
    copy.outputs = tuple(values[v] for v in node.outputs)
    for value in copy.outputs:
        value.producer = copy
    return copy


def _values_of(operand: Value | tuple[Value, ...] | None) -> tuple[Value, ...]:
    if operand is None:
        return ()
    return (operand,) if isinstance(operand, Value) else operand


_DTYPES = {
    "float64": "f64", "float32": "f32", "float16": "f16", "bfloat16": "bf16", "int64": "i64",
    "int32": "i32", "int16": "i16", "int8": "i8", "uint8": "u8", "bool": "bool",
}  # fmt: skip


def dtype_name(dtype: Any) -> str:
    """The short name of a numpy dtype: float32 -> "f32"; the dtype's own name for others."""
    name: str = np.dtype(dtype).name
    return _DTYPES.get(name, name)
