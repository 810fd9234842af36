"""Whether the output channels of a matrix product are cut into parts behind it."""

from __future__ import annotations

from sparqc.declared.natives import native
from sparqc.ir.graph import Node, Shape, Value
from sparqc.ir.vocabulary.table import default_table
from sparqc.passes.natives.einsum import matrix_product
from sparqc.passes.natives.permutation import is_in_order

#: The movers that take parts out of one axis.
_CUTS = {"nn.split", "nn.slice", "nn.gather", "nn.unbind"}
#: Products of two computed matrices.
_PRODUCTS = {"nn.matmul", "nn.attention", "nn.einsum"}


@native("is_cut_along_channels")
def is_cut_along_channels(y: Value) -> bool:
    """Whether blocks of the channels of `y`, [..., channels], become operands of products.

    The channels may be laid out anew before.  Of [..., 3, heads, size] the first axis holds the
    largest blocks, and any cut along it counts; along the others only one that takes single entries
    out, as of the 3 in [..., heads, 3, size].  Between `y` and a product the data are transposed
    once: in front of the cut, and then nothing moves them behind it, or behind it.
    """
    return y.shape is not None and _is_cut(y, (len(y.shape) - 1,), False)


def _is_cut(value: Value, axes: tuple[int, ...], transposed: bool) -> bool:
    """Whether a reader cuts one of the axes of channels, or moves them to where one does."""
    return any(_cuts(node, value, axes, transposed) for node in value.readers)


def _cuts(node: Node, value: Value, axes: tuple[int, ...], transposed: bool) -> bool:
    if node.op in _CUTS:
        cut = any(_along(node, value, a) and (a == axes[0] or _single(node, value)) for a in axes)
        return cut and any(_multiplied(v, transposed) for v in node.outputs)
    moved = _moved(node, value, axes)
    transposed |= node.op == "nn.transpose"
    return bool(moved) and _is_cut(node.output, moved, transposed)


def _single(node: Node, value: Value) -> bool:
    """Whether a cut takes single entries of its axis: the axis goes, or is 1 long."""
    before, after = value.shape or (), node.output.shape or ()
    return len(after) < len(before) or after.count(1) > before.count(1)


def _multiplied(part: Value, transposed: bool) -> bool:
    """Whether a part reaches a product: at once where the data were transposed in front of the
    cut, and else transposed once."""
    if transposed:
        return any(map(_is_product, part.readers))
    return _reaches_product(part, False)


def _is_product(node: Node) -> bool:
    """Whether it is a product, or the Squeeze that makes an unbind of a Split and then one."""
    squeezed = node.op == "nn.squeeze" and any(map(_is_product, node.output.readers))
    return squeezed or node.op in _PRODUCTS


def _reaches_product(value: Value, transposed: bool) -> bool:
    return any(_leads_to_product(node, value, transposed) for node in value.readers)


def _leads_to_product(node: Node, value: Value, transposed: bool) -> bool:
    if node.op in _PRODUCTS:
        return transposed or _is_transposed_in(node, value)
    if node.op == "nn.transpose":
        return not transposed and _reaches_product(node.output, True)
    return default_table().has(node.op, "view") and _reaches_product(node.output, transposed)


def _is_transposed_in(node: Node, value: Value) -> bool:
    """Whether an Einsum that is a product of matrices transposes an operand by itself."""
    xs = list(node.inputs)
    if node.op != "nn.einsum" or len(xs) != 2:
        return False
    found = matrix_product(str(node.attributes["equation"]), *xs)
    orders = () if found is None else zip(xs, (found.first, found.second), strict=True)
    return any(x is value and not is_in_order(order) for x, order in orders)


def _along(node: Node, value: Value, axis: int) -> bool:
    rank = len(value.shape or ())
    if node.op == "nn.slice":
        given, now = (value.shape or ())[axis], (node.output.shape or (None,) * rank)[axis]
        return given != now
    cut = node.attributes.get("axis")
    return isinstance(cut, int) and cut % rank == axis


def _moved(node: Node, value: Value, axes: tuple[int, ...]) -> tuple[int, ...]:
    """Where the axes of channels stand behind a move, the one with the largest blocks first."""
    if value.shape is None or node.output.shape is None:
        return ()
    if node.op == "nn.transpose":
        perm = node.attributes["perm"]
        return tuple(perm.index(a) for a in axes) if isinstance(perm, tuple) else ()
    if node.op in ("nn.add", "nn.identity"):  # the bias
        return axes if node.output.shape == value.shape else ()
    if default_table().has(node.op, "view"):
        first = _outermost(value.shape[axes[0] :], node.output.shape)
        if first is None:
            return ()
        together = axes == tuple(range(axes[0], len(value.shape)))
        return tuple(range(first, len(node.output.shape))) if together else (first,)
    return ()


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
