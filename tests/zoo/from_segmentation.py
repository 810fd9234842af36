"""segmentation-models-pytorch and MONAI: encoders with decoders, in two and three dimensions."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import segmentation_models_pytorch as smp
from monai.networks import nets
from torch import nn

from tests.zoo.architecture import Architecture, image

MAP, VOLUME = (1, 1, 32, 32), (1, 1, 16, 16, 16)
UNET = {"in_channels": 1, "out_channels": 4, "channels": (16, 32, 64), "strides": (2, 2)}


def decoder(name: str, encoder: str = "resnet18", size: int = 64) -> Architecture:
    """A decoder of segmentation-models-pytorch behind a small encoder."""
    make = partial(getattr(smp, name), encoder, encoder_weights=None, classes=8)
    return Architecture(f"smp_{name.lower()}", "segmentation-models-pytorch", make, image(size))


def monai(
    name: str, make: Callable[..., nn.Module], shape: tuple[int, ...], **options: Any
) -> Architecture:
    return Architecture(f"monai_{name}", "monai", partial(make, **options), (shape,))


ARCHITECTURES = (
    decoder("Unet", "mobilenet_v2"),
    decoder("UnetPlusPlus"),
    decoder("MAnet"),
    decoder("Linknet"),
    decoder("FPN"),
    decoder("PSPNet"),
    decoder("DeepLabV3Plus"),
    decoder("UPerNet", size=192),  # its pools tile the map
    monai("unet", nets.UNet, MAP, spatial_dims=2, num_res_units=2, **UNET),
    monai("unet_3d", nets.UNet, VOLUME, spatial_dims=3, num_res_units=1, **UNET),
    monai("attention_unet", nets.AttentionUnet, MAP, spatial_dims=2, **UNET),
    monai("segresnet_3d", nets.SegResNet, VOLUME, init_filters=16),
    monai(
        "dynunet_3d",
        nets.DynUNet,
        VOLUME,
        spatial_dims=3,
        in_channels=1,
        out_channels=2,
        kernel_size=[3, 3, 3],
        strides=[1, 2, 2],
        upsample_kernel_size=[2, 2],
    ),
)
