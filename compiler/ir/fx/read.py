"""Read an exported torch.fx graph into a `Graph`."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx

from sparqc.errors import SparqcError
from sparqc.ir.fx.alias import InPlaceError, changed_input, check_in_place
from sparqc.ir.fx.calls import FxCallBuilder, renumber
from sparqc.ir.fx.fold import attribute, compute, foldable
from sparqc.ir.fx.inline import inlined
from sparqc.ir.fx.native import FxNative, Ref
from sparqc.ir.fx.origin import origin_of
from sparqc.ir.fx.outputs import output_names
from sparqc.ir.fx.schema import map_values, target_name
from sparqc.ir.fx.tensor import Symbols, array_of
from sparqc.ir.graph import Graph, Origin, TensorType, Value
from sparqc.ir.vocabulary.forms import FLOATS
from sparqc.ir.vocabulary.operator import FxCall
from sparqc.ir.vocabulary.table import OperatorTable

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
    for node in reader.source.nodes:
        reader.read(node)
    graph = reader.graph
    graph.drop_dead()
    renumber(graph)
    return graph


class _Reader:
    """The state of one reading: what each fx node stands for."""

    def __init__(self, module: fx.GraphModule, table: OperatorTable, graph: Graph) -> None:
        self.module, self.graph = module, graph
        self.source = inlined(module)
        self.foldable = foldable(self.source)
        self.in_place = check_in_place(self.source, self.foldable)
        self.known: dict[fx.Node, Any] = {}
        self.values: dict[fx.Node, Any] = {}
        self.constants: dict[str, Value] = {}
        self.tensors: dict[str, bool] = {}
        self.parameters: set[str] = set()
        self.placeholders: list[tuple[str, Any]] = []
        self.symbols = Symbols(
            (n.name, n.meta.get("val")) for n in self.source.nodes if n.op == "placeholder"
        )
        self.builder = FxCallBuilder(graph, table)

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
        from sparqc.ir.fx.infer import types_of_call

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
        # The target is the argument's own name; the node's differs where Python has a use for it.
        value = self.graph.add_input(str(node.target), self.types(node)[0])
        self.values[node] = self.builder.define(value)

    def _get_attr(self, node: fx.Node) -> None:
        # A tensor becomes a constant where it is first read.
        self.values[node] = attribute(self.module, str(node.target))

    def _constant(self, name: str, tensor: torch.Tensor) -> Value:
        if name not in self.constants:
            self.constants[name] = self.graph.constant(array_of(tensor, name), name)
            self.tensors[self.constants[name].name] = tensor.requires_grad
            if isinstance(tensor, torch.nn.Parameter):
                self.parameters.add(self.constants[name].name)
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
        self.values[self.in_place.current(node)] = self._result(node, args, kwargs)
        for part in self.in_place.parts.get(node, ()):
            self._put_back(part)

    def _result(self, node: fx.Node, args: Any, kwargs: Any) -> Value | tuple[Value, ...]:
        types, target, origin = self.types(node), node.target, origin_of(node.meta)
        several = isinstance(node.meta.get("val"), list | tuple) or len(types) > 1
        # native_layer_norm gives its statistics too; without readers they do not count.
        read = {user.args[1] for user in node.users if user.target is operator.getitem}
        made = self.builder.in_table(
            target, args, kwargs, types, origin, first_only=several and read <= {0}
        )
        if made is None and changed_input(node) is not None:
            target = _functional(node)
            if target is torch.ops.aten.copy.default and args[0].type == args[1].type:
                return args[1]  # type: ignore[no-any-return]
            _check_promotion(node, args)
        made = made or self.builder.raw(target, args, kwargs, types, origin, several=several)
        return made.outputs if several else made.output

    def _put_back(self, part: fx.Node) -> None:
        """After a slice has a new value, give one to the tensor that it was cut from."""
        packet = part.target._overloadpacket.__name__  # type: ignore[union-attr]
        whole = self.in_place.current(part.all_input_nodes[0])
        target = getattr(torch.ops.aten, f"{packet}_scatter").default
        args = (
            self.value(whole),
            self.value(part),
            *map_values(part.args[1:], self.value, fx.Node),
        )
        made = self.builder.call(target, args, {}, self.types(whole), origin_of(part.meta))
        self.values[whole] = made.output

    # -- outputs --------------------------------------------------------------------------------

    def _output(self, node: fx.Node) -> None:
        result = map_values(node.args[0], self.value, fx.Node)
        outputs: list[Value] = []

        def refer(value: Value) -> Ref:
            outputs.append(value)
            return Ref("output", len(outputs) - 1)

        template = map_values(result, refer)
        pytree = getattr(self.source._codegen, "pytree_info", None)
        names = output_names(template, pytree.out_spec if pytree else None)
        self.graph.set_outputs(outputs, names)
        self.graph.native = FxNative(
            tensors=self.tensors,
            parameters=frozenset(self.parameters),
            placeholders=tuple(self.placeholders),
            output=template,
            pytree=pytree,
        )


def _check_promotion(node: fx.Node, args: Any) -> None:
    """half.add_(single) stays half, half + single does not."""
    first, *others = [arg.type for arg in args if isinstance(arg, Value)]
    if any(other.dtype in FLOATS and other.dtype != first.dtype for other in others):
        raise InPlaceError(f"{node.target} converts {others[0].dtype} to {first.dtype} in place")


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
