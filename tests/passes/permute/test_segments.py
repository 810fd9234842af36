"""Unification of orders along axes."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sparqc.passes.permute.groups import index_of
from sparqc.passes.permute.segments import Layout, Segment, length, pin, resolve, unify


def shown(layout: Layout) -> list[tuple[int, int]]:
    """Size and stride of each piece."""
    return [(segment.size, stride) for segment, stride in resolve(layout)]


def axis(*pieces: tuple[int, int]) -> Layout:
    return tuple((Segment(size), stride) for size, stride in pieces)


def test_one_order() -> None:
    one, other = axis((8, 1)), axis((8, 1))
    unify(one, other, "never")
    assert next(resolve(one))[0] is next(resolve(other))[0]


def test_a_border_cuts_the_other_axis() -> None:
    """What is added to a Concat of 4 and 12 channels has these parts too."""
    whole, parts = axis((16, 1)), axis((4, 1), (12, 1))
    unify(whole, parts, "never")
    assert shown(whole) == [(4, 1), (12, 1)]
    assert list(resolve(whole)) == list(resolve(parts))


def test_blocks() -> None:
    """The columns of a Linear behind a Flatten of [4, 3, 3] are 4 blocks of 9."""
    columns, flat = axis((36, 1)), axis((4, 9))
    unify(columns, flat, "never")
    assert shown(columns) == [(4, 9)]
    assert not next(resolve(columns))[0].reasons


def test_blocks_and_borders_together() -> None:
    one, other = axis((2, 6), (12, 1)), axis((8, 3))
    unify(one, other, "never")
    assert shown(one) == shown(other) == [(2, 6), (4, 3)]


def test_an_order_that_is_fixed_stays_fixed() -> None:
    one, other = axis((16, 1)), axis((4, 1), (12, 1))
    pin(one, "the input")
    unify(one, other, "never")
    assert all(segment.reasons == {"the input"} for segment, _ in resolve(other))


def test_what_does_not_fit_is_pinned() -> None:
    one, other = axis((3, 4)), axis((2, 6))
    unify(one, other, "cuts them differently")
    for segment, _ in (*resolve(one), *resolve(other)):
        assert segment.reasons == {"cuts them differently"}


def test_channels_as_blocks_of_themselves_are_pinned() -> None:
    """There is no order of 8 channels that also is one of 4 pairs of them, but for trivial ones."""
    segment = Segment(8)
    unify(((segment, 1), (segment, 1)), ((segment, 2),), "cuts them differently")
    assert all(part.reasons for part, _ in resolve(((segment, 1),)))


cuts = st.lists(st.tuples(st.integers(1, 6), st.sampled_from([1, 1, 2, 3, 4])), min_size=1)


@given(st.lists(cuts, min_size=2, max_size=5), st.randoms(use_true_random=False))
def test_after_unification_every_order_of_the_free_is_one_for_all(pieces, random) -> None:
    """Axes of one length that are tied in a chain are permuted alike, whatever is chosen."""
    layouts = [axis(*found) for found in pieces]
    longest = max(map(length, layouts))
    layouts = [(*found, *axis((longest + 1 - length(found), 1))) for found in layouts]
    for one, other in pairwise(layouts):
        unify(one, other, "cuts them differently")
    segments = {segment for layout in layouts for segment, _ in resolve(layout)}
    chosen = {}
    for segment in sorted((s for s in segments if not s.reasons), key=lambda s: s.size):
        order = list(range(segment.size))
        random.shuffle(order)
        chosen[segment] = np.array(order)
    indices = [index_of(tuple(resolve(layout)), chosen) for layout in layouts]
    for index in indices:
        np.testing.assert_array_equal(index, indices[0])
        assert sorted(index) == list(range(longest + 1))
