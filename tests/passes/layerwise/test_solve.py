"""Weights of one layer, where the problem is hard to solve in float32."""

import pytest
import torch

from sparqc.errors import SparqcError
from sparqc.passes.layerwise.solve import QUICK, THOROUGH, codes, objective, sparse


def problem(samples: int, columns: int = 32, scale: float = 1.0):
    """Hessian [1, N, N] and cross term [1, K, N] of a dense weight [1, K, N]."""
    torch.manual_seed(0)
    x = scale * torch.randn(samples, columns)
    hessian = (x.T @ x)[None]
    weight = torch.randn(1, 8, columns)
    return hessian, weight @ hessian, weight


def test_more_effort_never_ends_with_more_error():
    hessian, cross, weight = problem(256)
    errors = [
        objective(sparse(hessian, cross, weight, None, effort)[0], hessian, cross).sum()
        for effort in (THOROUGH, QUICK)
    ]
    assert errors[0] <= errors[1] + 1e-3 * errors[1].abs()


@pytest.mark.parametrize("scale", [1.0, 1e3])
def test_a_matrix_that_cannot_be_factored_is_pulled_until_it_can(scale):
    """Fewer samples than columns: its rank is 4 of 32."""
    hessian, cross, weight = problem(4, scale=scale)
    with pytest.raises(RuntimeError, match="not positive-definite"):
        torch.linalg.cholesky(hessian - 1e-6 * scale**2 * torch.eye(32))
    found, mask = sparse(hessian, cross, weight, None)
    assert found.isfinite().all() and (mask.unflatten(-1, (-1, 4)).sum(-1) <= 2).all()
    grid = torch.full((1, 8), 0.05)
    coded = codes(found, hessian, cross, mask, grid, 127)
    assert coded.isfinite().all() and not coded[~mask].any()


def test_what_is_not_finite_is_told():
    hessian, cross, weight = problem(64)
    hessian[0, 3, 3] = torch.inf
    with pytest.raises(SparqcError, match="not finite"):
        sparse(hessian, cross, weight, None)
