"""What a layer's least-squares problem needs of the calibration data, in bounded memory."""

from __future__ import annotations

from collections.abc import Sequence
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
    #: The same of every other image, and of those between: to see what holds for unseen images.
    halves: tuple[Problem, Problem] | None = None

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
        product = weight @ self.hessian
        self.cross = torch.where(strange[..., None], product, self.cross)
        self.energy = torch.where(strange, (product * weight).double().sum(-1), self.energy)
        mean = torch.einsum("gkn,gn->gk", weight.double(), self.x_mean) + bias
        self.y_mean = torch.where(strange, mean, self.y_mean)

    def bias(self, weight: Tensor) -> Tensor:
        """The bias [G, K] with which the outputs have the mean of `y`."""
        return self.y_mean - torch.einsum("gkn,gn->gk", weight.double(), self.x_mean)


class NormalEquations:
    """Sums over all samples: memory for two Hessians and cross terms, whatever the data."""

    def __init__(self) -> None:
        self._halves = (Sums(), Sums())

    def add(self, x: Tensor, y: Tensor, first: int, count: int) -> None:
        """Take in samples [G, n, N] and [G, n, K] in float32, of so many images from `first` on."""
        for half, sums in enumerate(self._halves):
            images = slice((first + half) % 2, None, 2)
            parts = [t.reshape(len(t), count, -1, t.shape[-1])[:, images] for t in (x, y)]
            if parts[0].shape[1]:
                sums.add(*(part.flatten(1, 2) for part in parts))

    def problem(self, *, centred: bool) -> Problem:
        """The problem of everything that was added; ValueError where that is nothing."""
        first, second = self._halves
        if not second.count:
            return first.problem(centred)
        found = first.plus(second).problem(centred)
        found.halves = first.problem(centred), second.problem(centred)
        self._halves = (Sums(), Sums())
        return found


class Sums:
    """Sums over samples."""

    def __init__(self, count: int = 0, parts: Sequence[Tensor] = ()) -> None:
        self.count, self._parts = count, list(parts)

    def add(self, x: Tensor, y: Tensor) -> None:
        """Take in samples [G, n, N] and [G, n, K]."""
        parts = [
            x.transpose(1, 2) @ x,
            y.transpose(1, 2) @ x,
            x.double().sum(1),
            y.double().sum(1),
            y.double().square().sum(1),
        ]
        self.count += x.shape[1]
        if not self._parts:
            self._parts = parts
            return
        for total, part in zip(self._parts, parts, strict=True):
            total += part

    def plus(self, other: Sums) -> Sums:
        """Both together."""
        parts = [a + b for a, b in zip(self._parts, other._parts, strict=True)]
        return Sums(self.count + other.count, parts)

    def problem(self, centred: bool) -> Problem:
        """The problem that the sums stand for; ValueError where they are empty."""
        if not self.count:
            raise ValueError("no samples")
        hessian, cross, x_mean, y_mean, energy = (part / self.count for part in self._parts)
        if centred:
            hessian -= (x_mean[:, :, None] * x_mean[:, None]).float()
            cross -= (y_mean[:, :, None] * x_mean[:, None]).float()
            energy -= y_mean.square()
        return Problem(hessian, cross, energy, x_mean, y_mean, self.count)
