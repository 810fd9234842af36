"""The gradients of all ranks, averaged while the backward pass still goes on.

DistributedDataParallel does the same, but arranges its buckets anew behind the first step, so that
a run that was resumed adds in another order than one that went through.  These buckets stay.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from sparqc.ranks.process_group import answered
from sparqc.ranks.ranks import Ranks

#: Bytes that are exchanged at once, as in DistributedDataParallel.
BUCKET = 25 << 20


@dataclass
class _Bucket:
    """Parameters whose gradients are exchanged together."""

    parameters: list[nn.Parameter]
    #: How many of them have their gradient.
    ready: int = 0
    #: The gradients, and for each parameter whether there is one.
    flat: Tensor | None = None
    work: dist.Work | None = None

    def start(self) -> None:
        """Begin to add up."""
        self.flat = torch.cat(
            [_gradient(p).reshape(-1) for p in self.parameters] + [self._present()]
        )
        self.work = dist.all_reduce(self.flat, async_op=True)

    def _present(self) -> Tensor:
        given = [float(p.grad is not None) for p in self.parameters]
        return torch.tensor(given, dtype=torch.float32, device=self.parameters[0].device)

    def finish(self, count: int) -> None:
        """Wait for the others, and take the averages; a parameter without a gradient on any rank
        keeps none."""
        assert self.work is not None and self.flat is not None
        with answered():
            self.work.wait()
        sizes = [p.numel() for p in self.parameters]
        *means, present = torch.split(self.flat / count, [*sizes, len(sizes)])
        for parameter, mean, given in zip(self.parameters, means, present.tolist(), strict=True):
            if given:
                parameter.grad = mean.view_as(parameter).to(parameter.dtype)
        self.ready, self.flat, self.work = 0, None, None


def _gradient(parameter: nn.Parameter) -> Tensor:
    grad = parameter.grad
    return torch.zeros_like(parameter, dtype=torch.float32) if grad is None else grad.float()


@dataclass
class GradientAverage:
    """Averages the gradients of parameters over ranks: `finish` behind each backward pass.

    Every rank makes it with the same parameters, in the same order.  Inside of `with` it hears of
    each gradient that is complete.
    """

    parameters: Iterable[nn.Parameter]
    ranks: Ranks
    _buckets: list[_Bucket] = field(default_factory=list)
    #: How many buckets have started: they start in order, or ranks would mistake one for another.
    _started: int = 0
    _handles: list[RemovableHandle] = field(default_factory=list)

    def __enter__(self) -> GradientAverage:
        if self.ranks.count == 1:
            return self
        # The last layers have their gradients first.
        trained = [p for p in self.parameters if p.requires_grad]
        self._buckets = [_Bucket(found) for found in _cut(reversed(trained))]
        for bucket in self._buckets:
            for parameter in bucket.parameters:
                self._watch(parameter, bucket)
        return self

    def __exit__(self, *_: object) -> None:
        for handle in self._handles:
            handle.remove()

    def finish(self) -> None:
        """Wait until every gradient is the average over the ranks."""
        for bucket in self._buckets[self._started :]:
            bucket.start()
        for bucket in self._buckets:
            bucket.finish(self.ranks.count)
        self._started = 0

    def _watch(self, parameter: nn.Parameter, bucket: _Bucket) -> None:
        hook = _Hook(self, bucket)
        handle = parameter.register_post_accumulate_grad_hook(hook)  # type: ignore[no-untyped-call]
        self._handles.append(handle)

    def arrived(self, bucket: _Bucket) -> None:
        """One more parameter of a bucket has its gradient."""
        bucket.ready += 1
        while self._started < len(self._buckets):
            following = self._buckets[self._started]
            if following.ready < len(following.parameters):
                return
            following.start()
            self._started += 1


@dataclass(frozen=True)
class _Hook:
    """Called with a parameter whose gradient is complete."""

    average: GradientAverage
    bucket: _Bucket

    def __call__(self, parameter: Tensor) -> None:
        self.average.arrived(self.bucket)


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
