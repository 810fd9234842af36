"""Whether the output channels of a matrix product are cut into parts behind it."""

from __future__ import annotations

from sparqc.ir.graph import Node, Shape, Value
from sparqc.natives import native

#: Operators that take parts out of an axis.
_CUTS = {"nn.split", "nn.slice", "nn.gather", "nn.unbind"}
#: Products of two computed matrices, and moves on the way to one.
_PRODUCTS = {"nn.matmul", "nn.attention"}
_MOVES = {"nn.reshape", "nn.reshape_to", "nn.unsqueeze", "nn.squeeze", "nn.transpose"}


@native("is_cut_along_channels")
def is_cut_along_channels(y: Value) -> bool:
    """Whether blocks of the channels of `y`, [..., channels], become operands of products.

    The channels may be laid out anew before: of [..., 3, heads, size] the axis of the 3 holds the
    largest blocks, and only a cut along that one counts.  Between `y` and a product the data are
    transposed once: in front of the cut, and then nothing moves them behind it, or behind it.
    """
    return y.shape is not None and _is_cut(y, len(y.shape) - 1, False)


def _is_cut(value: Value, axis: int, transposed: bool) -> bool:
    """Whether a reader cuts that axis, or moves it to where one does."""
    return any(_cuts(node, value, axis, transposed) for node in value.readers)


def _cuts(node: Node, value: Value, axis: int, transposed: bool) -> bool:
    if node.op in _CUTS:
        return _along(node, value, axis) and any(_multiplied(v, transposed) for v in node.outputs)
    moved = _moved(node, value, axis)
    transposed |= node.op == "nn.transpose"
    return moved is not None and _is_cut(node.output, moved, transposed)


def _multiplied(part: Value, transposed: bool) -> bool:
    """Whether a part reaches a product, transposed once on its whole way."""
    return any(_leads_to_product(node, transposed) for node in part.readers)


def _leads_to_product(node: Node, transposed: bool) -> bool:
    if node.op in _PRODUCTS:
        return transposed
    if node.op == "nn.squeeze":  # with a Split what an unbind is
        return _multiplied(node.output, transposed)
    moves = node.op in _MOVES and not transposed
    return moves and _multiplied(node.output, node.op == "nn.transpose")


def _along(node: Node, value: Value, axis: int) -> bool:
    rank = len(value.shape or ())
    if node.op == "nn.slice":
        given, now = (value.shape or ())[axis], (node.output.shape or (None,) * rank)[axis]
        return given != now
    cut = node.attributes.get("axis")
    return isinstance(cut, int) and cut % rank == axis


def _moved(node: Node, value: Value, axis: int) -> int | None:
    """Where the axis with the largest blocks of channels stands behind a move; None: elsewhere."""
    if value.shape is None or node.output.shape is None:
        return None
    if node.op == "nn.transpose":
        perm = node.attributes["perm"]
        return perm.index(axis) if isinstance(perm, tuple) else None
    if node.op in ("nn.add", "nn.identity"):  # the bias
        return axis if node.output.shape == value.shape else None
    if node.op in ("nn.reshape", "nn.reshape_to", "nn.unsqueeze", "nn.squeeze"):
        return _outermost(value.shape[axis:], node.output.shape)
    return None


def _outermost(block: Shape, shape: Shape) -> int | None:
    """The first axis of `shape` from which on the sizes make up the block."""
    wanted, size = _product(block), 1
    for axis in range(len(shape) - 1, -1, -1):
        length = shape[axis]
        if wanted is None or not isinstance(length, int):
            return None
        size *= length
        if size == wanted and length != 1:
            return axis
    return None


def _product(sizes: Shape) -> int | None:
    product = 1
    for size in sizes:
        if not isinstance(size, int):
            return None
        product *= size
    return product
