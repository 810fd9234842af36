"""How strongly the weights of a layer are held to what they were."""

from __future__ import annotations

import torch
from torch import Tensor

from sparqc.passes.layerwise.descend import fit
from sparqc.passes.layerwise.normal_equations import Problem
from sparqc.passes.layerwise.solve import THOROUGH, Effort

#: Shares of the mean squared input that are tried.
SHARES = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)


def damped(problem: Problem, weight: Tensor, share: float) -> tuple[Tensor, Tensor]:
    """Hessian and cross term with a pull towards `weight`: `share` of the mean of the diagonal.

    What the data does not determine (inputs that are always 0, fewer samples than columns) stays
    as it is in `weight`.
    """
    diagonal = problem.hessian.diagonal(dim1=-2, dim2=-1)
    pull = share * diagonal.mean(-1)
    pull = torch.where(pull > 0, pull, 1)[:, None, None]
    eye = torch.eye(diagonal.shape[-1])
    return problem.hessian + pull * eye, problem.cross + pull * weight


def best_share(problem: Problem, weight: Tensor, mask: Tensor, effort: Effort = THOROUGH) -> float:
    """The share with which rows that are fitted on half of the images do best on the other half.

    Some rows are enough to see it.  With one image alone there is nothing to compare with: then the
    share is 1.
    """
    if problem.halves is None:
        return 1.0
    step = -(-weight.shape[1] // effort.rows)
    rows, kept = weight[:, ::step], mask[:, ::step]
    first, second = (_some_rows(half, step) for half in problem.halves)
    errors = {
        share: _unseen(first, second, rows, kept, share, effort)
        + _unseen(second, first, rows, kept, share, effort)
        for share in SHARES
    }
    return min(errors, key=lambda share: errors[share])


def _some_rows(problem: Problem, step: int) -> Problem:
    return Problem(
        problem.hessian,
        problem.cross[:, ::step],
        problem.energy[:, ::step],
        problem.x_mean,
        problem.y_mean[:, ::step],
        problem.samples,
    )


def _unseen(
    seen: Problem, unseen: Problem, weight: Tensor, mask: Tensor, share: float, effort: Effort
) -> float:
    hessian, cross = damped(seen, weight, share)
    return unseen.errors(fit(weight, hessian, cross, mask, effort.trial)).sum().item()
