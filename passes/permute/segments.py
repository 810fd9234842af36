"""What may change places: unification of the orders along axes.

An axis is laid out in *pieces*, each a *segment* with a stride: a segment of `size` channels whose
channel c covers the positions c * stride … (c + 1) * stride - 1 of the piece.  A channel axis is
one segment; behind a Concat an axis has one piece for each part, behind a Flatten of [C, H, W] a
piece has the stride H * W.  A segment is what one permutation permutes.

To say that two axes have one order is to unify their layouts: segments are merged, cut in two where
the other layout has a border, and made of blocks where the other has a stride.  Where that does not
work out the segments are pinned: their order is fixed, which is always sound.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator


class Segment:
    """Channels that have one order; compared by identity.

    `reasons` say why the order is fixed, none where it is free.  A segment that turned out to be
    made of others has `parts`.
    """

    __slots__ = ("parts", "reasons", "size")

    def __init__(self, size: int, reasons: Iterable[str] = ()) -> None:
        self.size = size
        self.reasons: set[str] = set(reasons)
        self.parts: Layout | None = None


#: A segment and its stride.
Piece = tuple[Segment, int]
Layout = tuple[Piece, ...]


def resolve(layout: Layout) -> Iterator[Piece]:
    """The pieces with the segments that segments are made of; strides multiply."""
    stack = list(reversed(layout))
    while stack:
        segment, stride = stack.pop()
        if segment.parts is None:
            yield segment, stride
        else:
            stack.extend((part, inner * stride) for part, inner in reversed(segment.parts))


def pin(layout: Layout, *reasons: str) -> None:
    """Fix the order of everything in a layout."""
    for segment, _ in resolve(layout):
        segment.reasons.update(reasons)


def length(layout: Layout) -> int:
    """The number of positions."""
    return sum(segment.size * stride for segment, stride in layout)


def unify(one: Layout, other: Layout, reason: str) -> None:
    """Let two axes have one order; pins both, for that reason, where no order but theirs fits."""
    if length(one) != length(other) or not _unified(one, other):
        pin(one, reason)
        pin(other, reason)


def _unified(one: Layout, other: Layout) -> bool:
    left, right = list(reversed(one)), list(reversed(other))
    while left:
        (a, i), (b, j) = _next(left), _next(right)
        if i < j:
            (a, i), (b, j), left, right = (b, j), (a, i), right, left
        covered = min(a.size * i, b.size * j)
        if (a is b and i != j) or i % j or covered % i:
            return False
        if a is b:
            continue
        first, second = _cut(a, covered // i, i, left), _cut(b, covered // j, j, right)
        if first is not second:
            _become(second, first, i // j)
    return True


def _next(stack: list[Piece]) -> Piece:
    """Take the next piece whose segment is not made of others."""
    segment, stride = stack.pop()
    while segment.parts is not None:
        stack.extend((part, inner * stride) for part, inner in reversed(segment.parts))
        segment, stride = stack.pop()
    return segment, stride


def _cut(segment: Segment, size: int, stride: int, rest: list[Piece]) -> Segment:
    """The first `size` channels of a segment; what is left is the next piece."""
    if segment.size == size:
        return segment
    head = Segment(size, segment.reasons)
    tail = Segment(segment.size - size, segment.reasons)
    segment.parts = ((head, 1), (tail, 1))
    rest.append((tail, stride))
    return head


def _become(segment: Segment, other: Segment, stride: int) -> None:
    """Let a segment be blocks of `stride` channels, one for each channel of another."""
    segment.parts = ((other, stride),)
    other.reasons |= segment.reasons
