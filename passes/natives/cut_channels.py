"""Whether the output channels of a matrix product become queries, keys and values by heads."""

from __future__ import annotations

from math import prod

from sparqc.declared.natives import native
from sparqc.ir.graph import Node, Value
from sparqc.ir.types import Shape
from sparqc.ir.vocabulary.table import default_table
from sparqc.passes.natives.einsum import matrix_product
from sparqc.passes.natives.permutation import is_in_order

#: The movers that take parts out of one axis.
_CUTS = {"nn.split", "nn.slice", "nn.gather", "nn.unbind"}
#: Queries, keys and values.
_THIRDS = 3


@native("is_cut_along_channels")
def is_cut_along_channels(y: Value) -> bool:
    """Whether the channels of `y`, [..., channels], become parts of one shape, by heads.

    Either the channels are cut into thirds, and each that is used is viewed as [batch, tokens,
    heads, size] and transposed, whatever reads it then.  Or `y` is viewed as [batch, tokens, parts,
    heads, size], with two or three parts, before or behind the heads, and transposed to stacks of
    matrices, of tokens by size or of size by tokens; then each stack that is used has one reader,
    the product with another stack, but for a factor or a transpose in between.

    Parts that are used as they are, more of them, and a `y` or a part that something else reads as
    well do not count.

    As patterns this would be each order of views, cuts and transposes, and each cut by Split, Slice
    or Gather, times the parts that are used: what counts is what their shapes have in common.
    """
    size = y.shape[-1] if y.shape else None
    while (step := _only_reader(y)) is not None and default_table().has(step.op, "view"):
        y = step.output
    if step is not None and step.op == "nn.transpose":
        stacks = _parts(step.output, 0) if _is_stacked(step, y) else []
        return bool(stacks) and all(map(_is_multiplied, stacks))
    if y.shape is None or not isinstance(size, int):
        return False
    axes = (a for a in range(len(y.shape)) if _is_cut_axis(y.shape, a, size))
    laid_out = ({_laid_out(part, size // _THIRDS) for part in _parts(y, axis)} for axis in axes)
    return any(len(shapes) == 1 and None not in shapes for shapes in laid_out)


def _is_cut_axis(shape: Shape, axis: int, channels: int) -> bool:
    """Whether thirds along this axis are thirds of the channels, or one of them each."""
    inner = [n for n in shape[axis:] if isinstance(n, int) and n]
    if len(inner) < len(shape) - axis or channels % prod(inner):
        return False
    return shape[axis] == _THIRDS or (axis == len(shape) - 1 and shape[axis] == channels)


def _is_stacked(transpose: Node, value: Value) -> bool:
    """Whether [batch, tokens, parts, heads, size] becomes stacks of matrices."""
    perm, shape = transpose.attributes["perm"], value.shape
    if not isinstance(perm, tuple) or len(perm) != 5 or shape is None:
        return False
    first, *_, row, column = (a for a in perm if isinstance(a, int))
    return first in (2, 3) and {row, column} == {1, 4} and shape[first] in {2, 3}


# -- parts ---------------------------------------------------------------------------------------


def _parts(value: Value, axis: int) -> list[Value]:
    """What is used of the equal parts, single entries or thirds, that all readers of a value take
    along an axis; else nothing."""
    shape = value.shape or ()
    if value.is_output or not all(n.op in _CUTS and _along(n, value, axis) for n in value.readers):
        return []
    count = 2 if shape[axis] == 2 else _THIRDS
    parts = [v for n in value.readers for v in n.outputs if v.readers or v.is_output]
    return parts if all(_entries(v) * count == _entries(value) for v in parts) else []


def _entries(value: Value) -> int:
    """The product of all sizes that are known."""
    return prod(n for n in value.shape or () if isinstance(n, int))


def _along(node: Node, value: Value, axis: int) -> bool:
    rank = len(value.shape or ())
    if node.op == "nn.slice":
        given, now = (value.shape or ())[axis], (node.output.shape or (None,) * rank)[axis]
        return given != now
    cut = node.attributes.get("axis")
    return isinstance(cut, int) and cut % rank == axis


def _laid_out(part: Value, channels: int) -> Shape | None:
    """The shape [batch, tokens, heads, size] as which a part is viewed in front of a transpose."""
    step, shape = _only_reader(part, as_output=True), part.shape or ()
    if step is None:
        return None
    if default_table().has(step.op, "view"):
        return _laid_out(step.output, channels)
    if step.op != "nn.transpose" and not _is_transposed_in(step, part):
        return None
    by_heads = len(shape) == 4 and prod(n for n in shape[2:] if isinstance(n, int)) == channels
    return shape if by_heads else None


def _is_multiplied(part: Value) -> bool:
    """Whether the one reader of a stack is the product with another stack."""
    step = _only_reader(part)
    if step is None:
        return False
    if step.op in ("nn.squeeze", "nn.transpose"):
        return _is_multiplied(step.output)
    if step.op == "nn.mul":
        return any(v.is_const for v in step.inputs) and _is_multiplied(step.output)
    if step.op == "nn.matmul":  # a matrix instead of a stack makes it one product of all rows
        return all(len(v.shape or ()) in (3, 4) for v in step.inputs)
    return step.op in ("nn.attention", "nn.einsum")


def _only_reader(value: Value, *, as_output: bool = False) -> Node | None:
    """The one node that reads a value, which is no output, unless it may be one."""
    readers = value.readers
    return readers[0] if len(readers) == 1 and (as_output or not value.is_output) else None


def _is_transposed_in(node: Node, value: Value) -> bool:
    """Whether an Einsum that is a product of matrices transposes an operand by itself."""
    xs = list(node.inputs)
    if node.op != "nn.einsum" or len(xs) != 2:
        return False
    found = matrix_product(str(node.attributes["equation"]), *xs)
    orders = () if found is None else zip(xs, (found.first, found.second), strict=True)
    return any(x is value and not is_in_order(order) for x, order in orders)
