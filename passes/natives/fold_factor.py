"""A constant factor behind a product with a weight, moved into the weight and the bias.

For each output channel

    y = f * (w x + b) = (f w) x + f b

where f is one number for all channels or one for each: LayerScale, the x 0.1 of a residual block,
the half steps of a Conformer.  A division by f is a multiplication by 1 / f.

Source: Touvron et al., Going Deeper with Image Transformers, 2021, section 2 (LayerScale).
"""

from __future__ import annotations

from math import prod

import numpy as np

from sparqc.declared.natives import native
from sparqc.ir.graph import Array, Node, Value
from sparqc.ir.types import Shape
from sparqc.ir.vocabulary.table import default_table
from sparqc.numerics.arrays import Floats

#: Products whose channels lie behind the batch axis; those of matrices have them last.
_SPATIAL = {"nn.conv", "nn.conv_transpose"}


@native("follows_channels")
def follows_channels(f: Array, v: Value, c: Value, k: Value) -> bool:
    """Whether a factor `f` on `v` is a factor for each output channel, or one for all, of `c`.

    `v` is `c` in another layout, and `k` the weight of the product that gives `c`.
    """
    return _of_channels(f, v, c, k) is not None


@native("scaled_weight")
def scaled_weight(
    w: Array, b: Array | None, f: Array, y: Value, v: Value, c: Value, k: Value
) -> tuple[Array, Array | None]:
    """The weight and the bias of a product that does the factor behind it too.

    `y` is `v` times or divided by `f`; the others are as above.  Computed in float64 and returned
    in the dtypes of `w` and `b`.  Zeros stay zeros, so that a 2:4 weight stays one.
    """
    factor = _factor(f, y, v, c, k)
    return _times(w, _against(factor, w, k)), None if b is None else _times(b, factor)


@native("scaled_scale")
def scaled_scale(s: Array | None, f: Array, y: Value, v: Value, c: Value, k: Value) -> Array | None:
    """The scales that give the weight its codes of before, up to sign: |f| s, in the dtype of `s`.

    A channel whose f is 0, or so small that the product is no normal number, keeps its scale.
    None where there are no scales.
    """
    if s is None:
        return None
    product = _times(s, np.abs(_factor(f, y, v, c, k)))
    return np.where(product < np.finfo(s.dtype).smallest_normal, s, product)


@native("scale_follows")
def scale_follows(s: Array, axis: int | None, f: Array, v: Value, c: Value, k: Value) -> bool:
    """Whether the scales of a weight can take a factor in: one for each output channel, or one
    number both."""
    channels = _of_channels(f, v, c, k)
    if channels is None or channels.ndim == 0:
        return channels is not None
    node, rank = _product(k), k.type.rank or 0
    grouped = node.op == "nn.conv_transpose" and node.attributes["groups"] != 1
    return s.ndim == 1 and axis is not None and axis % rank == _axis(node) % rank and not grouped


@native("turns_sign")
def turns_sign(f: Array) -> bool:
    """Whether a factor is negative anywhere."""
    return bool((f < 0).any())


