"""The torchvision example has the same seeded weights on each run."""

from collections.abc import Callable
from types import ModuleType

import torch


def test_resnet34_is_seeded(load: Callable[[str], ModuleType]) -> None:
    example = load("resnet34/model.py")
    (images,) = example.example_inputs()
    small = images[:, :, :64, :64]
    first, second = example.model()(small), example.model()(small)
    assert first.shape == (2, 1000)
    assert torch.equal(first, second)
