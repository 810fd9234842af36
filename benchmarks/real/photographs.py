"""Crops of photographs, the same in every run; those to calibrate on and those to evaluate on come
from different photographs, and from different packages."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path

import numpy as np
import torch
from evaluated import Evaluated
from folder import fetched
from PIL import Image
from torch import Tensor

SIZE = 224
#: Crops for each photograph that is evaluated on; the first one is the usual one of the centre.
CROPS = 10
CALIBRATION = 64
#: The share of a photograph's shorter side that a crop shows.
SHARE = (0.5, 1.0)


@cache
def evaluation_images() -> tuple[Tensor, Tensor]:
    """Uint8 RGB images `[200, 3, 224, 224]` of 20 photographs of ImageNet, and labels `[200]`."""
    files = sorted(fetched("evaluation").glob("*.jpg"))
    images = crops([file for file in files for _ in range(CROPS)])
    labels = [int(_label(file)) for file in files for _ in range(CROPS)]
    return images, torch.tensor(labels)


def calibration_images(count: int = CALIBRATION) -> Tensor:
    """Uint8 RGB images `[count, 3, 224, 224]`: the same number, but for one, of each photograph."""
    files = sorted(fetched("calibration").iterdir(), key=lambda file: file.name)
    return crops([files[index % len(files)] for index in range(count)])


def evaluated(normalize: Callable[[Tensor], Tensor], every: int = 1) -> Evaluated:
    """What a network of ImageNet is compared on: each photograph, and every so-manieth crop."""
    images, labels = evaluation_images()
    return Evaluated(
        normalize(calibration_images()).numpy(),
        normalize(images[::every]).numpy(),
        labels[::every].double().numpy(),
        np.arange(len(images))[::every] // CROPS,
    )


def crops(files: Iterable[Path]) -> Tensor:
    """A crop for each mention of a file: the centre at first, other places and sizes later."""
    seen: dict[Path, int] = {}
    found = []
    for file in files:
        found.append(_crop(_photograph(file), seen.get(file, 0)))
        seen[file] = seen.get(file, 0) + 1
    return torch.from_numpy(np.stack(found)).permute(0, 3, 1, 2).contiguous()


@cache
def _photograph(file: Path) -> Image.Image:
    with Image.open(file) as image:
        return image.convert("RGB")


def _crop(image: Image.Image, number: int) -> np.ndarray:
    """Crop `number` of an image: 0 is 224 of 256 in the middle; from 2 on every other is mirrored.

    A generator for each number, so that more crops leave the first ones as they are.
    """
    shorter = min(image.size)
    if number == 0:
        side = shorter * SIZE / 256
        left, top = (image.width - side) / 2, (image.height - side) / 2
    else:
        draw = np.random.default_rng(number)
        side = shorter * draw.uniform(*SHARE)
        left = draw.uniform(0, image.width - side)
        top = draw.uniform(0, image.height - side)
    box = (left, top, left + side, top + side)
    pixels = np.asarray(image.resize((SIZE, SIZE), Image.Resampling.BICUBIC, box))
    return pixels[:, ::-1] if number % 2 == 0 and number else pixels


def _label(file: Path) -> str:
    """The class in a name such as `imagenet_00_243.jpg`."""
    found = re.fullmatch(r"imagenet_\d+_(\d+)\.jpg", file.name)
    if not found:
        raise ValueError(f"no label in the name of {file}")
    return found[1]
