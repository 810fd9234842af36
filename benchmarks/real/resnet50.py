"""Keras' ResNet-50 with its ImageNet weights, as `sparqc compile` wants to see it.

python benchmarks/real/fetch.py
sparqc compile benchmarks/real/resnet50.py -o resnet50.onnx
"""

from collections.abc import Iterator
from functools import cache

from agreement import Run, answers, figures
from evaluated import Evaluated
from folder import fetched
from keras_resnet50 import load_keras_resnet50, normalize
from photographs import calibration_images
from photographs import evaluated as on_photographs
from torch import Tensor, nn

BATCH = 16


def model() -> nn.Module:
    """The trained network, ready for inference."""
    return load_keras_resnet50(fetched("resnet50/model.json"))


def example_inputs() -> tuple[Tensor, ...]:
    """Two crops of photographs for calibration."""
    return (normalize(calibration_images(2)),)


def calibration() -> Iterator[tuple[Tensor, ...]]:
    """64 crops of photographs that `evaluate` does not look at."""
    for batch in calibration_images().split(BATCH):
        yield (normalize(batch),)


def evaluated(every: int = 1) -> Evaluated:
    """Crops of photographs of ImageNet, and their classes."""
    return on_photographs(normalize, every)


@cache
def reference() -> Tensor:
    """The float network's logits of the evaluation images."""
    return answers(model(), normalize)


def evaluate(run: Run) -> dict[str, float]:
    """Agreement with the float network, top-1 on labels, and the signal-to-noise ratio."""
    return figures(reference(), answers(run, normalize))
