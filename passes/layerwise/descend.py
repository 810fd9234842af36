"""Descent on `|W x - y|^2` under constraints, a few columns at a time, all rows at once.

Every step puts its columns at their optimum while the others stand still, so that the error never
grows.  Source, for rounding: Behdin et al., QuantEase, 2023.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from sparqc.passes.layerwise.sweep import BLOCK, rounded

#: Takes the optimality condition's right side [G, K, n] and Hessian [G, n, n] of some columns, and
#: their place; gives their new weights [G, K, n].
Step = Callable[[Tensor, Tensor, slice], Tensor]


def descend(weight: Tensor, hessian: Tensor, cross: Tensor, width: int, step: Step) -> Tensor:
    """The weight [G, K, N] after one round over all columns, `width` of them at a time."""
    weight = weight.clone()
    residual = cross - weight @ hessian  # half of the negative gradient
    for start in range(0, weight.shape[-1], BLOCK):
        stop = min(start + BLOCK, weight.shape[-1])
        before = weight[..., start:stop].clone()
        local, here = hessian[:, start:stop, start:stop], residual[..., start:stop].clone()
        for i in range(0, stop - start, width):
            part = slice(i, min(i + width, stop - start))
            columns = slice(start + part.start, start + part.stop)
            own = local[:, part, part]
            old = weight[..., columns]
            new = step(here[..., part] + old @ own, own, columns)
            here -= (new - old) @ local[:, part]
            weight[..., columns] = new
        residual -= (weight[..., start:stop] - before) @ hessian[:, start:stop]
    return weight


_FIRST, _SECOND = torch.triu_indices(4, 4, offset=1)


def best_pair(right: Tensor, own: Tensor, columns: slice) -> Tensor:
    """Of four columns the two that lower the error most, at their optimum; the others are 0."""
    p, q = right[..., _FIRST], right[..., _SECOND]  # [G, K, 6]
    hpp, hqq = own[:, None, _FIRST, _FIRST], own[:, None, _SECOND, _SECOND]
    hpq = own[:, None, _FIRST, _SECOND]
    determinant = hpp * hqq - hpq * hpq
    wp, wq = (p * hqq - q * hpq) / determinant, (q * hpp - p * hpq) / determinant
    best = (p * wp + q * wq).argmax(-1, keepdim=True)
    new = torch.zeros_like(right)
    new.scatter_(-1, _FIRST[best], wp.gather(-1, best))
    return new.scatter_(-1, _SECOND[best], wq.gather(-1, best))


def nearest_code(mask: Tensor, scale: Tensor, high: int) -> Step:
    """A step for one column: the best multiple of the scale, 0 outside the mask."""

    def step(right: Tensor, own: Tensor, columns: slice) -> Tensor:
        new = rounded(right / own, scale[..., None], high)
        return new * mask[..., columns]

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
