"""timm: families that torchvision does not have."""

from __future__ import annotations

from functools import partial
from typing import Any

import timm

from tests.zoo.architecture import Architecture, image


def of(name: str, size: int = 64, **options: Any) -> Architecture:
    make = partial(timm.create_model, name, pretrained=False, num_classes=32, **options)
    return Architecture(name, "timm", make, image(size))


ARCHITECTURES = (
    of("repvgg_a0"),
    of("cspresnet50"),
    of("ghostnet_100"),
    of("hrnet_w18_small"),
    of("dla34"),
    of("ese_vovnet19b_dw"),
    of("resnest14d"),
    of("skresnet18"),
    of("nf_regnet_b0"),
    of("mobilenetv4_conv_small"),
    of("hgnetv2_b0"),
    of("inception_next_atto"),
    of("mixer_s32_224", 224),
    of("efficientvit_b0"),
    of("fastvit_t8"),
    of("edgenext_xx_small"),
    of("pvt_v2_b0"),
)
