"""Descent on `|W x - y|^2` under constraints, a few columns at a time, all rows at once.

Every step puts its columns at their optimum while the others stand still, so that the error never
grows.  Source, for rounding: Behdin et al., QuantEase, 2023.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from sparqc.passes.layerwise.sweep import block_size, rounded
from sparqc.passes.layerwise.threads import one_thread

#: Takes the right side [G, n, K] of the condition `H_own w = right` under which some columns are at
#: their optimum, H_own [G, n, n], and their place; gives their new weights [G, n, K].
Step = Callable[[Tensor, Tensor, slice], Tensor]


def descend(weight: Tensor, hessian: Tensor, cross: Tensor, width: int, step: Step) -> Tensor:
    """The weight [G, K, N] after one round over all columns, `width` of them at a time."""
    residual = (cross - weight @ hessian).transpose(1, 2).contiguous()  # half the descent
    rest = weight.transpose(1, 2).contiguous()  # [G, N, K], so that a column is a piece of memory
    size = block_size(weight)
    for start in range(0, rest.shape[1], size):
        here = slice(start, start + size)
        before = rest[:, here].clone()
        with one_thread():
            _descend_block(rest[:, here], residual[:, here].clone(), hessian, start, width, step)
        residual -= hessian[:, :, here] @ (rest[:, here] - before)
    return rest.transpose(1, 2).contiguous()


def _descend_block(
    block: Tensor, residual: Tensor, hessian: Tensor, start: int, width: int, step: Step
) -> None:
    local = hessian[:, start : start + block.shape[1], start : start + block.shape[1]]
    for i in range(0, block.shape[1], width):
        part = slice(i, i + width)
        diagonal, old = local[:, part, part], block[:, part].clone()
        new = step(
            residual[:, part] + diagonal @ old, diagonal, slice(start + i, start + i + width)
        )
        residual -= local[:, :, part] @ (new - old)
        block[:, part] = new


_FIRST, _SECOND = torch.triu_indices(4, 4, offset=1)


def best_pair(right: Tensor, diagonal: Tensor, columns: slice) -> Tensor:
    """Of four columns the two that lower the error most, at their optimum; the others are 0."""
    p, q = right[:, _FIRST], right[:, _SECOND]  # [G, 6, K]
    hpp, hqq = diagonal[:, _FIRST, _FIRST, None], diagonal[:, _SECOND, _SECOND, None]
    hpq = diagonal[:, _FIRST, _SECOND, None]
    determinant = hpp * hqq - hpq * hpq
    wp, wq = (p * hqq - q * hpq) / determinant, (q * hpp - p * hpq) / determinant
    best = (p * wp + q * wq).argmax(1, keepdim=True)
    new = torch.zeros_like(right)
    new.scatter_(1, _FIRST[best], wp.gather(1, best))
    return new.scatter_(1, _SECOND[best], wq.gather(1, best))


def nearest_code(mask: Tensor, scale: Tensor, high: int) -> Step:
    """A step for one column: the best multiple of the scale [G, K], 0 outside the mask."""
    kept = mask.transpose(1, 2).contiguous()

    def step(right: Tensor, diagonal: Tensor, columns: slice) -> Tensor:
        return rounded(right / diagonal, scale[:, None], high) * kept[:, columns]

    return step


def fit(weight: Tensor, hessian: Tensor, cross: Tensor, mask: Tensor, rounds: int = 50) -> Tensor:
    """The least-squares optimum over the weights of a mask, for each row, from `weight` on.

    Conjugate gradients with the Hessian's diagonal as preconditioner, all rows at once.  The error
    of a row never grows.
    """
    weight = weight * mask
    scaling = mask / hessian.diagonal(dim1=-2, dim2=-1)[:, None]
    residual = cross - weight @ hessian
    stepped = residual * scaling
    direction = stepped
    size = (residual * stepped).sum(-1, keepdim=True)
    least = size * 1e-10
    for _ in range(rounds):
        if not (size > least).any():
            break
        moved = direction @ hessian
        curvature = (direction * moved).sum(-1, keepdim=True)
        length = torch.where(size > least, size / curvature, 0)
        weight = weight + length * direction
        residual = residual - length * moved
        stepped = residual * scaling
        size, before = (residual * stepped).sum(-1, keepdim=True), size
        direction = stepped + torch.where(before > least, size / before, 0) * direction
    return weight
