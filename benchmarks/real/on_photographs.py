"""What networks of ImageNet are calibrated and compared on: photographs, each in its own form."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

from agreement import Run, answers, figures
from evaluated import Evaluated
from photographs import calibration_images, evaluated
from torch import Tensor, nn

BATCH = 16


@dataclass(frozen=True)
class OnPhotographs:
    """The functions of a model.py beside `model`, for a network of photographs.

    `normalize` turns uint8 RGB images `[N, 3, H, W]` into the network's input.
    """

    model: Callable[[], nn.Module]
    normalize: Callable[[Tensor], Tensor]

    def example_inputs(self) -> tuple[Tensor, ...]:
        """Two crops of photographs for calibration."""
        return (self.normalize(calibration_images(2)),)

    def calibration(self) -> Iterator[tuple[Tensor, ...]]:
        """64 crops of photographs that `evaluate` does not look at."""
        for batch in calibration_images().split(BATCH):
            yield (self.normalize(batch),)

    def evaluated(self, every: int = 1) -> Evaluated:
        """Crops of photographs of ImageNet, and their classes."""
        return evaluated(self.normalize, every)

    @cached_property
    def reference(self) -> Tensor:
        """The float network's logits of the evaluation images."""
        return answers(self.model(), self.normalize)

    def evaluate(self, run: Run) -> dict[str, float]:
        """Agreement with the float network, top-1 on labels, and the signal-to-noise ratio."""
        return figures(self.reference, answers(run, self.normalize))
