"""How near a network's answers are to those of the float network."""

from __future__ import annotations

from collections.abc import Callable

import torch
from photographs import CROPS, evaluation_images
from torch import Tensor

BATCH = 20
Run = Callable[[Tensor], Tensor]


def signal_to_noise(reference: Tensor, actual: Tensor) -> float:
    """10 log10(sum of reference^2 / sum of (actual - reference)^2), in dB, over all elements."""
    reference, actual = reference.double(), actual.double()
    noise = (actual - reference).square().sum()
    return (10 * torch.log10(reference.square().sum() / noise)).item()


def answers(run: Run, normalize: Callable[[Tensor], Tensor]) -> Tensor:
    """The logits `[200, 1000]` of all evaluation images."""
    images, _ = evaluation_images()
    with torch.no_grad():
        return torch.cat([run(normalize(batch)) for batch in images.split(BATCH)])


def figures(reference: Tensor, actual: Tensor) -> dict[str, float]:
    """Figures of logits `[200, 1000]` against those of the float network.

    "agreement": crops with the same first class, in percent.  "top-1": crops with the right class,
    and "top-1 of photographs": the crops of the centre alone.  "snr": dB of the logits.
    """
    _, labels = evaluation_images()
    right = (actual.argmax(1) == labels).double()
    same = (actual.argmax(1) == reference.argmax(1)).double()
    return {
        "agreement": 100 * same.mean().item(),
        "top-1": 100 * right.mean().item(),
        "top-1 of photographs": 100 * right[::CROPS].mean().item(),
        "snr": signal_to_noise(reference, actual),
    }
