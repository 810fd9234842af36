"""Column after column: what a rounded or removed weight loses, the columns behind it make good.

Sources: Frantar, Alistarh, Optimal Brain Compression, 2022; Frantar, Ashkboos, Hoefler, Alistarh,
GPTQ, 2022; Frantar, Alistarh, SparseGPT, 2023 (algorithm 1).
"""

from __future__ import annotations

import torch
from torch import Tensor

from sparqc.passes.layerwise.threads import one_thread

#: Elements that are worked on column by column before what they lose is handed on to the columns
#: behind, in one product: as many as torch handles in one thread.
_BLOCK = 1 << 15


def block_size(weight: Tensor) -> int:
    """How many columns of [G, K, N] make a block: a multiple of four."""
    return 4 * max(2, min(32, _BLOCK // (4 * weight.shape[0] * weight.shape[1])))


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
    rest = weight.transpose(1, 2).contiguous()  # [G, N, K], so that a column is a piece of memory
    kept = torch.ones_like(rest, dtype=torch.bool)
    if mask is not None:
        kept.copy_(mask.transpose(1, 2))
    size = block_size(weight)
    for start in range(0, rest.shape[1], size):
        here = slice(start, start + size)
        local = inverse[:, here, here]
        with one_thread():
            lost = _sweep_block(rest[:, here], kept[:, here], local, two_four, scale, high)
        rest[:, start + size :] -= inverse[:, here, start + size :].transpose(1, 2) @ lost
    return rest.transpose(1, 2).contiguous(), kept.transpose(1, 2).contiguous()


def _sweep_block(
    block: Tensor,
    kept: Tensor,
    inverse: Tensor,
    two_four: bool,
    scale: Tensor | None,
    high: int,
) -> Tensor:
    """Sweep [G, n, K] in place, filling the mask where it is chosen; what each column lost."""
    lost = torch.empty_like(block)
    diagonal = inverse.diagonal(dim1=-2, dim2=-1)[..., None]  # [G, n, 1]
    for i in range(block.shape[1]):
        if two_four and i % 4 == 0:
            saliency = (block[:, i : i + 4] / diagonal[:, i : i + 4]).square()
            kept[:, i : i + 4] = two_largest(saliency.transpose(1, 2)).transpose(1, 2)
        new = block[:, i] * kept[:, i]
        if scale is not None:
            new = rounded(new, scale, high)
        torch.div(block[:, i] - new, diagonal[:, i], out=lost[:, i])
        block[:, i] = new
        block[:, i + 1 :] -= inverse[:, i, i + 1 :, None] * lost[:, i, None]
    return lost


def rounded(weight: Tensor, scale: Tensor, high: int) -> Tensor:
    """The nearest multiples of the scale, ties to even ones, within [-high, high] of them."""
    return torch.round(weight / scale).clamp(-high, high) * scale


def upper_inverse(hessian: Tensor) -> Tensor:
    """U with U^T U = H^-1, upper triangular: row i is what column i's loss costs those behind."""
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(hessian))
    upper: Tensor = torch.linalg.cholesky(inverse, upper=True)
    return upper
