"""The orders along the axes of what moves numbers and computes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod

from sparqc.ir.graph import Node, Value
from sparqc.ir.vocabulary.forms import integer, ints, tensor, tensors
from sparqc.passes.permute.segments import Layout, Segment
from sparqc.passes.permute.ties import Axis, Ties, axes_of, size_of


def transpose(node: Node, ties: Ties) -> None:
    """Axis i of y is axis perm[i] of x."""
    for index, axis in enumerate(ints(node, "perm")):
        ties.same((tensor(node, "x"), axis), (node.output, index))


def reshape(node: Node, ties: Ties) -> None:
    """Where axes are merged, or one is cut up, the first of them counts blocks of the others."""
    for ones, others in _matching(axes_of(tensor(node, "x")), axes_of(node.output)):
        if len(ones) == len(others) == 1:
            ties.same(ones[0], others[0])
        elif len(others) == 1:
            ties.made_of(others[0], [_first(ones, ties)])
        elif len(ones) == 1:
            ties.made_of(ones[0], [_first(others, ties)])


def _first(axes: list[Axis], ties: Ties) -> Layout | None:
    """The layout of several axes in one; those behind the first have to keep their order."""
    return ties.blocks(axes[0], prod(int(size_of(axis)) for axis in axes[1:]))


def _matching(ones: list[Axis], others: list[Axis]) -> Iterator[tuple[list[Axis], list[Axis]]]:
    """The shortest runs of axes that hold the same numbers: from the front, and, from where a size
    is not known, from the back."""
    left = [axis for axis in ones if size_of(axis) != 1]
    right = [axis for axis in others if size_of(axis) != 1]
    while run := _first_run(left, right):
        yield run
        del left[: len(run[0])], right[: len(run[1])]
    while left and right and size_of(left[-1]) == size_of(right[-1]):
        yield [left.pop()], [right.pop()]


def _first_run(left: list[Axis], right: list[Axis]) -> tuple[list[Axis], list[Axis]] | None:
    """The fewest axes of either side whose sizes have one product; None where that is unknown."""
    if left and right and size_of(left[0]) == size_of(right[0]):
        return left[:1], right[:1]
    products = {product: count for count, product in enumerate(_products(left), 1)}
    for count, product in enumerate(_products(right), 1):
        if product in products:
            return left[: products[product]], right[:count]
    return None


def _products(axes: list[Axis]) -> Iterator[int]:
    """The products of the first one, two, three, … sizes, as far as these are known."""
    product = 1
    for axis in axes:
        size = size_of(axis)
        if not isinstance(size, int):
            return
        product *= size
        yield product


def _pairs(ones: list[Axis], others: list[Axis], ties: Ties) -> None:
    for one, other in zip(ones, others, strict=True):
        ties.same(one, other)


def concat(node: Node, ties: Ties) -> None:
    """Along its axis the tensors stand one behind the other."""
    _side_by_side(node.output, tensors(node, "xs"), node, ties)


def split(node: Node, ties: Ties) -> None:
    """As a concat, backwards."""
    _side_by_side(tensor(node, "x"), node.outputs, node, ties)


def _side_by_side(whole: Value, parts: Sequence[Value], node: Node, ties: Ties) -> None:
    axis = integer(node, "axis") % (whole.type.rank or 1)
    ties.made_of((whole, axis), [ties.blocks((part, axis), 1) for part in parts])
    for part in parts:
        _keep_others(axes_of(part), axes_of(whole), {axis}, ties)


def cut(node: Node, ties: Ties) -> None:
    """A slice: what it leaves out, in front and behind, may have any order."""
    x, y = tensor(node, "x"), node.output
    names = ("axes", "starts", "steps")
    for axis, start, step in zip(*(ints(node, name) for name in names), strict=True):
        whole, size = size_of((x, axis)), size_of((y, axis))
        if isinstance(whole, str) or isinstance(size, str) or step != 1:
            continue
        if 0 <= start <= whole - size:
            parts = [_any(start), ties.blocks((y, axis), 1), _any(whole - size - start)]
            ties.made_of((x, axis), parts)
    _keep_others(axes_of(x), axes_of(y), set(ints(node, "axes")), ties)


def _any(size: int) -> Layout:
    return ((Segment(size), 1),) if size else ()


def _keep_others(ones: list[Axis], others: list[Axis], but: set[int], ties: Ties) -> None:
    for one, other in zip(ones, others, strict=True):
        if one[1] not in but:
            ties.same(one, other)


def roll(node: Node, ties: Ties) -> None:
    """Where nothing moves the order is kept."""
    x = tensor(node, "x")
    _keep_others(axes_of(x), axes_of(node.output), set(ints(node, "axes")), ties)


def pad(node: Node, ties: Ties) -> None:
    """Where there is no margin the order is kept."""
    x, pads = tensor(node, "x"), ints(node, "pads")
    rank = len(pads) // 2
    moved = {axis for axis in range(rank) if pads[axis] or pads[axis + rank]}
    _keep_others(axes_of(x), axes_of(node.output), moved, ties)


def spatial(node: Node, ties: Ties) -> None:
    """Pools and changes of resolution: samples and channels are kept apart."""
    for axis in range(2):
        ties.same((tensor(node, "x"), axis), (node.output, axis))


def gather(node: Node, ties: Ties) -> None:
    """The axes of the indices stand where the axis was that they choose from."""
    x, indices = axes_of(tensor(node, "x")), axes_of(tensor(node, "indices"))
    axis = integer(node, "axis") % len(x)
    _pairs([*x[:axis], *indices, *x[axis + 1 :]], axes_of(node.output), ties)


def stack(node: Node, ties: Ties) -> None:
    """A new axis; the others are those of every tensor."""
    _one_axis_less(node.output, tensors(node, "xs"), node, ties)


def unbind(node: Node, ties: Ties) -> None:
    """An axis less; the others are those of every result."""
    _one_axis_less(tensor(node, "x"), node.outputs, node, ties)


def _one_axis_less(whole: Value, parts: Sequence[Value], node: Node, ties: Ties) -> None:
    left = axes_of(whole)
    del left[integer(node, "axis") % len(left)]
    for part in parts:
        _pairs(axes_of(part), left, ties)


def depth_to_space(node: Node, ties: Ties) -> None:
    """A channel of y comes from a block of channels (CRD), or from one of each block (DCR)."""
    x, y, block = tensor(node, "x"), node.output, integer(node, "blocksize") ** 2
    ties.same((x, 0), (y, 0))
    if node.attributes["mode"] == "CRD":
        ties.made_of((x, 1), [ties.blocks((y, 1), block)])
    else:
        ties.made_of((x, 1), [ties.blocks((y, 1), 1)] * block)
