"""One network on both roads: as a module, and as the ONNX file that torch.onnx writes of it."""

from __future__ import annotations

import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

import sparqc


def onnx_file(net: nn.Module, inputs: Tensor, folder: Path) -> Path:
    """The network with its BatchNorms as they are, and a free batch size."""
    path = folder / "model.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            net, (inputs,), str(path), dynamo=False, input_names=["x"],
            dynamic_axes={"x": {0: "batch"}}, do_constant_folding=False,
            training=torch.onnx.TrainingMode.PRESERVE,
        )  # fmt: skip
    return path


def both_roads(
    net: nn.Module, inputs: Tensor, folder: Path, **wishes: object
) -> tuple[sparqc.Compiled, sparqc.Compiled]:
    """The compiled module, and the compiled file."""
    file = onnx_file(net, inputs, folder)
    return sparqc.compile(net, (inputs,), **wishes), sparqc.compile(str(file), **wishes)
