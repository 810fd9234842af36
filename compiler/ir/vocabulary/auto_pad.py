"""The pads that ONNX's `auto_pad` stands for, which TensorFlow's exporters write."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sparqc.ir.graph import Value
from sparqc.ir.vocabulary.operator import Call


def window_pads(
    call: Call, kernel: Sequence[int], strides: Sequence[int], dilations: Sequence[int]
) -> tuple[int, ...] | None:
    """All begins, then all ends, of a window that slides over X; None where they depend on a size
    that is not known.

    SAME gives ceil(size / stride) outputs: total = (outputs - 1) stride + (kernel - 1) dilation + 1
    - size, at least 0 (ONNX, Conv).  With a stride of 1 it is the same for all sizes.
    """
    mode = auto_pad(call)
    if mode == "NOTSET":
        return tuple(call.arguments.get("pads") or (0,) * (2 * len(kernel)))
    if mode == "VALID":
        return (0,) * (2 * len(kernel))
    totals = []
    sizes = _sizes(call.arguments["X"], len(kernel))
    for size, k, stride, dilation in zip(sizes, kernel, strides, dilations, strict=True):
        if stride == 1:
            totals.append((k - 1) * dilation)
        elif isinstance(size, int):
            outputs = -(-size // stride)
            totals.append(max(0, (outputs - 1) * stride + (k - 1) * dilation + 1 - size))
        else:
            return None
    return split(totals, mode)


def split(totals: Sequence[int], mode: str) -> tuple[int, ...]:
    """Totals as begins and ends; an odd one goes behind with SAME_UPPER, else in front."""
    small, large = [t // 2 for t in totals], [t - t // 2 for t in totals]
    return (*small, *large) if mode == "SAME_UPPER" else (*large, *small)


def auto_pad(call: Call) -> str:
    """The mode of a call: NOTSET, VALID, SAME_UPPER or SAME_LOWER."""
    return str(call.arguments.get("auto_pad") or "NOTSET")


def _sizes(x: Any, rank: int) -> tuple[int | str | None, ...]:
    shape = x.shape if isinstance(x, Value) else None
    return (None,) * rank if shape is None or len(shape) != rank + 2 else tuple(shape[2:])
