"""The zoo: every architecture that the compiler's answer is held against the prediction for."""

from __future__ import annotations

from tests.zoo import (
    from_blocks,
    from_segmentation,
    from_timm,
    from_torchvision,
    from_transformers,
    from_ultralytics,
)
from tests.zoo.architecture import Architecture

ARCHITECTURES: tuple[Architecture, ...] = (
    *from_torchvision.ARCHITECTURES,
    *from_transformers.ARCHITECTURES,
    *from_timm.ARCHITECTURES,
    *from_segmentation.ARCHITECTURES,
    *from_ultralytics.ARCHITECTURES,
    *from_blocks.ARCHITECTURES,
)
