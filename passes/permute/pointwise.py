"""The orders along the axes of what computes each element, or each channel, on its own."""

from __future__ import annotations

from sparqc.ir.graph import Node, Value
from sparqc.ir.vocabulary.forms import integer, ints, optional_tensor, tensor
from sparqc.passes.permute.products import last
from sparqc.passes.permute.ties import Ties, axes_of


def elementwise(node: Node, ties: Ties) -> None:
    """Everything broadcasts, and element meets element.

    So it is for a softmax as well: permuted numbers have the permuted softmax, along any axis.
    """
    y = node.output
    for x in node.inputs:
        for back in range(1, (x.type.rank or 0) + 1):
            ties.same(last(x, back), last(y, back))


def of_shape(node: Node, ties: Ties) -> None:
    """Only the shape of x matters, and all numbers of the result are equal."""
    for value in (*node.inputs, *node.outputs):
        ties.free(*axes_of(value))


def expand(node: Node, ties: Ties) -> None:
    """x is stretched to a shape, or to that of another tensor; a new axis has the same numbers
    everywhere."""
    x, like = tensor(node, "x"), node.operands.get("like")
    for back in range(1, (x.type.rank or 0) + 1):
        ties.same(last(x, back), last(node.output, back))
    ties.free(*axes_of(node.output), *(axes_of(like) if isinstance(like, Value) else ()))


def per_channel(node: Node, ties: Ties) -> None:
    """Samples and channels are kept apart; parameters have one number a channel, or one."""
    x = tensor(node, "x")
    ties.same((x, 0), (node.output, 0))
    ties.same((x, 1), (node.output, 1))
    for slot, parameter in node.operands.items():
        if slot != "x" and parameter is not None:
            ties.same((x, 1), (tensor(node, slot), 0))


def batch_norm(node: Node, ties: Ties) -> None:
    """One factor and one offset a channel; every other axis is elementwise."""
    per_channel(node, ties)
    for x, y in zip(axes_of(tensor(node, "x")), axes_of(node.output), strict=True):
        ties.same(x, y)


def layer_norm(node: Node, ties: Ties) -> None:
    """Mean and variance are the same in any order; scale and bias lie under the last axes."""
    x, y = tensor(node, "x"), node.output
    for parameter in (x, optional_tensor(node, "scale"), optional_tensor(node, "bias")):
        if parameter is not None:
            for back in range(1, (parameter.type.rank or 0) + 1):
                ties.same(last(y, back), last(parameter, back))


def reduction(node: Node, ties: Ties) -> None:
    """The axes that are reduced may have any order: a sum, a mean, an extremum."""
    x = tensor(node, "x")
    reduced = {axis % (x.type.rank or 1) for axis in ints(node, "axes")}
    ties.free(*((x, axis) for axis in reduced))
    _other_axes(node, reduced, ties)


def argmax(node: Node, ties: Ties) -> None:
    """The result is a place along the axis, which therefore keeps its order."""
    _other_axes(node, {integer(node, "axis") % (tensor(node, "x").type.rank or 1)}, ties)


def _other_axes(node: Node, reduced: set[int], ties: Ties) -> None:
    for y in node.outputs:
        left = iter(axes_of(y))
        for axis in axes_of(tensor(node, "x")):
            if axis[1] not in reduced:
                ties.same(axis, next(left))
            elif node.attributes["keepdims"]:
                ties.free(next(left))  # of size 1


def quantizer(node: Node, ties: Ties) -> None:
    """x keeps all its orders; scale and zero point have one number, or one along `axis`."""
    x, axis = tensor(node, "x"), node.attributes["axis"]
    for one, other in zip(axes_of(x), axes_of(node.output), strict=True):
        ties.same(one, other)
    for slot in ("scale", "zero_point"):
        parameter = optional_tensor(node, slot)
        if parameter is not None and parameter.type.rank == 1 and isinstance(axis, int):
            ties.same((x, axis % (x.type.rank or 1)), (parameter, 0))
