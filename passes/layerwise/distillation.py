"""Train the weights of a graph so that it gives what the original network gives, without labels.

The loss is taken at the outputs and wherever the network narrows to one value, so that a few images
say much: each place of each feature map is an example.  Sources: Li et al., *BRECQ*, 2021, for
blocks as the unit; Beyer et al., *Knowledge distillation: a good teacher is patient and
consistent*, 2022, for mixed inputs that the teacher answers anew.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, fx, nn

from sparqc.errors import SparqcError
from sparqc.ir.constants import constant_value
from sparqc.ir.fx.tensor import tensor_of
from sparqc.ir.fx.write import PLACES, take_weights
from sparqc.ir.graph import Array, Graph, Value
from sparqc.ir.vocabulary.table import OperatorTable
from sparqc.ir.weighted import weighted
from sparqc.numerics.two_four import is_two_four
from sparqc.passes.layerwise.narrow import narrow_values
from sparqc.passes.on_data.added_bias import added_bias
from sparqc.passes.on_data.in_torch import in_torch
from sparqc.passes.on_data.reference_value import reference_value
from sparqc.rewrite.context import Batch, Progress

#: Images of a step.
BATCH = 8
#: The decay of Adam's second moment: some hundred steps forget the first ones.
BETAS = (0.9, 0.99)
#: The share of the loss that the outputs have; the rest is that of the blocks in equal parts.
OUTPUTS = 0.5


@dataclass(frozen=True)
class Distilled:
    """What became of the training; errors are shares of the original's variance, on images that
    were held back."""

    before: float
    after: float
    #: Epochs that were kept; 0 where none brought the network nearer.
    epochs: int
    images: int


class Taught(fx.Interpreter):
    """A graph as a module that also gives some inner values; NotInTorch as of `in_torch`."""

    def __init__(self, graph: Graph, table: OperatorTable, values: Sequence[Value]) -> None:
        hint = "compile the PyTorch model, or leave `distill` out"
        own, writer = in_torch(graph, table, hint)
        super().__init__(writer.module, garbage_collect_values=True)
        self._wanted = {writer.nodes[own.value(v.name)].name: i for i, v in enumerate(values)}
        self._found: list[Tensor] = [torch.empty(0)] * len(values)

    def run_node(self, n: fx.Node) -> Any:
        """Keep what is wanted."""
        result = super().run_node(n)
        if n.name in self._wanted:
            self._found[self._wanted[n.name]] = result
        return result

    def values(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        """The inner values for a batch, in their order."""
        self.run(*inputs)
        found, self._found = self._found, [torch.empty(0)] * len(self._wanted)
        return found


class Distillation:
    """A student, its teacher, and the values at which they are compared."""

    def __init__(self, graph: Graph, reference: Graph, table: OperatorTable) -> None:
        self._graph = graph
        pairs = [(v, reference_value(v, graph, reference)) for v in narrow_values(graph, table)]
        inner = [(own, theirs) for own, theirs in pairs if theirs is not None]
        ends = [
            (own, theirs)
            for own, theirs in zip(graph.outputs, reference.outputs, strict=True)
            if own.type.dtype == "f32" and own.producer is not None
        ]
        if not ends:
            raise SparqcError(
                "no output of the model is a float32 that could be compared with the original's",
                hint="leave `distill` out",
            )
        self._inner = len(inner)
        pairs_ = [*inner, *ends]
        self._student = Taught(graph, table, [own for own, _ in pairs_])
        self._teacher = Taught(reference, table, [theirs for _, theirs in pairs_])
        self._module = cast(fx.GraphModule, self._student.module)
        for parameter in self._module.parameters():
            parameter.requires_grad_(False)
        self._trained = dict(self._trainable(table))

    @property
    def tensors(self) -> int:
        """How many are trained."""
        return len(self._trained)

    def run(
        self,
        fit: Sequence[Sequence[Tensor]],
        held: Sequence[Sequence[Tensor]],
        *,
        epochs: int,
        rate: float,
        mixed: bool,
        seed: int,
        progress: Progress,
    ) -> Distilled:
        """Train, and keep the weights of the epoch with the least error on `held`."""
        draw = torch.Generator().manual_seed(seed)
        optimizer = torch.optim.Adam(
            [{"params": [p], "size": _size(p)} for p, _ in self._trained.values()], betas=BETAS
        )
        before = best = self._error(held)
        kept, best_epoch = self._state(), 0
        steps = epochs * sum(1 for _ in _cut(fit, None))
        for epoch in range(epochs):
            progress(epoch, epochs, "epochs of distillation")
            for step, batch in enumerate(_cut(fit, draw), epoch * (steps // epochs)):
                share = (1 + math.cos(math.pi * step / steps)) / 2
                for group in optimizer.param_groups:
                    group["lr"] = rate * group["size"] * share
                self._step(_mixed(batch, draw) if mixed else batch, optimizer)
            if (error := self._error(held)) < best:
                best, kept, best_epoch = error, self._state(), epoch + 1
        progress(epochs, epochs, "epochs of distillation")
        if best_epoch:
            for name, (parameter, _) in self._trained.items():
                parameter.data.copy_(kept[name])
            take_weights(self._graph, self._module)
        return Distilled(before, best, best_epoch, sum(len(b[0]) for b in held))

    def _step(self, batch: Sequence[Tensor], optimizer: torch.optim.Optimizer) -> None:
        optimizer.zero_grad()
        self._loss(batch).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        with torch.no_grad():
            for parameter, mask in self._trained.values():
                if mask is not None:
                    parameter.mul_(mask)

    def _loss(self, batch: Sequence[Tensor]) -> Tensor:
        with torch.no_grad():
            wanted = self._teacher.values(batch)
        found = self._student.values(batch)
        errors = [_share(f, w) for f, w in zip(found, wanted, strict=True)]
        inner, ends = errors[: self._inner], errors[self._inner :]
        loss = torch.stack(ends).mean()
        return OUTPUTS * loss + (1 - OUTPUTS) * torch.stack(inner).mean() if inner else loss

    def _error(self, held: Sequence[Sequence[Tensor]]) -> float:
        """The error of the outputs alone."""
        noise = signal = 0.0
        with torch.no_grad():
            for batch in held:
                wanted = self._teacher.values(batch)[self._inner :]
                found = self._student.values(batch)[self._inner :]
                noise += sum(
                    (f - w).square().sum().item() for f, w in zip(found, wanted, strict=True)
                )
                signal += sum(w.square().sum().item() for w in wanted)
        return noise / signal if signal and math.isfinite(noise) else math.inf

    def _state(self) -> Mapping[str, Tensor]:
        return {name: p.detach().clone() for name, (p, _) in self._trained.items()}

    def _trainable(
        self, table: OperatorTable
    ) -> Iterator[tuple[str, tuple[nn.Parameter, Tensor | None]]]:
        """The parameters by the names of their constants, and the zeros that have to stay."""
        places: dict[str, str] = self._module.meta[PLACES]
        for name, zeros in _constants(self._graph, table):
            if name not in places:
                continue
            path, _, leaf = places[name].rpartition(".")
            owner = self._module.get_submodule(path)
            parameter = nn.Parameter(getattr(owner, leaf).detach().clone())
            owner._buffers.pop(leaf, None)
            owner.register_parameter(leaf, parameter)
            yield name, (parameter, zeros)


def _constants(graph: Graph, table: OperatorTable) -> Iterator[tuple[str, Tensor | None]]:
    """Weights, biases, factors and offsets of BatchNorms in float32, once each."""
    seen: set[str] = set()
    for found in weighted(graph, table):
        weight, mask = found.weight, None
        data = cast(Array, constant_value(weight, table))
        if is_two_four(data, found.reduction_axis):
            mask = tensor_of(data) != 0
        if weight.producer is not None and weight.producer.op == "sparse.mask":
            weight = cast(Value, weight.producer.operands["w"])
        yield from _new(seen, weight, mask)
        added = added_bias(found)
        yield from _new(seen, added.value if added else found.bias, None)
    for node in graph.nodes:
        if node.op == "nn.batch_norm":
            for slot in ("scale", "bias"):
                yield from _new(seen, node.operands.get(slot), None)


def _new(seen: set[str], value: object, mask: Tensor | None) -> Iterator[tuple[str, Tensor | None]]:
    if not isinstance(value, Value) or value.data is None or value.name in seen:
        return
    if value.type.dtype == "f32":
        seen.add(value.name)
        yield value.name, mask


def _size(parameter: Tensor) -> float:
    """The root mean square: the learning rate is a share of it; of zeros a small number."""
    return max(1e-3, parameter.detach().square().mean().sqrt().item())


def _share(found: Tensor, wanted: Tensor) -> Tensor:
    """The squared error by the variance of what is wanted, both over the batch and all places."""
    spread = (wanted - wanted.mean()).square().sum().clamp(min=1e-12)
    return (found - wanted).square().sum() / spread


def _cut(
    batches: Sequence[Sequence[Tensor]], draw: torch.Generator | None
) -> Iterator[Sequence[Tensor]]:
    """Batches of some images each; with a generator in another order."""
    parts = []
    for batch in batches:
        count = len(batch[0])
        order = torch.arange(count) if draw is None else torch.randperm(count, generator=draw)
        parts += [[x[some] for x in batch] for some in torch.split(order, BATCH)]
    order = torch.arange(len(parts)) if draw is None else torch.randperm(len(parts), generator=draw)
    for index in order.tolist():
        yield parts[index]


def together(batches: Sequence[Batch]) -> list[list[Tensor]]:
    """Batches of arrays as tensors: one batch, where all images have one size."""
    given = [[tensor_of(array) for array in batch] for batch in batches]
    alike = {tuple(tuple(x.shape[1:]) for x in batch) for batch in given}
    if len(alike) != 1:
        return given
    return [[torch.cat(parts) for parts in zip(*given, strict=True)]]


def _mixed(batch: Sequence[Tensor], draw: torch.Generator) -> list[Tensor]:
    """Each image mixed with another one of the batch, all inputs of it alike."""
    count = len(batch[0])
    other = torch.randperm(count, generator=draw)
    share = torch.rand(count, generator=draw)
    found = []
    for x in batch:
        own = share.reshape(-1, *[1] * (x.dim() - 1)).to(x.dtype)
        found.append(own * x + (1 - own) * x[other])
    return found
