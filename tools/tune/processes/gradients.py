"""The gradients of all ranks, averaged while the backward pass still goes on.

DistributedDataParallel does it.  By default it arranges its buckets anew behind the first step, so
that a run that was resumed would add in another order than one that went through; with
`find_unused_parameters` they stay (`Reducer::should_rebuild_buckets`), and a layer that a step does
not reach keeps no gradient.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils import _pytree as pytree

from sparqc.ranks.process_group import answered
from sparqc.ranks.ranks import Ranks

#: Bytes that are exchanged at once, as in DistributedDataParallel.
BUCKET = 25 << 20
#: What torch.utils.checkpoint leaves in the graph with use_reentrant=True.
_REENTRANT = "CheckpointFunctionBackward"


@dataclass
class SharedGradients:
    """A module whose gradients are the averages over ranks, behind `finish`.

    Every rank makes one of the same module and calls it equally often.  What is checkpointed with
    use_reentrant=True runs a backward pass of its own, whose layers DistributedDataParallel has
    taken for unused by then: such gradients are averaged behind the backward pass.
    """

    module: nn.Module
    ranks: Ranks
    _ddp: DistributedDataParallel | None = field(init=False, default=None)
    #: Whether the gradients of this step wait for `finish`.
    _waiting: bool = field(init=False, default=False)

    @contextmanager
    def active(self) -> Iterator[SharedGradients]:
        """Inside, gradients are averaged."""
        if self.ranks.count == 1:
            yield self
            return
        self._ddp = DistributedDataParallel(
            self.module,
            broadcast_buffers=False,
            init_sync=False,  # the ranks have the same weights already
            find_unused_parameters=True,
            gradient_as_bucket_view=True,
        )
        handle = self.module.register_forward_hook(self._look)
        try:
            with (
                warnings.catch_warnings()
            ):  # it is not asked for because of unused parameters alone
                warnings.filterwarnings(
                    "ignore", message="find_unused_parameters=True was specified"
                )
                yield self
        finally:
            handle.remove()
            self._ddp = None

    def __call__(self, *inputs: Tensor, last: bool) -> Any:
        """The outputs; behind the backward pass of the `last` part of a batch ranks exchange."""
        if self._ddp is None:
            return self.module(*inputs)
        with nullcontext() if last else self._ddp.no_sync():
            return self._ddp(*inputs)

    def backward(self, loss: Tensor) -> None:
        """Add to the gradients; SparqcError where another rank does not answer."""
        try:
            loss.backward()  # type: ignore[no-untyped-call]
        except RuntimeError as error:
            if isinstance(error, dist.DistError) or "gloo" in str(error):
                with answered():
                    raise
            raise

    def finish(self) -> None:
        """Average what waits for it."""
        if self._waiting and self._ddp is not None:
            average([p for p in self.module.parameters() if p.requires_grad], self.ranks)
            self._ddp.require_backward_grad_sync = True
        self._waiting = False

    def _look(self, _: nn.Module, inputs: object, outputs: object) -> None:
        """Called between the forward pass and what DistributedDataParallel makes ready for it."""
        tensors = [x for x in pytree.tree_leaves(outputs) if isinstance(x, Tensor)]
        if self._ddp is not None and _REENTRANT in _graph(tensors):
            self._ddp.require_backward_grad_sync = False
            self._waiting = True


def average(parameters: Sequence[nn.Parameter], ranks: Ranks) -> None:
    """Average gradients over ranks; a parameter without one on any rank keeps none."""
    given = torch.tensor([float(p.grad is not None) for p in parameters])
    with answered():
        dist.all_reduce(given)
    for bucket in _cut(p for p, count in zip(parameters, given.tolist(), strict=True) if count):
        flat = torch.cat([_gradient(p).reshape(-1) for p in bucket])
        with answered():
            dist.all_reduce(flat)
        means = torch.split(flat / ranks.count, [p.numel() for p in bucket])
        for parameter, mean in zip(bucket, means, strict=True):
            parameter.grad = mean.view_as(parameter).to(parameter.dtype)


def _gradient(parameter: nn.Parameter) -> Tensor:
    grad = parameter.grad
    return torch.zeros_like(parameter, dtype=torch.float32) if grad is None else grad.float()


def _cut(parameters: Iterable[nn.Parameter]) -> Iterator[list[nn.Parameter]]:
    """Parameters in runs of `BUCKET` bytes, each on one device."""
    run: list[nn.Parameter] = []
    size = 0
    for parameter in parameters:
        if run and (size >= BUCKET or parameter.device != run[0].device):
            yield run
            run, size = [], 0
        run.append(parameter)
        size += 4 * parameter.numel()
    if run:
        yield run


def _graph(outputs: Iterable[Tensor]) -> set[str]:
    """The kinds of the nodes in the graph of tensors."""
    names: set[str] = set()
    seen: set[Any] = set()
    waiting: list[Any] = [x.grad_fn for x in outputs]
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        names.add(node.name())
        waiting += [following for following, _ in node.next_functions]
    return names
