"""Mixtures of calibration images."""

import numpy as np
import pytest

from sparqc.passes.layerwise.mixtures import with_mixtures


def numbered(*sizes, dtype=np.float32):
    """Batches of images of two numbers, each image its own."""
    starts = np.cumsum([0, *sizes[:-1]])
    return [
        (n, [np.stack([np.arange(s, s + size)] * 2, 1).astype(dtype)])
        for n, (s, size) in enumerate(zip(starts, sizes, strict=True), 1)
    ]


@pytest.mark.parametrize("sizes", [(4, 4), (5, 4), (3, 3, 1)])
def test_an_image_is_mixed_within_its_half(sizes):
    """Sum of indices: image 2 i is mixed with 2 j, and lies between both."""
    given = numbered(*sizes)
    # Only even or only odd images are not 0, so that a mixture of both would show.
    for parity in (0, 1):
        marked = [(n, [np.where(x % 2 == parity, 1.0, 0.0).astype("f")]) for n, (x,) in given]
        found = np.concatenate([x for _, (x,) in with_mixtures(marked, 3)])[:, 0]
        wanted = np.arange(len(found)) % 2 == parity
        np.testing.assert_allclose(found, wanted, atol=1e-6)


def test_copies_follow_the_batches_and_are_the_same_every_time():
    given = numbered(4, 4)
    first, again = (list(with_mixtures(given, 2)) for _ in range(2))
    assert [n for n, _ in first] == [1, 2, 3, 4, 5, 6]
    assert all(np.array_equal(a, b) for (_, (a,)), (_, (b,)) in zip(first, again, strict=True))
    own, mixed = first[0][1][0], first[2][1][0]
    assert np.abs(mixed - own).max() > 0 and mixed.dtype == np.float32


def test_several_inputs_are_mixed_alike():
    given = [(n, [x, 10 * x]) for n, (x,) in numbered(4, 4)]
    for _, (x, y) in with_mixtures(given, 1):
        np.testing.assert_allclose(y, 10 * x, rtol=1e-5)


@pytest.mark.parametrize(
    "given",
    [
        numbered(4, 4, dtype=np.int64),
        [(1, [np.full((4, 2), -np.inf, np.float32)])],
        [(1, [np.zeros((4, 2), "f")]), (2, [np.zeros((4, 3), "f")])],
        numbered(2),
        [(1, [np.float32(3)])],
    ],
)
def test_what_cannot_be_mixed_stays_alone(given):
    assert len(list(with_mixtures(given, 2))) == len(given)
