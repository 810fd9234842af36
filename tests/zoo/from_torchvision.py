"""Torchvision: every family of classifiers, segmentation and video, of few layers each."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torchvision.models as models
from torch import Tensor, nn
from torchvision.models._utils import IntermediateLayerGetter
from torchvision.models.convnext import CNBlockConfig, ConvNeXt
from torchvision.models.efficientnet import EfficientNet, FusedMBConvConfig, MBConvConfig
from torchvision.models.maxvit import MaxVit
from torchvision.models.resnet import Bottleneck, ResNet
from torchvision.models.segmentation.fcn import FCN, FCNHead
from torchvision.models.swin_transformer import (
    PatchMergingV2,
    SwinTransformer,
    SwinTransformerBlockV2,
)
from torchvision.models.vgg import make_layers
from torchvision.models.video import resnet as video
from torchvision.models.video.mvit import MSBlockConfig, MViT

from tests.zoo.architecture import Architecture, Shapes, image

CLASSES = 32
SQUARE = image(64)
FILM: Shapes = ((1, 3, 8, 32, 32),)


def of(
    name: str, make: Callable[[], nn.Module], shapes: Shapes = SQUARE, dynamic: bool = False
) -> Architecture:
    return Architecture(name, "torchvision", make, shapes, dynamic=dynamic)


def whole(name: str, size: int = 64, dynamic: bool = False, **options: Any) -> Architecture:
    """A model as torchvision builds it, without its pretrained weights."""
    make = partial(models.get_model, name, weights=None, num_classes=CLASSES, **options)
    return of(name, make, image(size), dynamic)


def classifier(features: nn.Module, channels: int) -> nn.Module:
    """The convolutions of a network whose own classifier has most of its weights."""
    return nn.Sequential(
        features, nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(4 * channels, CLASSES)
    )


def alexnet() -> nn.Module:
    return classifier(models.alexnet().features, 256)


def vgg() -> nn.Module:
    return classifier(make_layers([64, "M", 128, "M", 256, 256, "M"], batch_norm=True), 256)


def bottlenecks(**options: int) -> Callable[[], ResNet]:
    """One block in each of the four stages of a ResNet-50."""
    return partial(ResNet, Bottleneck, [1, 1, 1, 1], num_classes=CLASSES, **options)


def efficientnet_v2() -> nn.Module:
    blocks = [
        FusedMBConvConfig(1, 3, 1, 24, 24, 1),
        FusedMBConvConfig(4, 3, 2, 24, 48, 2),
        MBConvConfig(4, 3, 2, 48, 64, 2),
        MBConvConfig(6, 3, 1, 64, 96, 1),
    ]
    return EfficientNet(blocks, 0.0, num_classes=CLASSES, last_channel=256)


def convnext() -> nn.Module:
    blocks = [CNBlockConfig(32, 64, 1), CNBlockConfig(64, 128, 2), CNBlockConfig(128, None, 1)]
    return ConvNeXt(blocks, layer_scale=1.0, num_classes=CLASSES)


def vit() -> nn.Module:
    return models.VisionTransformer(64, 16, 2, 4, 128, 256, num_classes=CLASSES)


def swin(**options: Any) -> nn.Module:
    return SwinTransformer([4, 4], 32, [2, 2], [2, 4], [4, 4], num_classes=CLASSES, **options)


def maxvit() -> nn.Module:
    return MaxVit((64, 64), 32, 4, [32, 64], [1, 1], 16, 0.0, num_classes=CLASSES)


class Map(nn.Module):
    """A segmentation network whose only output is the map."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)["out"]


def fcn() -> nn.Module:
    backbone = IntermediateLayerGetter(bottlenecks()(), {"layer4": "out"})
    return Map(FCN(backbone, FCNHead(2048, CLASSES)))


def segmentation(name: str) -> Architecture:
    options = {"weights": None, "weights_backbone": None, "num_classes": CLASSES}
    return of(name, lambda: Map(models.get_model(name, **options)))


def film(block: type[nn.Module], stem: type[nn.Module]) -> Callable[[], nn.Module]:
    return partial(
        video.VideoResNet, video.BasicBlock, [block] * 4, [1, 1, 1, 1], stem, num_classes=CLASSES
    )


def mvit() -> nn.Module:
    stages = [
        MSBlockConfig(1, 32, 64, [3, 3, 3], [3, 3, 3], [1, 1, 1], [1, 2, 2]),
        MSBlockConfig(2, 64, 64, [3, 3, 3], [3, 3, 3], [1, 2, 2], [1, 1, 1]),
    ]
    return MViT(
        (32, 32),
        4,
        stages,
        residual_pool=True,
        residual_with_cls_embed=False,
        rel_pos_embed=True,
        proj_after_attn=True,
        num_classes=CLASSES,
    )


ARCHITECTURES = (
    of("alexnet", alexnet),
    of("vgg_bn", vgg, image(32)),
    whole("resnet18", dynamic=True),
    of("resnet_bottleneck", bottlenecks()),
    of("resnext", bottlenecks(groups=32, width_per_group=4)),
    of("wide_resnet", bottlenecks(width_per_group=128)),
    whole("squeezenet1_1"),
    of("densenet", partial(models.DenseNet, 32, (2, 3, 3, 2), num_classes=CLASSES)),
    whole("googlenet", aux_logits=False, init_weights=False),
    whole("inception_v3", 96, aux_logits=False, init_weights=False),
    whole("shufflenet_v2_x1_0"),
    whole("mobilenet_v2", dynamic=True),
    whole("mobilenet_v3_small"),
    whole("mnasnet0_5"),
    whole("efficientnet_b0"),
    of("efficientnet_v2", efficientnet_v2),
    whole("regnet_x_400mf"),
    whole("regnet_y_400mf"),
    of("convnext", convnext, dynamic=True),
    of("vit", vit, dynamic=True),
    of("swin", swin),
    of("swin_v2", partial(swin, block=SwinTransformerBlockV2, downsample_layer=PatchMergingV2)),
    of("maxvit", maxvit),
    of("fcn", fcn),
    segmentation("deeplabv3_mobilenet_v3_large"),
    segmentation("lraspp_mobilenet_v3_large"),
    of("r3d", film(video.Conv3DSimple, video.BasicStem), FILM),
    of("r2plus1d", film(video.Conv2Plus1D, video.R2Plus1dStem), FILM),
    of("mvit", mvit, ((1, 3, 4, 32, 32),)),
)
