"""Column after column: what a rounded or removed weight loses, the columns behind it make good.

Sources: Frantar, Alistarh, Optimal Brain Compression, 2022; Frantar, Ashkboos, Hoefler, Alistarh,
GPTQ, 2022; Frantar, Alistarh, SparseGPT, 2023 (algorithm 1).
"""

from __future__ import annotations

import torch
from torch import Tensor

#: Columns after which what is lost is handed on to all columns behind, in one product.
BLOCK = 128


def two_largest(saliency: Tensor) -> Tensor:
    """True for the two largest of the last dimension's four; of equal ones the first."""
    order = saliency.sort(dim=-1, descending=True, stable=True).indices
    return torch.zeros_like(saliency, dtype=torch.bool).scatter_(-1, order[..., :2], True)


def sweep(
    weight: Tensor,
    hessian: Tensor,
    *,
    mask: Tensor | None = None,
    two_four: bool = False,
    scale: Tensor | None = None,
    high: int = 127,
) -> tuple[Tensor, Tensor]:
    """Masked and rounded weights near `weight` in the norm of the Hessian, and their mask.

    `weight` is [G, K, N] and is the optimum without constraints, `hessian` [G, N, N] is positive
    definite.  With `mask` (True: stays) the zeros are given, with `two_four` they are chosen, for
    four columns at a time by w^2 / [H^-1]^2.  With `scale`, [G, K], weights are rounded to
    multiples of it, at most `high` of them.
    """
    inverse = upper_inverse(hessian)
    weight = weight.clone()
    kept = torch.ones_like(weight, dtype=torch.bool) if mask is None else mask.clone()
    for start in range(0, weight.shape[-1], BLOCK):
        stop = min(start + BLOCK, weight.shape[-1])
        block, local = weight[..., start:stop], inverse[:, start:stop, start:stop]
        diagonal = local.diagonal(dim1=-2, dim2=-1)[:, None]  # [G, 1, n]
        lost = torch.zeros_like(block)
        for i in range(stop - start):
            if two_four and i % 4 == 0:
                saliency = block[..., i : i + 4] / diagonal[..., i : i + 4]
                kept[..., start + i : start + i + 4] = two_largest(saliency.square())
            new = block[..., i] * kept[..., start + i]
            if scale is not None:
                new = rounded(new, scale, high)
            lost[..., i] = (block[..., i] - new) / diagonal[..., i]
            block[..., i + 1 :] -= lost[..., i, None] * local[:, None, i, i + 1 :]
            block[..., i] = new
        weight[..., stop:] -= lost @ inverse[:, start:stop, stop:]
    return weight, kept


def rounded(weight: Tensor, scale: Tensor, high: int) -> Tensor:
    """The nearest multiples of the scale, ties to even ones, within [-high, high] of them."""
    return torch.round(weight / scale).clamp(-high, high) * scale


def upper_inverse(hessian: Tensor) -> Tensor:
    """U with U^T U = H^-1, upper triangular: row i is what column i's loss costs those behind."""
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(hessian))
    return torch.linalg.cholesky(inverse, upper=True)
