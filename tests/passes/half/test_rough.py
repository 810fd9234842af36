"""What FP16 computes too roughly is seen on a sample, and stays in FP32."""

import numpy as np
import pytest
import torch
from torch import nn

import sparqc
from sparqc.errors import SparqcError
from sparqc.passes.half.casts import Writer
from sparqc.passes.half.half import HalfConversion

ROWS = torch.randn(8, 16, generator=torch.Generator().manual_seed(0))


class Offset(nn.Module):
    """Numbers far from zero, of which only the differences count."""

    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(16, 16), nn.Linear(16, 16)

    def forward(self, x):
        far = torch.tanh(self.first(x)) + 3000
        return self.last(far - far.mean(1, keepdim=True))


class Masked(nn.Module):
    """Attention with a mask of the least float32, as exporters write it."""

    def forward(self, x):
        scores = x @ x.T
        mask = torch.triu(torch.full((8, 8), torch.finfo(torch.float32).min), 1)
        return torch.softmax(scores + mask, -1) @ x


def compiled(model, road="FX", wish="fp16", passes="float"):
    if road == "ONNX":
        model = sparqc.compile(model, (ROWS,), passes="export").model
    return sparqc.compile(model, (ROWS,), passes=passes, float=wish, random_calibration=True)


def kept(done):
    return {row.op: row.reason for row in done.context.facts.get(HalfConversion).kept}


@pytest.mark.parametrize("road", ["FX", "ONNX"])
def test_what_cancels_stays_in_fp32_with_what_it_reads(road):
    done = compiled(Offset(), road)
    assert done.difference.snr_db > 50
    reasons = kept(done)
    assert reasons["nn.sub"].startswith("it was off by")
    assert reasons["nn.sub"].endswith("in FP16 on a sample")
    assert reasons["nn.add"] == "in FP16 what it gives cancels in sub"
    assert {n.op for n in done.graph.nodes if n.output.type.dtype == "f16"} >= {"nn.linear"}


@pytest.mark.parametrize("road", ["FX", "ONNX"])
def test_a_mask_of_the_least_float_is_as_good_in_fp16(road):
    done = compiled(Masked(), road)
    assert "nn.softmax" not in kept(done)
    assert done.difference.snr_db > 50


@pytest.mark.parametrize("passes", ["float", "int8"])
def test_a_network_of_many_layers_is_held_operator_by_operator(passes):
    """Its outputs differ from those of FP32 altogether, since it amplifies every rounding."""
    torch.manual_seed(1)
    layers = [nn.Linear(16, 16) for _ in range(20)]
    for layer in layers:
        nn.init.normal_(layer.weight, std=1.5)
    model = nn.Sequential(*(part for layer in layers for part in (layer, nn.Tanh())))
    done = compiled(model, passes=passes)
    assert done.difference.snr_db < 20
    assert kept(done) == {}


def wrong(monkeypatch, factor):
    """Let every FP16 constant be another one."""
    write = Writer.write

    def damaged(writer):
        write(writer)
        for constant in writer.graph.constants:
            if constant.type.dtype == "f16" and constant.data.size > 1:
                constant.data = constant.data * np.float16(factor)

    monkeypatch.setattr(Writer, "write", damaged)


@pytest.mark.parametrize("passes", ["float", "int8"])
@pytest.mark.parametrize("road", ["FX", "ONNX"])
def test_a_wrong_conversion_is_seen_and_not_used(monkeypatch, passes, road):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(16, 16), nn.Tanh(), nn.Linear(16, 16), nn.Sigmoid())
    right = compiled(model, road, "fp32", passes)
    wrong(monkeypatch, 1.2)
    done = compiled(model, road, passes=passes)
    assert done.difference.snr_db >= right.difference.snr_db - 3
    assert any(reason.startswith("it was off by") for reason in kept(done).values())


def test_where_nothing_helps_a_default_gives_way_and_a_wish_is_an_error(monkeypatch):
    """Here FP32 operators are damaged by the conversion too, whatever is kept."""
    write = Writer.write

    def damaged(writer):
        write(writer)
        for node in list(writer.graph.nodes):
            if node.op == "nn.mul":
                writer.graph.set_operand(node, "a", node.operands["b"])

    monkeypatch.setattr(Writer, "write", damaged)

    class Product(nn.Module):
        def forward(self, x):
            return torch.tanh(x * torch.sigmoid(x)) @ torch.eye(16)

    with pytest.raises(SparqcError, match=r"the pass half promises close results, but nn\.mul"):
        compiled(Product())
    done = sparqc.compile(
        Product(), (ROWS,), passes="int8", target="tensorrt-11", random_calibration=True
    )
    assert done.context.facts.get(HalfConversion).refused.startswith("in FP16 nn.mul")
    assert {v.type.dtype for n in done.graph.nodes for v in n.outputs} == {"f32", "i8"}


@pytest.mark.parametrize("road", ["FX", "ONNX"])
def test_a_layer_that_is_kept_reads_scales_that_were_rounded(road):
    """Both sides of a pair have one scale; what that moves in FP32 is no fault."""
    torch.manual_seed(0)
    model = nn.Sequential(*(nn.Linear(16, 16) for _ in range(3)))
    if road == "ONNX":
        model = sparqc.compile(model, (ROWS,), passes="export").model
    done = sparqc.compile(
        model, (ROWS,), passes='int8,+half{keep=["1"]}@instead=half', float="fp16",
        exclude=["0"], random_calibration=True,
    )  # fmt: skip
    linear = [n.output.type.dtype for n in done.graph.nodes if n.op == "nn.linear"]
    assert linear == ["f16", "f32", "f16"]
