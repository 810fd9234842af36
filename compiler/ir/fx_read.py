"""Read an exported torch.fx graph into a `Graph`."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import fx

from sparqc.errors import SparqcError
from sparqc.ir.forms import FLOATS
from sparqc.ir.fx_alias import InPlaceError, changed_input, check_in_place
from sparqc.ir.fx_fold import attribute, compute, foldable
from sparqc.ir.fx_native import FxNative, Ref
from sparqc.ir.fx_origin import origin_of
from sparqc.ir.fx_schema import bind, map_values, raw_call, target_name
from sparqc.ir.fx_tensor import Symbols, array_of
from sparqc.ir.graph import Graph, Node, Origin, TensorType, Value
from sparqc.ir.operator import Call, FxCall, Operator, Reading
from sparqc.ir.table import OperatorTable

#: Checks that guard the trace and compute nothing.
_GUARDS = (
    "aten._assert", "aten.sym_constrain_range", "sym._assert", "aten._functional_assert",
    "aten._functional_sym_constrain_range", "aten._local_assert",
)  # fmt: skip


@dataclass(frozen=True)
class Written:
    """What `write_fx` notes on a node, so that reading it back needs no second trace."""

    types: tuple[TensorType, ...]
    origin: Origin


def read_fx(module: fx.GraphModule, table: OperatorTable, *, name: str = "model") -> Graph:
    """Read a graph module as torch.export makes it: ATen calls, with shapes noted on the nodes.

    Constants share the memory of the module's tensors.  In-place calls are read as functional
    ones, operands that may be swapped are put in one order, and values get names that do not
    depend on how the model spells a call.

    Raises SparqcError where the module was not exported, and InPlaceError where a tensor is
    changed in place while another view of it is used later.
    """
    reader = _Reader(module, table, Graph("fx", name))
    for node in module.graph.nodes:
        reader.read(node)
    graph = reader.graph
    graph.drop_dead()
    _number(graph)
    return graph


class _Reader:
    """The state of one reading: what each fx node stands for."""

    def __init__(self, module: fx.GraphModule, table: OperatorTable, graph: Graph) -> None:
        self.module, self.table, self.graph = module, table, graph
        self.foldable = foldable(module.graph)
        self.in_place = check_in_place(module.graph, self.foldable)
        self.known: dict[fx.Node, Any] = {}
        self.values: dict[fx.Node, Any] = {}
        self.constants: dict[str, Value] = {}
        self.tensors: dict[str, bool] = {}
        self.placeholders: list[tuple[str, Any]] = []
        self.symbols = Symbols(
            (n.name, n.meta.get("val")) for n in module.graph.nodes if n.op == "placeholder"
        )
        self.order: dict[Value, int] = {}

    def read(self, node: fx.Node) -> None:
        """Read one node."""
        readers: dict[str, Callable[[fx.Node], None]] = {
            "placeholder": self._placeholder, "get_attr": self._get_attr,
            "call_function": self._call, "output": self._output,
        }  # fmt: skip
        if node.op not in readers:
            raise SparqcError(
                f"{node.op} {node.target}: the graph module was not made by torch.export",
                hint="pass torch.export.export(model, args).module(check_guards=False)",
            )
        readers[node.op](node)

    def types(self, node: fx.Node) -> tuple[TensorType, ...]:
        """The types of a node's outputs; SparqcError where nobody noted them."""
        if "sparqc" in node.meta:
            written: Written = node.meta["sparqc"]
            return written.types
        if "val" not in node.meta:
            return self._inferred(node)
        return self.symbols.types_of(node.meta["val"])

    def _inferred(self, node: fx.Node) -> tuple[TensorType, ...]:
        from sparqc.ir.fx_infer import types_of_call

        args, kwargs = (map_values(a, self.value, fx.Node) for a in (node.args, dict(node.kwargs)))
        types = None
        if node.op == "call_function":
            types = types_of_call(self.graph, FxCall(node.target, args, kwargs))
        if types is None:
            raise SparqcError(
                f"{node.name}: the graph module has no shapes noted on its nodes",
                hint="pass torch.export.export(model, args).module(check_guards=False)",
            )
        return types

    # -- inputs and constants -------------------------------------------------------------------

    def _placeholder(self, node: fx.Node) -> None:
        value = node.meta.get("val")
        if "sparqc" not in node.meta and not isinstance(value, torch.Tensor):
            self.values[node] = value
            self.placeholders.append((node.name, value))
            return
        self.placeholders.append((node.name, Ref("input", len(self.graph.inputs))))
        self.values[node] = self.graph.add_input(node.name, self.types(node)[0])
        self.order[self.values[node]] = len(self.order)

    def _get_attr(self, node: fx.Node) -> None:
        # A tensor becomes a constant where it is first read.
        self.values[node] = attribute(self.module, str(node.target))

    def _constant(self, name: str, tensor: torch.Tensor) -> Value:
        if name not in self.constants:
            self.constants[name] = self.graph.constant(array_of(tensor, name), name)
            self.tensors[self.constants[name].name] = tensor.requires_grad
        return self.constants[name]

    def value(self, node: fx.Node) -> Any:
        """What a node stands for by now: a value, several, or a plain object."""
        node = self.in_place.current(node)
        if node in self.known:
            return self._snapshot(self.known[node])
        found = self.values[node]
        if node.op == "get_attr" and isinstance(found, torch.Tensor):
            return self._constant(str(node.target), found)
        return found

    def _snapshot(self, known: Any) -> Any:
        """A computed tensor as it is now; later calls may change it in place."""
        if isinstance(known, list | tuple):
            return tuple(self._snapshot(item) for item in known)
        return self.graph.constant(array_of(known).copy())

    # -- calls ----------------------------------------------------------------------------------

    def _call(self, node: fx.Node) -> None:
        name = target_name(node.target)
        if name.startswith(_GUARDS):
            return
        if node in self.foldable:
            self.known[node] = compute(node, self.known, self.module)
            return
        args = map_values(node.args, self.value, fx.Node)
        kwargs = map_values(dict(node.kwargs), self.value, fx.Node)
        if node.target is operator.getitem and isinstance(args[0], tuple):
            self.values[node] = args[0][args[1]]
            return
        result = self._table_call(node, name, args, kwargs)
        if result is None:
            result = self._raw_call(node, args, kwargs)
        self.values[self.in_place.current(node)] = result
        for part in self.in_place.parts.get(node, ()):
            self._put_back(part)

    def _table_call(
        self, node: fx.Node, name: str, args: Any, kwargs: Any
    ) -> Value | tuple[Value, ...] | None:
        """The call in the vocabulary, None where no row takes it."""
        candidates = self.table.fx_candidates(name)
        if not candidates:
            return None
        call = Call(name, bind(node.target, args, kwargs), self.types(node))
        for row in candidates:
            reading = row.fx.read(call) if row.fx else None
            if reading is not None and (made := self._create(node, row, reading)) is not None:
                return made
        return None

    def _create(
        self, node: fx.Node, row: Operator, reading: Reading
    ) -> Value | tuple[Value, ...] | None:
        types = self.types(node)
        several = isinstance(node.meta.get("val"), list | tuple) or len(types) > 1
        single = len(row.outputs) == 1 and not row.outputs[0].endswith("*")
        if several and single:
            # native_layer_norm gives its statistics too; without readers they do not count.
            if any(user.args[1] != 0 for user in node.users if user.target is operator.getitem):
                return None
            types = types[:1]
        operands = {o.name: self._operand(reading.operands.get(o.name)) for o in row.operands}
        for first, second in row.commutes:
            if self._place(operands[first]) > self._place(operands[second]):
                operands[first], operands[second] = operands[second], operands[first]
        defaults = {k: v for k, v in row.attributes.items() if k not in reading.attributes}
        attributes = {**defaults, **reading.attributes}
        attributes = {k: attributes[k] for k in row.attributes}
        made = self._add(row.name, operands, attributes, types, origin_of(node.meta))
        return made.outputs if several else made.output

    def _operand(self, operand: Any) -> Any:
        if isinstance(operand, np.ndarray | np.generic):
            return self.graph.constant(np.asarray(operand))
        if isinstance(operand, list | tuple):
            return tuple(self._operand(item) for item in operand)
        return operand

    def _place(self, value: Any) -> tuple[bool, int, str]:
        """Where an operand that may be swapped goes: in order of definition, constants last."""
        return (value.is_const, self.order.get(value, 0), value.name if value.is_const else "")

    def _put_back(self, part: fx.Node) -> None:
        """After a slice has a new value, give one to the tensor that it was cut from."""
        packet = part.target._overloadpacket.__name__  # type: ignore[union-attr]
        whole = self.in_place.current(part.all_input_nodes[0])
        target = getattr(torch.ops.aten, f"{packet}_scatter").default
        arguments = map_values(part.args[1:], self.value, fx.Node)
        made = self._add_raw(
            target, (self.value(whole), self.value(part), *arguments), {}, self.types(whole),
            origin_of(part.meta),
        )  # fmt: skip
        self.values[whole] = made.output

    def _raw_call(self, node: fx.Node, args: Any, kwargs: Any) -> Value | tuple[Value, ...]:
        target = node.target
        if changed_input(node) is not None:
            target = _functional(node)
            if target is torch.ops.aten.copy.default and args[0].type == args[1].type:
                return args[1]  # type: ignore[no-any-return]
            _check_promotion(node, args)
        made = self._add_raw(target, args, kwargs, self.types(node), origin_of(node.meta))
        several = isinstance(node.meta.get("val"), list | tuple) or len(made.outputs) > 1
        return made.outputs if several else made.output

    def _add_raw(self, target: Any, args: Any, kwargs: Any, types: Any, origin: Origin) -> Node:
        call = raw_call(target, args, kwargs)
        operands = {name: self._operand(operand) for name, operand in call.operands.items()}
        return self._add(target_name(target), operands, call.attributes, types, origin, call.raw)

    def _add(
        self, op: str, operands: Any, attributes: Any, types: Any, origin: Origin, raw: Any = None
    ) -> Node:
        hint = op.split(".")[1]
        made = self.graph.create(
            op, operands, attributes, types=types, names=[hint] * len(types), origin=origin,
            raw=raw,
        )  # fmt: skip
        for value in made.outputs:
            self.order[value] = len(self.order)
        return made

    # -- outputs --------------------------------------------------------------------------------

    def _output(self, node: fx.Node) -> None:
        result = map_values(node.args[0], self.value, fx.Node)
        outputs: list[Value] = []

        def refer(value: Value) -> Ref:
            outputs.append(value)
            return Ref("output", len(outputs) - 1)

        template = map_values(result, refer)
        pytree = getattr(self.module.graph._codegen, "pytree_info", None)
        names = output_names(template, pytree.out_spec if pytree else None)
        self.graph.set_outputs(outputs, names)
        self.graph.native = FxNative(self.tensors, tuple(self.placeholders), template, pytree)


