"""Write a `Graph` of the FX level as a torch.fx graph module."""

from __future__ import annotations

import operator
import re
from functools import cached_property
from typing import Any

import torch
from torch import fx, nn

from sparqc.errors import SparqcError
from sparqc.ir.fx.fold import attribute
from sparqc.ir.fx.native import FxNative, FxRaw, Ref
from sparqc.ir.fx.read import Written
from sparqc.ir.fx.schema import map_values, raw_fx_call
from sparqc.ir.fx.tensor import array_of, tensor_of
from sparqc.ir.graph import Graph, Node, Origin, Value
from sparqc.ir.vocabulary.operator import FxCall
from sparqc.ir.vocabulary.table import OperatorTable


def write_fx(graph: Graph, table: OperatorTable) -> fx.GraphModule:
    """The graph as a module that runs, trains, and can be exported again.

    Parameters and buffers have the names they have in the user's module, and share their memory:
    training the written module changes the constants of the graph with it.  Weights that a rule
    made are parameters too.

    Raises SparqcError where an operator has no form in PyTorch.
    """
    return Writer(graph, table).module


def take_weights(graph: Graph, module: fx.GraphModule) -> None:
    """Take over the weights of a written module, after training on another device or a copy of it.

    A module that was trained where it was written shares its weights with the graph anyway.
    Raises SparqcError where the module was not written from this graph.
    """
    places: dict[str, str] = module.meta.get(PLACES, {})
    if not places or any(name not in graph for name in places):
        raise SparqcError(
            "the module was not written from this graph",
            hint="train the module that write_fx gave, or a copy of it",
        )
    for name, place in places.items():
        constant = graph.value(name)
        assert constant.data is not None
        dtype = constant.data.dtype  # the module may have been trained in half precision
        constant.data = array_of(attribute(module, place), name).astype(dtype, copy=False)


#: The key in a written module's `meta` of where each constant went.
PLACES = "sparqc_places"


