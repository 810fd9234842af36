"""The moving average of a module's weights over the steps of a training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn


@dataclass
class MovingAverage:
    """Of all floating-point parameters and buffers: decay * average + (1 - decay) * now, a step.

    With a decay of 0 it keeps nothing, and `take` changes nothing.
    """

    module: nn.Module
    decay: float
    kept: dict[str, Tensor] = field(default_factory=dict)

    def follow(self) -> None:
        """Behind a step; the first one is where the average starts."""
        if not self.decay:
            return
        now = self._now()
        if not self.kept:
            self.kept = {name: tensor.clone() for name, tensor in now.items()}
            return
        for name, tensor in now.items():
            self.kept[name].lerp_(tensor, 1 - self.decay)

    def restore(self, kept: Mapping[str, Tensor]) -> None:
        """Go on from the average that a checkpoint holds."""
        now = self._now()
        self.kept = {name: t.to(now[name].device, copy=True) for name, t in kept.items()}

    def take(self) -> None:
        """Give the module the average in the place of what it has."""
        now = self._now()
        for name, tensor in self.kept.items():
            now[name].copy_(tensor)

    def _now(self) -> dict[str, Tensor]:
        with torch.no_grad():
            state = self.module.state_dict()
        return {name: tensor for name, tensor in state.items() if tensor.is_floating_point()}
