"""What a layer's least-squares problem needs of the calibration data, in bounded memory."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass
class Problem:
    """Minimize `|W x - y|^2`, averaged over samples, for each of G groups.

    `hessian` is E[x x^T], [G, N, N], `cross` is E[y x^T], [G, K, N], `energy` is E[y^2], [G, K];
    all centred where the layer's bias is free, so that `y` and `x` stand for their deviations.
    """

    hessian: Tensor
    cross: Tensor
    energy: Tensor
    x_mean: Tensor  # [G, N]
    y_mean: Tensor  # [G, K]
    samples: int

    def errors(self, weight: Tensor) -> Tensor:
        """E[(W x - y)^2] of each row of a weight [G, K, N], as [G, K] in float64."""
        product = (weight @ self.hessian) * weight
        cross = weight * self.cross
        found = self.energy + product.double().sum(-1) - 2 * cross.double().sum(-1)
        return found.clamp(min=0)

    def aim_at_own(self, weight: Tensor, bias: Tensor, least: float) -> None:
        """Aim rows at what `weight` and `bias` give, where that explains less than `least` of what
        they were aimed at."""
        strange = self.errors(weight) >= (1 - least) * self.energy
        own = weight @ self.hessian
        self.cross = torch.where(strange[..., None], own, self.cross)
        self.energy = torch.where(strange, (own * weight).double().sum(-1), self.energy)
        mean = torch.einsum("gkn,gn->gk", weight.double(), self.x_mean) + bias
        self.y_mean = torch.where(strange, mean, self.y_mean)

    def bias(self, weight: Tensor) -> Tensor:
        """The bias [G, K] with which the outputs have the mean of `y`."""
        return self.y_mean - torch.einsum("gkn,gn->gk", weight.double(), self.x_mean)


class NormalEquations:
    """Sums over all samples: memory for the Hessian and the cross term, whatever the data."""

    def __init__(self) -> None:
        self._count = 0
        self._sums: list[Tensor] = []

    def add(self, x: Tensor, y: Tensor) -> None:
        """Take in samples [G, n, N] and [G, n, K] in float32."""
        xt = x.transpose(1, 2)
        parts = [
            xt @ x,
            y.transpose(1, 2) @ x,
            x.double().sum(1),
            y.double().sum(1),
            y.double().square().sum(1),
        ]
        self._count += x.shape[1]
        if not self._sums:
            self._sums = parts
            return
        for total, part in zip(self._sums, parts, strict=True):
            total += part

    def problem(self, *, centred: bool) -> Problem:
        """The problem of everything that was added; ValueError where that is nothing."""
        if not self._count:
            raise ValueError("no samples")
        hessian, cross, x_mean, y_mean, energy = (s / self._count for s in self._sums)
        self._sums = []
        if centred:
            hessian -= (x_mean[:, :, None] * x_mean[:, None]).float()
            cross -= (y_mean[:, :, None] * x_mean[:, None]).float()
            energy -= y_mean.square()
        return Problem(hessian, cross, energy, x_mean, y_mean, self._count)
