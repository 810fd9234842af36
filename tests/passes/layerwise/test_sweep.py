"""The sweeps of SparseGPT and GPTQ."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from sparqc.passes.layerwise.sweep import rounded, sweep, two_largest

Matrix = NDArray[np.float64]


def problem(seed: int, rows: int = 3, columns: int = 16) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(60, columns, generator=generator) @ torch.randn(
        columns, columns, generator=generator
    )
    weight = torch.randn(1, rows, columns, generator=generator)
    return weight, (x.T @ x / 60 + 0.1 * torch.eye(columns))[None]


def sparse_gpt(weight: Matrix, hessian: Matrix) -> Matrix:
    """Algorithm 1 of Frantar and Alistarh (2023) for 2:4, a row and a column at a time."""
    inverse = np.linalg.cholesky(np.linalg.inv(hessian)).T  # upper, as in the paper's code
    weight = weight.copy()
    for row in weight:
        for j in range(len(row)):
            if j % 4 == 0:
                saliency = row[j : j + 4] ** 2 / np.diag(inverse)[j : j + 4] ** 2
                pruned = set(j + np.argsort(saliency, kind="stable")[:2])
            error = row[j] / inverse[j, j] if j in pruned else 0.0
            row[j:] -= error * inverse[j, j:]
            if j in pruned:
                row[j] = 0
    return weight


def gptq(weight: Matrix, hessian: Matrix, scale: Matrix) -> Matrix:
    """Frantar et al. (2022), section 3.3, a row and a column at a time."""
    inverse = np.linalg.cholesky(np.linalg.inv(hessian)).T
    weight = weight.copy()
    for row, step in zip(weight, scale, strict=True):
        for j in range(len(row)):
            code = np.clip(np.rint(row[j] / step), -127, 127) * step
            row[j + 1 :] -= (row[j] - code) / inverse[j, j] * inverse[j, j + 1 :]
            row[j] = code
    return weight


def doubles(x: Tensor) -> Matrix:
    return x[0].double().numpy()


@pytest.mark.parametrize("columns", [4, 16, 300])
def test_the_mask_and_the_weights_are_those_of_sparse_gpt(columns: int) -> None:
    weight, hessian = problem(0, columns=columns)
    found, kept = sweep(weight.double(), hessian.double(), two_four=True)
    np.testing.assert_allclose(
        doubles(found), sparse_gpt(doubles(weight), doubles(hessian)), atol=1e-8
    )
    assert torch.equal(kept, found != 0)
    assert (kept.reshape(-1, 4).sum(1) == 2).all()


@pytest.mark.parametrize("columns", [5, 16, 300])
def test_codes_are_those_of_gptq(columns: int) -> None:
    weight, hessian = problem(1, columns=columns)
    scale = weight.abs().amax(-1).double() / 20
    found, _ = sweep(weight.double(), hessian.double(), scale=scale)
    wanted = gptq(doubles(weight), doubles(hessian), scale[0].numpy())
    np.testing.assert_allclose(doubles(found), wanted, atol=1e-8)


def test_with_independent_inputs_magnitude_decides_and_nothing_moves() -> None:
    weight, _ = problem(2)
    found, kept = sweep(weight, torch.eye(16)[None], two_four=True)
    largest = two_largest(weight.reshape(1, 3, 4, 4).abs()).reshape(1, 3, 16)
    assert torch.equal(kept, largest)
    torch.testing.assert_close(found, weight * largest)


def test_with_independent_inputs_the_nearest_code_is_taken() -> None:
    weight, _ = problem(3)
    scale = torch.full((1, 3), 0.1)
    found, _ = sweep(weight, torch.eye(16)[None], scale=scale)
    torch.testing.assert_close(found, torch.round(weight / 0.1) * 0.1)


def test_groups_are_problems_of_their_own() -> None:
    problems = [problem(seed, columns=8) for seed in range(3)]
    weight, hessian = (torch.cat(parts) for parts in zip(*problems, strict=True))
    together, _ = sweep(weight, hessian, two_four=True)
    alone = torch.cat([sweep(*p, two_four=True)[0] for p in problems])
    torch.testing.assert_close(together, alone)


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1))
def test_a_given_mask_is_held_while_weights_are_rounded(seed: int) -> None:
    weight, hessian = problem(seed)
    mask = torch.rand(weight.shape, generator=torch.Generator().manual_seed(seed)) > 0.5
    scale = weight.abs().amax(-1) / 127
    found, kept = sweep(weight, hessian, mask=mask, scale=scale)
    assert torch.equal(kept, mask)
    assert not found[~mask].any()
    codes = found / scale[..., None]
    torch.testing.assert_close(codes, codes.round(), rtol=0, atol=1e-3)
    assert codes.abs().max() <= 127.001


def test_removing_one_weight_of_a_row_moves_the_others_to_the_optimum() -> None:
    """Optimal Brain Surgeon: with one zero at the first column the sweep solves exactly."""
    weight, hessian = problem(5, rows=1, columns=8)
    mask = torch.ones_like(weight, dtype=torch.bool)
    mask[..., 0] = False
    found, _ = sweep(weight.double(), hessian.double(), mask=mask)
    h, target = doubles(hessian), doubles(weight) @ doubles(hessian)
    wanted = np.linalg.solve(h[1:, 1:], target[0, 1:])
    np.testing.assert_allclose(doubles(found)[0, 1:], wanted, atol=1e-8)


def test_of_equal_saliencies_the_first_stay() -> None:
    patterns = torch.tensor(list(itertools.product([0.0, 1.0], repeat=4)))
    kept = two_largest(patterns)
    assert (kept.sum(1) == 2).all()
    assert kept[0].tolist() == [True, True, False, False]
    assert kept[0b1111].tolist() == [True, True, False, False]
    assert kept[0b0101].tolist() == [False, True, False, True]


def test_rounding_goes_to_the_even_neighbour_and_clips() -> None:
    weight = torch.tensor([0.5, 1.5, 2.5, -0.5, 300.0, -300.0])
    assert rounded(weight, torch.tensor(1.0), 127).tolist() == [0, 2, 2, 0, 127, -127]