def _check_promotion(node: fx.Node, args: Any) -> None:
    """half.add_(single) stays half, half + single does not."""
    own, *others = [arg.type for arg in args if isinstance(arg, Value)]
    if any(other.dtype in FLOATS and other.dtype != own.dtype for other in others):
        raise InPlaceError(f"{node.target} converts {others[0].dtype} to {own.dtype} in place")


def _functional(node: fx.Node) -> Any:
    """The overload without the underscore: aten.index_put_ -> aten.index_put."""
    target: Any = node.target
    name = target_name(target).split(".")
    library = getattr(torch.ops, name[0])
    packet = getattr(library, name[1].removesuffix("_"), None)
    functional = getattr(packet, name[2], None)
    arguments = [a.name for a in target._schema.arguments]
    if functional is None or arguments != [a.name for a in functional._schema.arguments]:
        raise SparqcError(
            f"{target}: an in-place operator without a functional form",
            hint="replace it in the model by one that gives a new tensor",
        )
    return functional


def _number(graph: Graph) -> None:
    """Number the values anew, so that what was dropped leaves no gap."""
    values = [v for node in graph.nodes for v in node.outputs]
    values += [c for c in graph.constants if c.name.startswith("const")]
    hints = {v: v.producer.op.split(".")[1] if v.producer else "const" for v in values}
    for serial, value in enumerate(values):
        graph.rename(value, f"%{serial}")
    graph._serials.clear()
    for value in values:
        graph.rename(value, graph.fresh(hints[value]))


