"""Descent under constraints."""

import itertools

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from sparqc.passes.layerwise.descend import best_pair, descend, fit, nearest_code
from sparqc.passes.layerwise.solve import codes, optimum, sparse

seeds = st.integers(0, 2**32 - 1)


def problem(seed: int, rows: int = 3, columns: int = 16) -> tuple[Tensor, Tensor]:
    """Hessian and cross term."""
    generator = torch.Generator().manual_seed(seed)
    mixed = torch.randn(columns, columns, generator=generator, dtype=torch.float64)
    x = torch.randn(60, columns, generator=generator, dtype=torch.float64) @ mixed
    cross = torch.randn(1, rows, columns, generator=generator, dtype=torch.float64)
    hessian = x.T @ x / 60 + 0.1 * torch.eye(columns)
    return hessian[None], cross @ hessian


def errors(weight: Tensor, hessian: Tensor, cross: Tensor) -> Tensor:
    """Up to a constant, for each row."""
    return ((weight @ hessian - 2 * cross) * weight).sum(-1)


def magnitude(weight: Tensor) -> Tensor:
    """The mask of the two largest of every four."""
    fours = weight.unflatten(-1, (-1, 4)).abs()
    return (fours >= fours.sort(-1).values[..., 2:3]).flatten(-2)


@settings(max_examples=30)
@given(seeds)
def test_fit_finds_the_optimum_of_each_rows_own_support(seed: int) -> None:
    hessian, cross = problem(seed)
    mask = torch.rand(cross.shape, generator=torch.Generator().manual_seed(seed)) > 0.4
    found = fit(torch.zeros_like(cross), hessian, cross, mask, 200)
    for row, kept in enumerate(mask[0].numpy()):
        h, c = hessian[0].numpy()[np.ix_(kept, kept)], cross[0, row].numpy()[kept]
        np.testing.assert_allclose(found[0, row].numpy()[kept], np.linalg.solve(h, c), atol=1e-3)
    assert not found[~mask].any()


@settings(max_examples=30)
@given(seeds, st.integers(0, 12))
def test_fit_never_raises_the_error(seed: int, rounds: int) -> None:
    hessian, cross = problem(seed)
    start = optimum(hessian, cross)
    mask = magnitude(start)
    found = fit(start * mask, hessian, cross, mask, rounds)
    before, after = errors(start * mask, hessian, cross), errors(found, hessian, cross)
    assert (after <= before + 1e-9 * before.abs()).all()


def test_the_best_pair_is_that_of_a_search_over_all_six() -> None:
    hessian, cross = problem(1, rows=50, columns=4)
    found = best_pair(cross.transpose(1, 2), hessian, slice(0, 4))[0].T.numpy()
    for row, right in zip(found, cross[0].numpy(), strict=True):
        best = max(
            itertools.combinations(range(4), 2),
            key=lambda pair: (
                right[list(pair)]
                @ np.linalg.solve(hessian[0].numpy()[np.ix_(pair, pair)], right[list(pair)])
            ),
        )
        wanted = np.linalg.solve(hessian[0].numpy()[np.ix_(best, best)], right[list(best)])
        assert tuple(np.flatnonzero(row)) == best
        np.testing.assert_allclose(row[list(best)], wanted)


@settings(max_examples=30)
@given(seeds)
def test_a_round_of_descent_never_raises_the_error(seed: int) -> None:
    hessian, cross = problem(seed, columns=264)  # more than a block
    start = optimum(hessian, cross)
    pruned = start * magnitude(start)
    found = descend(pruned, hessian, cross, 4, best_pair)
    assert (errors(found, hessian, cross) <= errors(pruned, hessian, cross) + 1e-6).all()

    mask, scale = found != 0, found.abs().amax(-1) / 127
    step = nearest_code(mask, scale, 127)
    grid = torch.round(found / scale[..., None]) * scale[..., None]
    lower = descend(grid, hessian, cross, 1, step)
    assert (errors(lower, hessian, cross) <= errors(grid, hessian, cross) + 1e-6).all()
    assert not lower[~mask].any()


@settings(max_examples=30)
@given(seeds)
def test_sparse_weights_are_two_four_and_no_worse_than_fitted_magnitude(seed: int) -> None:
    hessian, cross = problem(seed)
    dense = optimum(hessian, cross)
    weight, kept = sparse(hessian, cross, dense, None)
    assert (kept.unflatten(-1, (-1, 4)).sum(-1) == 2).all()
    assert not weight[~kept].any()
    mask = magnitude(dense)
    plain = fit(dense, hessian, cross, mask, 10)
    assert (errors(weight, hessian, cross) <= errors(plain, hessian, cross) + 1e-9).all()


def test_a_mask_that_is_given_is_held() -> None:
    hessian, cross = problem(2)
    mask = torch.zeros_like(cross, dtype=torch.bool)
    mask[..., ::4] = True
    weight, kept = sparse(hessian, cross, cross, mask)
    assert torch.equal(kept, mask)
    assert torch.equal(weight != 0, mask)


def test_codes_beat_rounding_to_nearest_and_come_near_a_search() -> None:
    """Two inputs that are nearly the same, and a coarse grid: all codes can be tried."""
    dense = torch.randn(1, 50, 2, dtype=torch.float64)
    hessian = torch.tensor([[[1, 0.9], [0.9, 1]]], dtype=torch.float64)
    cross, scale = dense @ hessian, dense.abs().amax(-1) / 4.4
    found = codes(dense, hessian, cross, torch.ones_like(dense, dtype=torch.bool), scale, 5)
    nearest = torch.round(dense / scale[..., None]) * scale[..., None]
    steps = torch.arange(-5, 6, dtype=torch.float64)
    every = torch.cartesian_prod(steps, steps)[:, None] * scale[0, :, None]  # [121, 50, 2]
    least = errors(every, hessian, cross).min(0).values
    after, before = errors(found, hessian, cross)[0], errors(nearest, hessian, cross)[0]
    assert (after <= before + 1e-9).all()
    assert (after - least).sum() < 0.1 * (before - least).sum()
