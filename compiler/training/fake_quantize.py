"""Fake quantization for training: straight-through gradients, and learned scales.

The same numbers as `sparqc::qdq`, which they replace while a module trains: the gradient's mask is
kept as one byte an element instead of the float input, and a scale may have a gradient.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor

#: What is 0 or subnormal gets this scale: the least normal number of FP16.
DEAD_SCALE = 2.0**-14


def along(scale: Tensor, axis: int | None, rank: int) -> Tensor:
    """A scale (a scalar, or [n]) shaped so that it broadcasts along the channel axis."""
    shape = [1] * rank
    if axis is not None:
        shape[axis] = -1
    return scale.reshape(shape)


def weight_scale(w: Tensor, axis: int | None, high: int) -> Tensor:
    """max|w| / high for each slice along `axis` ([n]), or of the whole (a scalar); no gradient.

    What is zero throughout gets a harmless scale.
    """
    w = w.detach().float()
    dims = [d for d in range(w.dim()) if d != axis]
    scale = torch.linalg.vector_norm(w, float("inf"), dim=dims) / high
    return torch.where(scale < torch.finfo(torch.float32).tiny, DEAD_SCALE, scale)


def apply_mask(w: Tensor, mask: Tensor) -> Tensor:
    """w where the mask is set, zero elsewhere; so is the gradient."""
    return torch.where(mask, w, torch.zeros((), dtype=w.dtype, device=w.device))


def fake_quantize(x: Tensor, scale: Tensor, axis: int | None, low: int, high: int) -> Tensor:
    """clamp(round_half_even(x / scale), low, high) * scale in float32, in the type of `x`.

    The gradient passes straight through where low <= x / scale <= high and is zero where the code
    was clipped; the scale gets none.
    """
    step = along(scale.detach(), axis, x.dim())
    return cast(Tensor, _FakeQuantize.apply(x, step, low, high))  # type: ignore[no-untyped-call]


def learned_fake_quantize(
    x: Tensor, scale: Tensor, log: Tensor, axis: int | None, low: int, high: int
) -> Tensor:
    """As `fake_quantize` with the step `learned_step(scale, log)`, and with a gradient for `log`.

    With v = x / s, the gradient of the result for s is round(v) - v inside of the range, `low` or
    `high` outside of it (Esser et al., Learned Step Size Quantization, ICLR 2020, equation 3), and
    that for log(s) is s times as large (Jain et al., Trained Quantization Thresholds, MLSys 2020,
    section 3).
    """
    step = along(learned_step(scale, log), axis, x.dim())
    result = _LearnedFakeQuantize.apply(x, step, low, high)  # type: ignore[no-untyped-call]
    return cast(Tensor, result)


def learned_step(scale: Tensor, log: Tensor) -> Tensor:
    """scale * exp(log), and never 0: the step of a quantizer whose scale is learned, in float32.

    `log` is what trains, [n] for a scale of n numbers and 0 at first.  What an optimizer adds to it
    is a share of the step, however small that is: a scale itself would run away, for Adam moves any
    parameter by about its learning rate.  Weight decay pulls towards the scale that was measured.
    """
    step = scale.detach().float() * log.float().exp().reshape(scale.shape)
    return step.clamp_min(torch.finfo(torch.float32).tiny)


class _FakeQuantize(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, step: Tensor, low: int, high: int) -> Tensor:
        ratio = x.float() / step.float()
        if x.requires_grad:
            ctx.save_for_backward((ratio >= low) & (ratio <= high))
        return ratio.round_().clamp_(low, high).mul_(step).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (passes,) = ctx.saved_tensors
        return gradients[0] * passes, None, None, None


class _LearnedFakeQuantize(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, step: Tensor, low: int, high: int) -> Tensor:
        ratio = x.float() / step
        codes = ratio.round().clamp_(low, high)
        passes = (ratio >= low) & (ratio <= high)
        slope = torch.where(passes, codes - ratio, codes)
        ctx.save_for_backward(passes, slope)
        ctx.shape = step.shape
        return codes.mul_(step).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        passes, slope = ctx.saved_tensors
        scale = (gradients[0] * slope).sum_to_size(ctx.shape)
        return gradients[0] * passes, scale, None, None
