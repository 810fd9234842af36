"""The orders along the axes of products: an axis that is summed over may be permuted in both
factors alike."""

from __future__ import annotations

from sparqc.ir.graph import Node, Value
from sparqc.ir.vocabulary.forms import integer, optional_tensor, tensor, tensors
from sparqc.passes.permute.segments import Segment
from sparqc.passes.permute.ties import Axis, Ties, size_of


def last(value: Value, back: int = 1) -> Axis:
    """An axis counted from the end."""
    return value, (value.type.rank or 0) - back


def conv(node: Node, ties: Ties) -> None:
    """w [K, C / groups, ...]; batch and channels are kept apart, space is not."""
    x, w, y, groups = tensor(node, "x"), tensor(node, "w"), node.output, integer(node, "groups")
    ties.same((x, 0), (y, 0))
    _output_channels(node, (w, 0), ties)
    if groups == 1:
        ties.same((x, 1), (w, 1))
    elif size_of((x, 1)) == groups:
        _depthwise(node, ties)
    else:
        _grouped(node, groups, ties)


def _output_channels(node: Node, rows: Axis, ties: Ties) -> None:
    ties.same(rows, (node.output, 1))
    if b := optional_tensor(node, "b"):
        ties.same(rows, (b, 0))


def _depthwise(node: Node, ties: Ties) -> None:
    """Each channel has a block of output channels of its own, most often of one."""
    x, w, rows = tensor(node, "x"), tensor(node, "w"), size_of((tensor(node, "w"), 0))
    ties.free((w, 1))  # of size 1
    if isinstance(rows, int):
        ties.made_of((w, 0), [ties.blocks((x, 1), rows // integer(node, "groups"))])


def _grouped(node: Node, groups: int, ties: Ties) -> None:
    """Channels move within their group: the inputs of all groups alike, as `w` has one axis for
    them; the outputs of each group on their own."""
    x, w = tensor(node, "x"), tensor(node, "w")
    ties.made_of((x, 1), [ties.blocks((w, 1), 1)] * groups)
    rows = size_of((w, 0))
    if isinstance(rows, int):
        ties.made_of((w, 0), [((Segment(rows // groups), 1),) for _ in range(groups)])


def conv_transpose(node: Node, ties: Ties) -> None:
    """w [C, K, ...]; with groups nothing is said."""
    x, w = tensor(node, "x"), tensor(node, "w")
    if integer(node, "groups") == 1:
        ties.same((x, 0), (node.output, 0))
        ties.same((x, 1), (w, 0))
        _output_channels(node, (w, 1), ties)


def linear(node: Node, ties: Ties) -> None:
    """x [..., in], w [out, in]."""
    x, w, y = tensor(node, "x"), tensor(node, "w"), node.output
    for axis in range((x.type.rank or 1) - 1):
        ties.same((x, axis), (y, axis))
    ties.same(last(x), (w, 1))
    ties.same((w, 0), last(y))
    if b := optional_tensor(node, "b"):
        ties.same((w, 0), (b, 0))


def gemm(node: Node, ties: Ties) -> None:
    """a [M, K] and b [K, N], each perhaps transposed; c broadcasts to [M, N]."""
    a, b, y = tensor(node, "a"), tensor(node, "b"), node.output
    row, column = integer(node, "transA"), 1 - integer(node, "transB")
    ties.same((a, 1 - row), (b, 1 - column))
    ties.same((a, row), (y, 0))
    ties.same((b, column), (y, 1))
    if c := optional_tensor(node, "c"):
        for back in range(1, (c.type.rank or 0) + 1):
            ties.same(last(y, back), last(c, back))


def matmul(node: Node, ties: Ties) -> None:
    """a [..., M, K] @ b [..., K, N]; what stands in front broadcasts."""
    a, b, y = tensor(node, "a"), tensor(node, "b"), node.output
    ranks = a.type.rank or 0, b.type.rank or 0
    if min(ranks) < 2:
        return
    ties.same(last(a), last(b, 2))
    ties.same(last(a, 2), last(y, 2))
    ties.same(last(b), last(y))
    for factor, rank in zip((a, b), ranks, strict=True):
        for back in range(3, rank + 1):
            ties.same(last(factor, back), last(y, back))


def einsum(node: Node, ties: Ties) -> None:
    """Each letter is one order."""
    xs, equation = tensors(node, "xs"), str(node.attributes["equation"])
    if "->" not in equation or "." in equation:
        return
    inputs, output = equation.split("->")
    letters: dict[str, list[Axis]] = {}
    for value, term in zip((*xs, node.output), (*inputs.split(","), output), strict=True):
        for index, letter in enumerate(term):
            letters.setdefault(letter, []).append((value, index))
    for axes in letters.values():
        ties.same(*axes)


def attention(node: Node, ties: Ties) -> None:
    """Queries and keys are summed over their last axis; that of the values is kept apart."""
    q, k, v, y = (tensor(node, "q"), tensor(node, "k"), tensor(node, "v"), node.output)
    ties.same(last(q), last(k))
    ties.same(last(v), last(y))
