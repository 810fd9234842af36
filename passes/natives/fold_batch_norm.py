"""BatchNorm as a factor and an offset per output channel of the weights in front of it.

With statistics m, v and parameters s, t (scale and bias), for each output channel

    y = s * (w x + b - m) / sqrt(v + epsilon) + t = (f w) x + f (b - m) + t

where f = s / sqrt(v + epsilon).

Source: Ioffe and Szegedy, Batch Normalization, 2015, algorithm 2; ONNX BatchNormalization.
"""

from __future__ import annotations

import numpy as np

from sparqc.declared.natives import native
from sparqc.errors import SparqcError
from sparqc.ir.graph import Array
from sparqc.numerics.arrays import Floats
from sparqc.numerics.finite import require_finite


@native("fold_batch_norm")
def fold_batch_norm(
    w: Array,
    b: Array | None,
    scale: Array | None,
    bias: Array | None,
    mean: Array,
    var: Array,
    epsilon: float,
) -> tuple[Array, Array]:
    """The weight and bias of a convolution or linear layer that does the BatchNorm behind it too.

    `w` is [C_out, ...]; all others are [C_out].  Computed in float64 and returned in the dtype of
    `w`.  Zeros stay zeros, so that a 2:4 weight stays one.  Raises `SparqcError` where a variance
    plus epsilon is not positive, or where a result is NaN or infinite.
    """
    factor, offset = _affine(b, scale, bias, mean, var, epsilon)
    return _finite(_scaled(w, factor.reshape(-1, *[1] * (w.ndim - 1))), offset.astype(w.dtype))


@native("fold_batch_norm_transposed")
def fold_batch_norm_transposed(
    w: Array,
    b: Array | None,
    scale: Array | None,
    bias: Array | None,
    mean: Array,
    var: Array,
    epsilon: float,
    groups: int,
) -> tuple[Array, Array]:
    """The same for a transposed convolution, whose `w` is [C_in, C_out / groups, ...].

    Input channels i of group g make output channels g * C_out / groups + j: the factor of that
    channel belongs to `w[i, j]`.
    """
    factor, offset = _affine(b, scale, bias, mean, var, epsilon)
    # [groups, 1, C_out / groups, 1, ...] against w as [groups, C_in / groups, C_out / groups, ...]
    factor = factor.reshape(groups, 1, -1, *[1] * (w.ndim - 2))
    grouped = w.reshape(groups, -1, *w.shape[1:])
    return _finite(_scaled(grouped, factor).reshape(w.shape), offset.astype(w.dtype))


@native("fold_batch_norm_scale")
def fold_batch_norm_scale(s: Array, scale: Array | None, var: Array, epsilon: float) -> Array:
    """The scales [C_out] that give the folded weight the codes of the unfolded one, up to sign.

    |f| s, in the dtype of `s`.  A channel whose f is 0, or so small that the product is no normal
    number, keeps its scale: its weights are zero, and so are their codes.
    """
    factor, _ = _affine(None, scale, None, np.zeros_like(var), var, epsilon)
    product: Array = (np.abs(factor) * s).astype(s.dtype)
    return np.where(product < np.finfo(s.dtype).smallest_normal, s, product)


def _affine(
    b: Array | None,
    scale: Array | None,
    bias: Array | None,
    mean: Array,
    var: Array,
    epsilon: float,
) -> tuple[Floats, Floats]:
    """Factor and offset of each output channel, both [C_out]."""
    spread = var.astype(np.float64) + epsilon
    usable = np.isfinite(spread) & (spread > 0)
    if not usable.all():
        channel = int(np.argmin(usable))
        raise SparqcError(
            f"BatchNorm's variance + epsilon is {spread[channel]:g} in channel {channel}",
            hint="it must be positive and finite: the running statistics of the model are damaged",
        )
    factor = 1.0 / np.sqrt(spread)
    if scale is not None:
        factor *= scale
    offset = -mean.astype(np.float64) if b is None else b.astype(np.float64) - mean
    offset *= factor
    return factor, offset if bias is None else offset + bias


def _scaled(w: Array, factor: Floats) -> Array:
    """w * factor in float64, rounded once, without a float64 copy of a large weight."""
    result = np.empty_like(w)
    with np.errstate(over="ignore", invalid="ignore"):  # reported by `_finite`
        return np.multiply(w, factor, out=result, dtype=np.float64, casting="unsafe")


def _finite(w: Array, b: Array) -> tuple[Array, Array]:
    require_finite(w, "the weight with BatchNorm folded into it")
    require_finite(b, "the bias with BatchNorm folded into it")
    return w, b