@native("stays_in_range")
def stays_in_range(w: Array, b: Array | None, f: Array, y: Value) -> bool:
    """Whether a weight and a bias stay finite once they are scaled by `f`, and no channel of them
    falls below the normal numbers of their type."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        size = np.abs(_inverted(f, y))
    if not np.isfinite(size).all():
        return False
    used = size[size > 0]
    return not used.size or all(_holds(a, used.min(), used.max()) for a in (w, b) if a is not None)


def _holds(array: Array, least: float, most: float) -> bool:
    largest = float(np.abs(array).max(initial=0))
    limits = np.finfo(array.dtype)
    fits = largest * most <= float(limits.max)
    lost = largest * least < float(limits.smallest_normal) <= largest
    return fits and not lost


# -- where the channels lie --------------------------------------------------------------------


def _of_channels(f: Array, v: Value, c: Value, k: Value) -> Array | None:
    """The factor [channels] or [] on `c` that `f` on `v` is; None where there is none."""
    rank = v.type.rank
    if f.size == 1:
        return f.reshape(())
    if rank is None or f.ndim > rank:
        return None
    found: Array | None = _squeezed(f.reshape((1,) * (rank - f.ndim) + f.shape))
    value = v
    while found is not None and value is not c:
        node = value.producer
        if node is None:
            return None
        source = next(node.inputs)
        found, value = _in_front(found, node, source), source
    axis = 1 if _product(k).op in _SPATIAL else (c.type.rank or 0) - 1
    if found is None or found.size != found.shape[axis]:
        return None
    return found.reshape(-1)


def _squeezed(f: Array) -> Array:
    """The factor, of size 1 along every axis that it does not change along."""
    for axis in range(f.ndim):
        first = f.take([0], axis)
        if f.shape[axis] > 1 and (f == first).all():
            f = first
    return f


def _in_front(f: Array, node: Node, source: Value) -> Array | None:
    """The factor on what a view reads that `f` is on what it gives; both have all axes."""
    before, after = source.shape, node.output.shape
    if before is None or after is None:
        return None
    if node.op == "nn.transpose":
        perm = node.attributes["perm"]
        assert isinstance(perm, tuple)
        return f.transpose([perm.index(axis) for axis in range(len(perm))])
    used = [axis for axis, size in enumerate(f.shape) if size > 1]
    if not used:
        return f.reshape((1,) * len(before))
    first, last = used[0], used[-1]
    if after[: last + 1] == before[: last + 1]:  # only what lies behind is laid out anew
        return f.reshape((*f.shape[: last + 1], *[1] * (len(before) - last - 1)))
    ends = range(last + 1, len(after) + 1)
    for begin, end in ((b, e) for e in ends for b in range(first, -1, -1)):
        stop = _from_behind(before, after[end:])
        start = None if stop is None else _from_behind(before[:stop], after[begin:end])
        if start is not None:  # these axes in front are those behind
            wide = (*after[begin:end], *[1] * (len(after) - end))
            block = np.broadcast_to(f.reshape(f.shape[begin:]), [int(size) for size in wide])
            whole = (*[1] * start, *before[start:stop], *[1] * (len(before) - (stop or 0)))
            return _squeezed(block.reshape([int(size) for size in whole]))
    return None


def _from_behind(shape: Shape, block: Shape) -> int | None:
    """The axis of `shape` from which on its sizes make up the block; None where none does."""
    if not all(isinstance(size, int) for size in block):
        return None
    wanted, size = prod(int(s) for s in block), 1
    for axis in range(len(shape), -1, -1):
        if size == wanted:
            return axis
        length = shape[axis - 1] if axis else None
        if not isinstance(length, int):
            return None
        size *= length
    return None


# -- the arithmetic ----------------------------------------------------------------------------


def _product(k: Value) -> Node:
    """The product that reads a weight: the only one."""
    return k.readers[0]


def _axis(product: Node) -> int:
    """The axis of the output channels in the weight of a product."""
    row = default_table().require(product.op)
    assert row.weight is not None
    return row.weight.channel_axis(product)


def _inverted(f: Array, y: Value) -> Floats:
    wide = f.astype(np.float64)
    return 1 / wide if y.producer is not None and y.producer.op == "nn.div" else wide


def _factor(f: Array, y: Value, v: Value, c: Value, k: Value) -> Floats:
    found = _of_channels(f, v, c, k)
    assert found is not None  # `follows_channels` was asked
    return _inverted(found, y)


def _against(factor: Floats, w: Array, k: Value) -> Floats:
    """The factor in a shape in which it multiplies the weight."""
    node = _product(k)
    if factor.ndim == 0:
        return factor
    shape = [1] * w.ndim
    if node.op != "nn.conv_transpose":
        shape[_axis(node)] = -1
        return factor.reshape(shape)
    # [C_in, C_out / groups, ...]: input channels of group g make output channels of group g.
    groups = int(node.attributes["groups"])  # type: ignore[arg-type]
    rows = np.repeat(factor.reshape(groups, -1), w.shape[0] // groups, axis=0)
    return rows.reshape(*rows.shape, *shape[2:])


def _times(array: Array, factor: Floats) -> Array:
    """array * factor in float64, rounded once, without a float64 copy of a large weight."""
    shape = np.broadcast_shapes(array.shape, factor.shape)
    result = np.empty(shape, array.dtype)
    return np.multiply(array, factor, out=result, dtype=np.float64, casting="unsafe")
