"""ResNet-50 as Keras builds it, in PyTorch.

He et al. (2016), version 1: the first 1x1 convolution of a block has the stride, convolutions have
biases.  Takes `[N, 3, 224, 224]` float32, BGR with the mean subtracted (`normalize`); gives the
logits `[N, 1000]`, to which Keras applies a softmax.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tfjs_weights import read_tfjs_weights
from torch import Tensor, nn
from torch.nn.functional import relu

#: Blocks and inner width of each stage; a block's output is four times as wide.
STAGES = ((3, 64), (4, 128), (6, 256), (3, 512))
#: The mean of ImageNet's pixels, blue, green, red: "caffe" preprocessing of Keras.
MEAN = (103.939, 116.779, 123.68)


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1, and a skip: a 1x1 convolution in the first block of a stage."""

    def __init__(self, cin: int, width: int, stride: int, eps: float) -> None:
        super().__init__()
        cout = 4 * width
        self.conv1 = nn.Conv2d(cin, width, 1, stride)
        self.bn1 = nn.BatchNorm2d(width, eps)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        self.bn2 = nn.BatchNorm2d(width, eps)
        self.conv3 = nn.Conv2d(width, cout, 1)
        self.bn3 = nn.BatchNorm2d(cout, eps)
        self.skip: nn.Module = nn.Identity()
        if cin != cout:
            self.skip = nn.Sequential(nn.Conv2d(cin, cout, 1, stride), nn.BatchNorm2d(cout, eps))

    def forward(self, x: Tensor) -> Tensor:
        """`[N, C, H, W]` to the same, or with a stride to `[N, 4 * width, H / 2, W / 2]`."""
        y = relu(self.bn1(self.conv1(x)))
        y = relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return relu(y + self.skip(x))


class KerasResNet50(nn.Module):
    """The network, with one epsilon for all BatchNorms."""

    def __init__(self, eps: float) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, padding=3)
        self.bn1 = nn.BatchNorm2d(64, eps)
        # Keras pads with zeros, which is the same behind a ReLU.
        self.pool = nn.MaxPool2d(3, 2, padding=1)
        cin = 64
        for index, (blocks, width) in enumerate(STAGES, start=1):
            stage = nn.Sequential()
            for block in range(blocks):
                stride = 2 if index > 1 and not block else 1
                stage.append(Bottleneck(cin, width, stride, eps))
                cin = 4 * width
            self.add_module(f"layer{index}", stage)
        self.fc = nn.Linear(cin, 1000)

    def forward(self, x: Tensor) -> Tensor:
        """`[N, 3, H, W]` to the logits `[N, 1000]`."""
        x = self.pool(relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(x.mean((2, 3)))


def normalize(pixels: Tensor) -> Tensor:
    """Turn uint8 RGB images `[N, 3, H, W]` into the network's input."""
    return pixels.flip(1).float() - torch.tensor(MEAN).reshape(1, 3, 1, 1)


def load_keras_resnet50(model: Path) -> KerasResNet50:
    """The network with the weights of a `model.json`; ValueError where they are not such."""
    weights = read_tfjs_weights(model)
    net = KerasResNet50(_epsilon(model)).eval()
    names = _layer_names()
    state = {
        key: torch.tensor(_weight(weights, names, key))
        for key in net.state_dict()
        if not key.endswith("num_batches_tracked")
    }
    if len(state) != len(weights):
        raise ValueError(f"{model} holds {len(weights)} weights, ResNet-50 {len(state)}")
    # No counters of batches, which only training reads:
    net.load_state_dict(state, strict=False)
    return net


def _epsilon(model: Path) -> float:
    """The one epsilon of the file's BatchNorms."""
    layers = json.loads(model.read_bytes())["modelTopology"]["model_config"]["config"]["layers"]
    (eps,) = {x["config"]["epsilon"] for x in layers if x["class_name"] == "BatchNormalization"}
    return float(eps)


def _layer_names() -> dict[str, str]:
    """Keras' layer for each module: `res3a_branch2b` for `layer2.0.conv2`."""
    names = {"conv1": "conv1", "bn1": "bn_conv1", "fc": "fc1000"}
    for index, (blocks, _) in enumerate(STAGES, start=1):
        for block in range(blocks):
            keras, ours = f"{index + 1}{chr(ord('a') + block)}", f"layer{index}.{block}"
            for number, letter in enumerate("abc", start=1):
                names[f"{ours}.conv{number}"] = f"res{keras}_branch2{letter}"
                names[f"{ours}.bn{number}"] = f"bn{keras}_branch2{letter}"
            names[f"{ours}.skip.0"] = f"res{keras}_branch1"
            names[f"{ours}.skip.1"] = f"bn{keras}_branch1"
    return names


def _weight(weights: dict[str, NDArray[Any]], names: dict[str, str], key: str) -> NDArray[Any]:
    """The array of an entry of the state dict: kernels HWIO -> OIHW, dense ones transposed."""
    module, _, kind = key.rpartition(".")
    normalizes = kind.startswith("running") or f"{names[module]}/gamma" in weights
    kinds = {"weight": "kernel", "bias": "bias"}
    if normalizes:
        kinds = {
            "weight": "gamma", "bias": "beta",
            "running_mean": "moving_mean", "running_var": "moving_variance",
        }  # fmt: skip
    name = f"{names[module]}/{kinds[kind]}"
    if name not in weights:
        raise ValueError(f"the weight {name!r} is missing")
    array = weights[name]
    if array.ndim == 4:
        return np.ascontiguousarray(array.transpose(3, 2, 0, 1))
    return np.ascontiguousarray(array.T)
