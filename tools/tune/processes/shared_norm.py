"""BatchNorm that normalises with the batches of all ranks.

torch's SyncBatchNorm does so on GPUs only.  This one runs wherever all_reduce does, and leaves the
modules what they are: only their `forward` is replaced, and put back.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.modules.batchnorm import _BatchNorm as BatchNorm

from sparqc.ranks.process_group import answered
from sparqc.ranks.ranks import Ranks

_OWN = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


@dataclass
class Sharing:
    """Whether the ranks have parts of one batch; where all have the same, each is by itself."""

    on: bool = True


@contextmanager
def shared_batch_norms(module: nn.Module, ranks: Ranks) -> Iterator[Sharing]:
    """Inside, the BatchNorms of a module that are in train mode see the batches of all ranks.

    torch's own classes do; what a person derived from them computes as they wrote it.
    """
    found = [m for m in module.modules() if type(m) in _OWN and ranks.count > 1]
    mine = [m for m in found if isinstance(m, BatchNorm) and "forward" not in vars(m)]
    sharing = Sharing()
    for norm in mine:
        norm.forward = partial(_forward, norm, sharing)  # type: ignore[method-assign]
    try:
        yield sharing
    finally:
        for norm in mine:
            del norm.forward


def _forward(norm: BatchNorm, sharing: Sharing, x: Tensor) -> Tensor:
    norm._check_input_dim(x)  # type: ignore[no-untyped-call]
    fixed = not norm.training and norm.running_mean is not None
    if fixed or not sharing.on:
        return type(norm).forward(norm, x)
    count, mean, squares = shared_moments(x)
    if norm.training and norm.running_mean is not None:
        _follow(norm, mean, squares / (count - 1).clamp_min(1))
    normalised: Tensor = _Normalise.apply(  # type: ignore[no-untyped-call]
        x, mean, squares / count, norm.eps, count
    )
    shape = (1, -1, *[1] * (x.ndim - 2))
    if norm.weight is not None:
        normalised = normalised * norm.weight.view(shape)
    return normalised if norm.bias is None else normalised + norm.bias.view(shape)


@torch.no_grad()
def shared_moments(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Of [N, C, ...] over all ranks: how many elements a channel has, and for each channel the
    mean and the sum of squared deviations from it, in float32.

    Source: Chan, Golub and LeVeque, Updating Formulae and a Pairwise Algorithm, 1979, formula 2.1.
    """
    dims = _but_channels(x)
    wide = x.float()
    mean = wide.mean(dims)
    number = torch.full_like(mean, x.numel() // x.shape[1])
    squares = wide.var(dims, correction=0) * number
    rows = _all(torch.stack([number, mean, squares]))
    counts, means, spreads = rows[:, 0], rows[:, 1], rows[:, 2]
    total = counts.sum(0)
    mean = (means * counts / total).sum(0)
    return total[:1], mean, (spreads + (means - mean) ** 2 * counts).sum(0)


def _all(tensor: Tensor) -> Tensor:
    rows = [torch.empty_like(tensor) for _ in range(dist.get_world_size())]
    with answered():
        dist.all_gather(rows, tensor)
    return torch.stack(rows)


def _but_channels(x: Tensor) -> list[int]:
    return [i for i in range(x.ndim) if i != 1]


@torch.no_grad()
def _follow(norm: BatchNorm, mean: Tensor, variance: Tensor) -> None:
    """Running statistics as torch keeps them; `variance` is the unbiased one."""
    assert norm.running_mean is not None and norm.running_var is not None
    factor = norm.momentum
    if norm.num_batches_tracked is not None:
        norm.num_batches_tracked.add_(1)
        if factor is None:
            factor = 1.0 / float(norm.num_batches_tracked)
    for kept, seen in ((norm.running_mean, mean), (norm.running_var, variance)):
        kept.lerp_(seen.to(kept.dtype), 0.0 if factor is None else factor)


class _Normalise(torch.autograd.Function):
    """(x - mean) / sqrt(variance + eps), where mean and variance depend on x, on every rank.

    Source of the gradient: Ioffe and Szegedy, Batch Normalization, 2015, section 3.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, mean: Tensor, variance: Tensor, eps: float, count: Tensor
    ) -> Tensor:
        shape = (1, -1, *[1] * (x.ndim - 2))
        scale = torch.rsqrt(variance + eps).view(shape)
        result = (x.float() - mean.view(shape)) * scale
        ctx.save_for_backward(result, scale, count)
        return result.to(x.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        result, scale, count = ctx.saved_tensors
        dims, wide = _but_channels(gradient), gradient.float()
        sums = torch.stack([wide.sum(dims), (wide * result).sum(dims)])
        with answered():
            dist.all_reduce(sums)
        offset, slope = (s.view_as(scale) / count for s in sums)
        back = (wide - offset - result * slope) * scale
        return back.to(gradient.dtype), None, None, None, None
