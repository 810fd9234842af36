"""Write a graph with masks and quantizers as a module that trains."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast

import torch
from torch import Tensor, fx, nn
from torch.nn.modules.batchnorm import _BatchNorm as BatchNorm

from sparqc.ir.fx.write import PLACES, Writer
from sparqc.ir.graph import Graph, Node, Value
from sparqc.ir.vocabulary.table import OperatorTable
from sparqc.training.fake_quantize import (
    apply_mask,
    fake_quantize,
    learned_fake_quantize,
    weight_scale,
)
from sparqc.training.normalization import SLOTS, operand

#: The names of nn.BatchNorm's tensors for the operands of nn.batch_norm.
_TENSORS = dict(zip(SLOTS, ("weight", "bias", "running_mean", "running_var"), strict=True))
_MODULES = {2: nn.BatchNorm1d, 3: nn.BatchNorm1d, 4: nn.BatchNorm2d, 5: nn.BatchNorm3d}


@dataclass(frozen=True)
class Written:
    """A module, and where the constants of its graph lie in it."""

    module: fx.GraphModule
    #: The place of each constant: "conv1.weight" -> "conv1.weight".
    places: Mapping[str, str]
    #: The constants that follow from others: the scales of weights.
    derived: frozenset[str]
    #: The places of the scales and of what trains for them, and the places of the latter by those
    #: of the scales that are learned: see `learned_step`.
    scales: tuple[str, ...]
    learned: Mapping[str, str]
    #: The places of the masks.
    masks: Mapping[str, str]  # by the place of the weight


@dataclass
class TrainingWriter:
    """Writes one graph, on tensors of its own.

    `batch_norms` are those that normalise with the batch in training, with the user's module for
    each; `dynamic` the scales that follow their weight in each forward; `learned` those that train.
    """

    graph: Graph
    table: OperatorTable
    batch_norms: Mapping[str, BatchNorm]
    dynamic: frozenset[str]
    learned: frozenset[str]
    writer: Writer = field(init=False)
    module: fx.GraphModule = field(init=False)
    derived: set[str] = field(default_factory=set)
    masks: dict[str, str] = field(default_factory=dict)
    logs: dict[str, str] = field(default_factory=dict)
    _batch_norms: dict[tuple[Value | None, ...], str] = field(default_factory=dict)

    def write(self) -> Written:
        """The module, in train mode."""
        self.writer = Writer(self.graph, self.table)
        self.module, self.places = self.writer.module, self.writer.places
        _own_tensors(self.module)
        for node in list(self.graph.nodes):
            if node.op == "sparse.mask":
                self._mask(node)
            elif node.op == "q.qdq":
                self._quantizer(node)
            elif node.op == "nn.batch_norm" and node.output.name in self.batch_norms:
                self._batch_norm(node)
        self._drop_unread()
        self.module.graph.lint()
        self.module.recompile()
        scales = {operand(n, "scale") for n in self.graph.nodes if n.op == "q.qdq"}
        names = [s.name for s in scales if s is not None and s.name in self.places]
        return Written(
            self.module,
            dict(self.places),
            frozenset(self.derived),
            tuple(sorted([*(self.places[name] for name in names), *self.logs.values()])),
            self.logs,
            self.masks,
        )

    # -- operators ------------------------------------------------------------------------------

    def _mask(self, node: Node) -> None:
        self._fx(node).target = apply_mask
        weight, mask = operand(node, "w"), operand(node, "mask")
        if weight is None or mask is None or weight.name not in self.places:
            return
        place, held = self.places[weight.name], self.places[mask.name]
        self.masks[place] = held
        _set(self.module, held, _tensor(self.module, held) != 0)
        kept = _tensor(self.module, place)
        with torch.no_grad():
            kept.mul_(_tensor(self.module, held))

    def _quantizer(self, node: Node) -> None:
        call, scale = self._fx(node), cast(Value, operand(node, "scale"))
        x, step, *arguments = call.args  # axis, low, high
        axis, _, high = arguments
        if scale.name in self.dynamic:
            with self.module.graph.inserting_before(call):
                derived = self.module.graph.call_function(weight_scale, (x, axis, high))
            self.derived.add(scale.name)
            call.target, call.args = fake_quantize, (x, derived, *arguments)
        elif scale.name in self.learned:
            with self.module.graph.inserting_before(call):
                log = self.module.graph.get_attr(self._log(self.places[scale.name]))
            call.target = learned_fake_quantize
            call.args = (x, step, log, *arguments)
        else:
            call.target = fake_quantize

    def _log(self, place: str) -> str:
        """The place of the parameter that trains for a scale, which is a buffer from here on."""
        if place not in self.logs:
            owner, leaf = _owner(self.module, place)
            scale = cast(Tensor, getattr(owner, leaf)).detach()
            delattr(owner, leaf)
            owner.register_buffer(leaf, scale)
            # A vector: fully_shard takes no scalars.
            log = nn.Parameter(torch.zeros_like(scale).reshape(-1))
            owner.register_parameter(f"{leaf}_log", log)
            self.logs[place] = f"{place}_log"
        return self.logs[place]

    # -- BatchNorm ------------------------------------------------------------------------------

    def _batch_norm(self, node: Node) -> None:
        values = tuple(operand(node, slot) for slot in SLOTS)
        if values not in self._batch_norms:
            self._batch_norms[values] = self._make(node, values)
        call = self._fx(node)
        with self.module.graph.inserting_before(call):
            made = self.module.graph.call_module(self._batch_norms[values], (call.args[0],))
        made.meta |= call.meta
        call.replace_all_uses_with(made)
        self.module.graph.erase_node(call)
        self.writer.nodes[node.output] = made

    def _make(self, node: Node, values: tuple[Value | None, ...]) -> str:
        """Put in an nn.BatchNorm with the tensors of the call; the path where it stands."""
        rank = node.output.type.rank or 4
        found = {name: self._taken(v) for name, v in zip(_TENSORS.values(), values, strict=True)}
        mean, model = cast(Tensor, found["running_mean"]), self.batch_norms[node.output.name]
        module = _MODULES.get(rank, nn.BatchNorm2d)(
            len(mean),
            eps=cast(float, node.attributes["epsilon"]),
            momentum=model.momentum,
            affine=found["weight"] is not None or found["bias"] is not None,
        )
        for name, tensor in found.items():
            if tensor is not None:
                _fill(module, name, tensor)
        if model.num_batches_tracked is not None and module.num_batches_tracked is not None:
            module.num_batches_tracked.copy_(model.num_batches_tracked)
        path = self._path(values[2])
        for name, value in zip(_TENSORS.values(), values, strict=True):
            if value is not None:
                self.places[value.name] = f"{path}.{name}"
        _set(self.module, path, module)
        return path

    def _taken(self, value: Value | None) -> Tensor | None:
        return None if value is None else _tensor(self.module, self.places[value.name])

    def _path(self, mean: Value | None) -> str:
        """The module of the user's that held the statistics, or a name of its own."""
        place = self.places[cast(Value, mean).name]
        path, _, leaf = place.rpartition(".")
        if leaf == "running_mean" and path and self._is_bare(path):
            return path
        path, number = place.replace(".", "_"), 0
        while hasattr(self.module, f"{path}_{number}"):
            number += 1
        return f"{path}_{number}"

    def _is_bare(self, path: str) -> bool:
        """Whether nothing but a BatchNorm's tensors stands at a path."""
        holder = self.module.get_submodule(path)
        names = {name for name, _ in holder.named_parameters()}
        names |= {name for name, _ in holder.named_buffers()}
        plain = type(holder) is nn.Module and not list(holder.children())
        return plain and names <= set(_TENSORS.values())

    # -- the rest -------------------------------------------------------------------------------

    def _fx(self, node: Node) -> fx.Node:
        return self.writer.nodes[node.output]

    def _drop_unread(self) -> None:
        """Forget the tensors that nothing reads any more, such as the scales of weights."""
        for node in list(self.module.graph.nodes):
            if node.op == "get_attr" and not node.users:
                self.module.graph.erase_node(node)
        read = {
            str(n.target) for n in self.module.graph.nodes if n.op in ("get_attr", "call_module")
        }
        for name, place in list(self.places.items()):
            if place not in read and place.rpartition(".")[0] not in read:
                owner, leaf = _owner(self.module, place)
                delattr(owner, leaf)
                del self.places[name]


def _own_tensors(module: fx.GraphModule) -> None:
    """Copies of all tensors: the graph's lie in the memory of the user's module."""
    for parameter in module.parameters():
        parameter.data = parameter.data.clone()
    for name, _ in list(module.named_buffers()):
        _set(module, name, _tensor(module, name).clone())
    module.meta.pop(PLACES, None)


def _owner(module: nn.Module, place: str) -> tuple[nn.Module, str]:
    path, _, leaf = place.rpartition(".")
    return module.get_submodule(path), leaf


def _tensor(module: nn.Module, place: str) -> Tensor:
    owner, leaf = _owner(module, place)
    return cast(Tensor, getattr(owner, leaf))


def _set(module: nn.Module, place: str, made: Tensor | nn.Module) -> None:
    """Put a tensor in its place, or a module in the place of the bare container of its tensors."""
    owner, leaf = _owner(module, place)
    setattr(owner, leaf, made)


def _fill(module: nn.Module, name: str, tensor: Tensor) -> None:
    """Give a BatchNorm one of its tensors; one that did not train does not train here."""
    held = getattr(module, name)
    with torch.no_grad():
        held.data = tensor.detach().clone()
    if isinstance(held, nn.Parameter):
        held.requires_grad_(tensor.requires_grad)
