"""The case study's network as `sparqc compile`, `sensitivity` and `tune` want to see it.

    CIFAR10=package WEIGHTS=runs/seed0/control.safetensors \
        sparqc tune examples/cifar10/model.py -o build/cifar10.onnx --epochs 5

CIFAR10 is the folder that `images.py` says how to get, WEIGHTS a network that `study.py` trained.
"""

import os
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import torch
from images import Split, normalize, read_test, read_training
from network import ResNet, Size
from safetensors.torch import load_file
from torch import Tensor, nn
from training import Recipe, batches

#: Training images on which ranges are measured and weights repaired.
CALIBRATION = 1024


def model() -> nn.Module:
    """The trained network, ready for inference."""
    tensors = load_file(os.environ["WEIGHTS"])
    net = ResNet(Size())
    net.load_state_dict({k[4:]: v for k, v in tensors.items() if k.startswith("net.")})
    return net.eval()


def example_inputs() -> tuple[Tensor, ...]:
    """Two training images. The batch stays dynamic."""
    return (normalize(_training().images[:2]),)


def calibration() -> Iterator[tuple[Tensor, ...]]:
    """Training images, as they are."""
    for part in _training().images[:CALIBRATION].split(128):
        yield (normalize(part),)


def training(epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
    """The images of an epoch, shifted and mirrored, and their labels."""
    for images, labels in batches(_training(), Recipe(epochs=0), epoch):
        yield normalize(images), labels


def evaluate(run: Callable[[Tensor], Tensor]) -> dict[str, float]:
    """Top-1 accuracy in percent of `run`, which takes images and gives logits, on test images."""
    test = read_test(_folder())
    guesses = torch.cat([run(normalize(part)).argmax(1) for part in test.images.split(500)])
    return {"top-1": 100.0 * (guesses == test.labels).float().mean().item()}


def _folder() -> Path:
    return Path(os.environ["CIFAR10"])


@cache
def _training() -> Split:
    return read_training(_folder())