# -- names of outputs ---------------------------------------------------------------------------


def output_names(template: Any, spec: Any) -> list[str]:
    """A name for each output: its key in a dict, "output" where there is one only."""
    paths = list(_paths(template, spec))
    names: list[str] = []
    for path in paths:
        name = "_".join(path) or "output"
        name = f"output_{name}" if name[0].isdigit() else name
        while name in names:
            name += "_"
        names.append(name)
    return names


def _paths(template: Any, spec: Any) -> list[list[str]]:
    leaves = list(template) if isinstance(template, list | tuple) else [template]
    if spec is None:
        single = len(leaves) == 1
        where = [[] if single else [str(i)] for i in range(len(leaves))]
    else:
        where = _spec_paths(spec)
    return [path for path, leaf in zip(where, leaves, strict=True) if isinstance(leaf, Ref)]


def _spec_paths(spec: Any) -> list[list[str]]:
    """The keys that lead to each leaf of a torch pytree."""
    if spec.is_leaf():
        return [[]]
    children = list(spec.children())
    keys = _keys(spec.type, spec.context, len(children))
    return [[key, *path] for key, child in zip(keys, children, strict=True)
            for path in _spec_paths(child)]  # fmt: skip


def _keys(type: Any, context: Any, count: int) -> Sequence[str]:
    fields = getattr(context, "_fields", context)  # a named tuple's type, or a dict's keys
    if isinstance(fields, list | tuple) and fields and isinstance(fields[0], list | tuple):
        fields = fields[0]  # a registered dataclass: present fields, then absent ones
    if isinstance(fields, list | tuple) and len(fields) == count:
        return [str(field) for field in fields]
    return [str(index) for index in range(count)]
