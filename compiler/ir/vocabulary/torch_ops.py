"""sparqc's own torch operators: fake quantization and 2:4 masks, both with gradients.

They stay in the FX graph as single calls, so any training loop keeps them, and the exporter finds
each as one node.  Importing the module registers them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from sparqc.ir.vocabulary.channel_shape import channel_shape

LIBRARY = torch.library.Library("sparqc", "DEF")  # type: ignore[no-untyped-call]
for schema in (
    "qdq(Tensor x, Tensor scale, int? axis, int low, int high) -> Tensor",
    "mask(Tensor w, Tensor mask) -> Tensor",
):
    LIBRARY.define(schema)  # type: ignore[no-untyped-call]

#: By the bytes of a number.
_INTEGERS = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


def _qdq(x: Tensor, scale: Tensor, axis: int | None, low: int, high: int) -> Tensor:
    """clamp(round_half_even(x / scale), low, high) * scale, in at least f32; x where scale is NaN.

    A true division, as in ONNX's QuantizeLinear: a product with 1 / scale rounds other values up.
    """
    dtype = torch.promote_types(scale.dtype, torch.float32)
    step = scale.reshape(channel_shape(axis, x.dim())).to(dtype)
    rounded = x.to(dtype) / step
    rounded.round_().clamp_(low, high).mul_(step)  # in place: memory is most of what it costs
    return torch.where(torch.isnan(step), x, rounded.to(x.dtype))


def _mask(w: Tensor, mask: Tensor) -> Tensor:
    """w where the mask is set, zero elsewhere (also where w is infinite or NaN)."""
    kept = mask if mask.dtype == torch.bool else mask != 0
    if w.device.type == "cpu":  # as integers, in NumPy: torch takes seven times as long
        bits = w.detach().contiguous().view(_INTEGERS[w.element_size()]).numpy()
        return torch.from_numpy(np.multiply(bits, kept.numpy())).view(w.dtype)
    return torch.where(kept, w, torch.zeros((), dtype=w.dtype, device=w.device))


def _same(x: Tensor, *_: Any) -> Tensor:
    return torch.empty_like(x, memory_format=torch.contiguous_format)


class _QdqGradient:
    """Straight through: the gradient passes where the code was not clipped."""

    @staticmethod
    def setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        x, scale, ctx.axis, ctx.low, ctx.high = inputs
        ctx.save_for_backward(x, scale)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, scale = ctx.saved_tensors
        step = scale.reshape(channel_shape(ctx.axis, x.dim())).to(x.dtype)
        ratio = x / step
        passes = ((ratio >= ctx.low) & (ratio <= ctx.high)) | torch.isnan(step)
        return gradient * passes.to(gradient.dtype), None, None, None, None


def _mask_setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    """The gradient of a masked weight needs nothing."""


def _mask_backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
    """Straight through: a masked weight may come back when the mask changes."""
    return gradient, None


def _register() -> None:
    for name, kernel in (("qdq", _qdq), ("mask", _mask)):
        LIBRARY.impl(name, kernel, "CompositeExplicitAutograd")  # type: ignore[no-untyped-call]
    torch.library.register_fake("sparqc::qdq", _same, lib=LIBRARY)
    torch.library.register_fake("sparqc::mask", _same, lib=LIBRARY)
    torch.library.register_autograd(
        "sparqc::qdq", _QdqGradient.backward, setup_context=_QdqGradient.setup, lib=LIBRARY
    )
    torch.library.register_autograd(
        "sparqc::mask", _mask_backward, setup_context=_mask_setup, lib=LIBRARY
    )


_register()
