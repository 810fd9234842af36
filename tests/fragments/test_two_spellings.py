"""What torch's exporters and people spell in two ways becomes one graph, on both roads."""

from __future__ import annotations

import io
import warnings
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from sparqc import api
from tests.fragments.roads import Function, conv, image


def as_onnx(network: nn.Module, x: torch.Tensor, *, batch: bool = False) -> onnx.ModelProto:
    """What torch's older exporter writes, with a free batch or without."""
    file = io.BytesIO()
    more = {"dynamic_axes": {"x": {0: "N"}}} if batch else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network, (x,), file, dynamo=False, opset_version=18, input_names=["x"], **more
        )
    return onnx.load_model_from_string(file.getvalue())


ROADS = ("fx", "onnx", "onnx with a free batch")


def compiled(
    road: str, network: nn.Module, x: torch.Tensor, passes: str = "float"
) -> onnx.ModelProto:
    """The file of one road, which gives what the network gives where it is float."""
    network = network.eval()
    if road == "fx":
        made = api.compile(network, (x,), calibration=lambda: iter([(x,)]), passes=passes).model
    else:
        read = as_onnx(network, x, batch="batch" in road)
        made = api.compile(read, (x,), calibration=lambda: iter([(x,)]), passes=passes).model
    if passes == "float":
        name = made.graph.input[0].name
        found = ort.InferenceSession(made.SerializeToString()).run(None, {name: x.numpy()})[0]
        np.testing.assert_allclose(found, network(x).detach().numpy(), atol=1e-4)
    return made


def operators(made: onnx.ModelProto) -> Counter[str]:
    return Counter(n.op_type for n in made.graph.node)


@pytest.mark.parametrize("mode", ["nearest", "bilinear"])
@pytest.mark.parametrize("road", ROADS)
def test_a_resize_to_the_size_of_another_map(road: str, mode: str) -> None:
    def forward(self: Any, x: torch.Tensor) -> torch.Tensor:
        return self.b(F.interpolate(self.a(x), size=x.shape[2:], mode=mode))

    network = Function(forward, a=conv(stride=2), b=conv())
    made = compiled(road, network, image(size=12))
    assert operators(made) == {"Conv": 2, "Resize": 1}


@pytest.mark.parametrize(
    "pool",
    [nn.AvgPool2d(7), nn.AvgPool2d(1280, ceil_mode=True), nn.AvgPool2d(7, count_include_pad=False)],
)
@pytest.mark.parametrize("road", ROADS)
def test_a_window_that_is_the_whole_map(road: str, pool: nn.Module) -> None:
    made = compiled(road, nn.Sequential(conv(), pool), image(size=7))
    assert operators(made) == {"Conv": 1, "GlobalAveragePool": 1}


@pytest.mark.parametrize("pool", [nn.AvgPool2d(7, padding=1), nn.AvgPool2d(6), nn.AvgPool2d(4, 3)])
@pytest.mark.parametrize("road", ROADS)
def test_a_window_that_is_not(road: str, pool: nn.Module) -> None:
    made = compiled(road, nn.Sequential(conv(), pool), image(size=7))
    assert operators(made)["GlobalAveragePool"] == 0


def summed(order: Callable[..., Any]) -> nn.Module:
    def forward(self: Any, x: torch.Tensor) -> torch.Tensor:
        y = self.a(x)
        return self.d(F.relu(order(self.b(y), self.c(y))))

    return Function(forward, a=conv(), b=conv(), c=conv(), d=conv())


@pytest.mark.parametrize(
    "order",
    [lambda b, c: sum([b, c]), lambda b, c: b + 0 + c, lambda b, c: b + (c + 0.0),
     lambda b, c: 0 + b + c],
)  # fmt: skip
@pytest.mark.parametrize("road", ROADS)
def test_an_add_of_zero_is_none(road: str, order: Callable[..., Any]) -> None:
    torch.manual_seed(0)
    network, x = summed(order), image()
    assert operators(compiled(road, network, x))["Add"] == 1
    int8 = operators(compiled(road, network, x, "int8"))
    plain = operators(compiled(road, summed(torch.add), x, "int8"))
    assert int8 == plain
