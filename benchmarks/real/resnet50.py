"""Keras' ResNet-50 with its ImageNet weights, as `sparqc compile` wants to see it.

python benchmarks/real/fetch.py
sparqc compile benchmarks/real/resnet50.py -o resnet50.onnx
"""

from folder import fetched
from keras_resnet50 import load_keras_resnet50, normalize
from on_photographs import OnPhotographs
from torch import nn


def model() -> nn.Module:
    """The trained network, ready for inference."""
    return load_keras_resnet50(fetched("resnet50/model.json"))


data = OnPhotographs(model, normalize)
example_inputs, calibration = data.example_inputs, data.calibration
evaluated, evaluate = data.evaluated, data.evaluate
