"""The weights of one layer: the constrained least-squares problem, solved."""

from __future__ import annotations

import torch
from torch import Tensor

from sparqc.passes.layerwise.descend import best_pair, descend, fit, nearest_code
from sparqc.passes.layerwise.normal_equations import Problem
from sparqc.passes.layerwise.sweep import sweep


def damped(problem: Problem, weight: Tensor, damping: float) -> tuple[Tensor, Tensor]:
    """Hessian and cross term with a pull towards `weight`: `damping` of the mean of the diagonal.

    What the data does not determine (inputs that are always 0, fewer samples than columns) stays
    as it is in `weight`.
    """
    diagonal = problem.hessian.diagonal(dim1=-2, dim2=-1)
    pull = damping * diagonal.mean(-1)
    pull = torch.where(pull > 0, pull, 1)[:, None, None]
    eye = torch.eye(diagonal.shape[-1])
    return problem.hessian + pull * eye, problem.cross + pull * weight


def optimum(hessian: Tensor, cross: Tensor) -> Tensor:
    """W with W H = C."""
    factor = torch.linalg.cholesky(hessian)
    return torch.cholesky_solve(cross.transpose(1, 2), factor).transpose(1, 2).contiguous()


def sparse(
    hessian: Tensor, cross: Tensor, mask: Tensor | None, rounds: int = 3
) -> tuple[Tensor, Tensor]:
    """2:4 weights and their mask; a mask that is given is held."""
    dense = optimum(hessian, cross)
    weight, found = sweep(dense, hessian, mask=mask, two_four=mask is None)
    if mask is None:
        for _ in range(rounds):
            weight = fit(weight, hessian, cross, found, 20)
            weight = descend(weight, hessian, cross, 4, best_pair)
            found = weight != 0
    return fit(weight, hessian, cross, found), found


def codes(
    weight: Tensor,
    hessian: Tensor,
    cross: Tensor,
    mask: Tensor,
    scale: Tensor,
    high: int,
    rounds: int = 2,
) -> Tensor:
    """Weights on the grid of the scale, 0 outside the mask; `weight` is the optimum in float."""
    found, _ = sweep(weight, hessian, mask=mask, scale=scale, high=high)
    for _ in range(rounds):
        found = descend(found, hessian, cross, 1, nearest_code(mask, scale, high))
    return found