class Writer:
    """One written graph; `nodes` tells which fx node stands for a value."""

    def __init__(self, graph: Graph, table: OperatorTable) -> None:
        if graph.level != "fx":
            raise SparqcError("an ONNX graph cannot be written as a PyTorch module")
        self.graph, self.table = graph, table
        self.native = graph.native if isinstance(graph.native, FxNative) else FxNative()
        self.root = nn.Module()
        self.fx = fx.Graph()
        self.nodes: dict[Value, fx.Node] = {}
        self.places: dict[str, str] = {}
        self._placeholders()
        for node in graph.nodes:
            self._node(node)
        self._output()
        if self.native.pytree is not None:
            self.fx.set_codegen(fx.graph._PyTreeCodeGen(self.native.pytree))

    @cached_property
    def module(self) -> fx.GraphModule:
        """The graph as a module; to run it node by node none is needed."""
        module = fx.GraphModule(self.root, self.fx, self.graph.name)
        module.meta[PLACES] = self.places
        return module

    def attribute(self, place: str) -> Any:
        """The tensor or submodule of a full name."""
        return attribute(self.root, place)

    def _placeholders(self) -> None:
        inputs = iter(self.graph.inputs)
        names = self.native.placeholders or [(v.name, Ref("input")) for v in self.graph.inputs]
        for name, stands_for in names:
            node = self.fx.placeholder(re.sub(r"\W", "_", name))
            if isinstance(stands_for, Ref):
                value = next(inputs)
                self.nodes[value] = node
                node.meta["sparqc"] = Written((value.type,), origin=_NOWHERE)
            else:
                node.meta["val"] = stands_for

    # -- calls ----------------------------------------------------------------------------------

    def _node(self, node: Node) -> None:
        row = self.table.get(node.op)
        if row is not None and row.fx is None:
            raise SparqcError(f"{node.output.name}: {node.op} has no form in PyTorch")
        call = row.fx.write(node) if row is not None and row.fx else raw_fx_call(node)
        several = len(node.outputs) > 1 or _gives_tuple(node, call)
        name = f"{node.output.name}_parts" if several else node.output.name
        written = self._emit(call, name)
        types = tuple(v.type for v in node.outputs)
        written.meta |= {"sparqc": Written(types, node.origin), **_stack(node)}
        if not several:
            self.nodes[node.output] = written
            return
        written.meta["val"] = [None] * len(types)
        for index, value in enumerate(node.outputs):
            if value.readers or value.is_output:
                self.nodes[value] = self._create(operator.getitem, (written, index), {}, value.name)
                self.nodes[value].meta |= {"sparqc": Written((value.type,), node.origin)}

    def _emit(self, call: FxCall, name: str) -> fx.Node:
        """Write a call, and first the calls that are its arguments."""
        inner = f"{name}_inner"
        args = map_values(call.args, lambda item: self._argument(item, inner), _TREE)
        kwargs = map_values(dict(call.kwargs), lambda item: self._argument(item, inner), _TREE)
        return self._create(call.target, args, kwargs, name)

    def _argument(self, item: Value | FxCall | fx.GraphModule, name: str) -> fx.Node:
        if isinstance(item, FxCall):
            return self._emit(item, name)
        if isinstance(item, nn.Module):
            return self._attribute(self._place("submodule", item), item)
        if item not in self.nodes and item.data is not None:
            self.nodes[item] = self._constant(item)
        return self.nodes[item]

    def _create(self, target: Any, args: Any, kwargs: Any, name: str) -> fx.Node:
        name = re.sub(r"\W", "_", name)
        return self.fx.create_node("call_function", target, tuple(args), dict(kwargs), name)

    # -- constants ------------------------------------------------------------------------------

    def _constant(self, value: Value) -> fx.Node:
        assert value.data is not None
        tensor = tensor_of(value.data)
        trained = self.native.tensors.get(value.name)
        if trained is None:
            trained = tensor.is_floating_point() and _is_weight(value, self.table)
        kept = tensor
        if trained or value.name in self.native.parameters:
            kept = nn.Parameter(tensor, requires_grad=trained)
        self.places[value.name] = self._place(value.name, kept)
        return self._attribute(self.places[value.name], kept, value)

    def _place(self, name: str, item: torch.Tensor | nn.Module) -> str:
        """Put a tensor or module where its name says, and return the full name it has there."""
        *path, leaf = [part or "_" for part in name.split(".")]
        owner = self.root
        for index, part in enumerate(path):
            if not hasattr(owner, part):
                owner.add_module(part, nn.Module())
            if not isinstance(getattr(owner, part), nn.Module):
                joined = "_".join([*path[index:], leaf])
                return self._place(".".join([*path[:index], joined]), item)
            owner = getattr(owner, part)
        while hasattr(owner, leaf):
            leaf += "_"
        if isinstance(item, torch.Tensor) and not isinstance(item, nn.Parameter):
            owner.register_buffer(leaf, item)
        else:
            setattr(owner, leaf, item)
        return ".".join([*path, leaf])

    def _attribute(self, place: str, item: Any, value: Value | None = None) -> fx.Node:
        node = self.fx.create_node("get_attr", place, name=re.sub(r"\W", "_", place))
        if value is not None:
            node.meta["sparqc"] = Written((value.type,), origin=_NOWHERE)
        return node

    # -- outputs --------------------------------------------------------------------------------

    def _output(self) -> None:
        values = self.graph.outputs
        nodes = [self._argument(v, v.name) for v in values]
        template = self.native.output
        if template is None:
            self.fx.output(nodes[0] if len(nodes) == 1 else tuple(nodes))
            return
        self.fx.output(map_values(template, lambda ref: nodes[ref.index], Ref))


_TREE = (Value, FxCall, nn.Module)
_NOWHERE = Origin()


def _gives_tuple(node: Node, call: FxCall) -> bool:
    if isinstance(node.raw, FxRaw):
        return node.raw.several
    target = call.target
    returns = target._schema.returns if isinstance(target, torch._ops.OpOverload) else ()
    return len(returns) > 1 or (len(returns) == 1 and "List" in str(returns[0].type))


def _is_weight(value: Value, table: OperatorTable) -> bool:
    """Whether a constant is a weight or a bias, through masks and quantizers too."""
    for node in value.readers:
        row = table.get(node.op)
        if row is None:
            continue
        slots = [slot for slot, operand in node.operands.items() if operand is value]
        first = row.operands[0].name in slots
        if first and row.constant_expression and _is_weight(node.output, table):
            return True
        if row.weight is not None and not first:
            return True
    return False


def _stack(node: Node) -> dict[str, Any]:
    """The origin as torch notes it, for whatever reads the written module next."""
    if not node.origin.module:
        return {}
    return {"nn_module_stack": {node.origin.module: (node.origin.module, "torch.nn.Module")}}
