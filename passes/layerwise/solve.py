"""The weights of one layer: the constrained least-squares problem, solved."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from sparqc.errors import SparqcError
from sparqc.passes.layerwise.descend import best_pair, descend, fit, nearest_code
from sparqc.passes.layerwise.sweep import sweep, two_largest

T = TypeVar("T")


def optimum(hessian: Tensor, cross: Tensor) -> Tensor:
    """W with W H = C."""
    factor = torch.linalg.cholesky(hessian)
    return torch.cholesky_solve(cross.transpose(1, 2), factor).transpose(1, 2).contiguous()


@dataclass(frozen=True)
class Effort:
    """How long a layer is worked at."""

    #: Steps of conjugate gradients between choices, and at the end.
    short: int
    long: int
    #: Rows that are solved to choose the damping, and the steps for it.
    rows: int
    trial: int


#: `sparsegpt` may take minutes, `auto` belongs to a usual compile: a layer takes about 0.6 of the
#: time, with an error that is hardly larger, but over many layers that adds up.
THOROUGH, QUICK = Effort(10, 20, 32, 12), Effort(4, 8, 16, 6)


#: What is added to the diagonal, as a share of its mean, until the matrix can be factored: one that
#: is positive definite by its making may not be so in float32.
_PULLS = (0.0, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1)


def _factored(solve: Callable[[Tensor], T], hessian: Tensor) -> T:
    """What `solve` gives for a matrix that it factors, with the least pull with which it can.

    Raises SparqcError where it cannot with any: the matrix is not finite.
    """
    mean = hessian.diagonal(dim1=-2, dim2=-1).mean(-1)[:, None, None]
    eye = torch.eye(hessian.shape[-1])
    for pull in _PULLS:
        with suppress(torch.linalg.LinAlgError):  # type: ignore[attr-defined]
            return solve(hessian + pull * mean * eye if pull else hessian)
    raise SparqcError(
        "the inputs of a layer are not finite, or beyond the range of float32, so that it cannot "
        "be solved",
        hint="look at the calibration data; `prune{method=magnitude}` needs none",
    )


def sparse(
    hessian: Tensor,
    cross: Tensor,
    weight: Tensor,
    mask: Tensor | None,
    effort: Effort = THOROUGH,
    rounds: int = 2,
) -> tuple[Tensor, Tensor]:
    """2:4 weights and their mask, from the dense `weight`; a mask that is given is held.

    Each row starts from what SparseGPT keeps, or from the largest magnitudes where these do better,
    and goes on with other choices as long as they lower the error.  Raises SparqcError where the
    problem is not finite.
    """
    if mask is not None:
        return fit(weight, hessian, cross, mask, effort.long), mask
    return _factored(lambda h: _chosen(h, cross, weight, effort, rounds), hessian)


def _chosen(
    hessian: Tensor, cross: Tensor, weight: Tensor, effort: Effort, rounds: int
) -> tuple[Tensor, Tensor]:
    found, kept = sweep(optimum(hessian, cross), hessian, two_four=True)
    fours = weight.reshape(*weight.shape[:-1], -1, 4)
    largest = two_largest(fours.abs()).flatten(-2)
    found = fit(found, hessian, cross, kept, effort.short)
    plain = fit(weight, hessian, cross, largest, effort.short)
    better = objective(found, hessian, cross) <= objective(plain, hessian, cross)
    found = torch.where(better[..., None], found, plain)
    for _ in range(rounds):
        found = descend(found, hessian, cross, 4, best_pair)
        found = fit(found, hessian, cross, found != 0, effort.short)
    kept = found != 0
    return fit(found, hessian, cross, kept, effort.long), kept


def objective(weight: Tensor, hessian: Tensor, cross: Tensor) -> Tensor:
    """What all solvers lower, for each row, up to a constant: [G, K]."""
    return ((weight @ hessian - 2 * cross) * weight).sum(-1)


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

    def swept(matrix: Tensor) -> Tensor:
        return sweep(weight, matrix, mask=mask, scale=scale, high=high)[0]

    found = _factored(swept, hessian)
    for _ in range(rounds):
        found = descend(found, hessian, cross, 1, nearest_code(mask, scale, high))
    return found
