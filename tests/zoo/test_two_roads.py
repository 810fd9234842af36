"""A model placed as FX and the same model placed as float ONNX agree in structure."""

from collections import Counter

import numpy as np
import pytest
import torch
import torchvision.models as zoo

import sparqc
from tests.zoo.structure import Structure


def compile_both(name):
    """The model compiled from PyTorch, and its float export compiled from ONNX."""
    torch.manual_seed(0)
    net = getattr(zoo, name)(weights=None).eval()
    x = torch.randn(2, 3, 64, 64)
    batches = [[x.numpy()]]
    # Repaired weights follow the roundings of either road, and statistics are measured on FX alone.
    passes = "default, +prune{dense=[unlikely-to-pay]}@instead=prune, -reestimate"
    options = {"passes": passes, "calibration": lambda: batches}
    from_torch = sparqc.compile(net, (x,), **options)
    exported = sparqc.compile(net, (x,), passes="float").model
    from_onnx = sparqc.compile(exported, **options)
    return from_torch.model, from_onnx.model


def quantized_reads(model):
    """How often each operator reads a given operand dequantized."""
    structure = Structure(model)
    return Counter(
        (node.op_type, index)
        for node in structure.nodes
        for index, name in enumerate(node.input)
        if structure.is_dequantized(name)
    )


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_both_roads_give_the_same_structure(name):
    fx, onnx = compile_both(name)
    assert Structure(fx).operators() == Structure(onnx).operators()
    assert quantized_reads(fx) == quantized_reads(onnx)


def test_both_roads_give_the_same_codes():
    fx, onnx = (Structure(model) for model in compile_both("resnet18"))
    for a, b in zip(fx.of("Conv", "Gemm"), onnx.of("Conv", "Gemm"), strict=True):
        np.testing.assert_array_equal(fx.codes(a), onnx.codes(b))
