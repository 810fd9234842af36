"""Whole models whose float remainder is FP16: legal, INT8 where it was, and close to FP32."""

from collections import Counter

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

import sparqc
from sparqc.declared.targets import profiles
from sparqc.errors import UsageError
from sparqc.passes.check.finding import Findings
from sparqc.passes.half.half import HalfConversion
from sparqc.tools.engine.rtx import compile_rtx
from tests.zoo.random_networks import RandomNet


class WrittenOutNorm(nn.Module):
    """A LayerNorm as old exporters write it, with an epsilon that FP16 does not have."""

    def __init__(self, size):
        super().__init__()
        self.gain, self.bias = nn.Parameter(torch.ones(size)), nn.Parameter(torch.zeros(size))

    def forward(self, x):
        d = x - x.mean(-1, keepdim=True)
        return d / torch.sqrt((d**2).mean(-1, keepdim=True) + 1e-12) * self.gain + self.bias


class Block(nn.Module):
    """Attention with an additive mask, and a feed-forward part."""

    def __init__(self, norm, size=32, heads=4):
        super().__init__()
        self.heads = heads
        self.first, self.second = norm(size), norm(size)
        self.qkv, self.out = nn.Linear(size, 3 * size), nn.Linear(size, size)
        self.up, self.down = nn.Linear(size, 2 * size), nn.Linear(2 * size, size)

    def forward(self, x, mask):
        batch, length, size = x.shape
        parts = self.qkv(self.first(x)).reshape(batch, length, 3, self.heads, size // self.heads)
        q, k, v = parts.permute(2, 0, 3, 1, 4)
        scores = (q @ k.transpose(-1, -2)) / (size // self.heads) ** 0.5 + mask
        x = x + self.out((scores.softmax(-1) @ v).transpose(1, 2).reshape(batch, length, size))
        return x + self.down(functional.gelu(self.up(self.second(x))))


class Encoder(nn.Module):
    """Token ids and a mask of integers; sinusoids of the positions; logarithms at the end."""

    def __init__(self, norm):
        super().__init__()
        torch.manual_seed(0)
        self.embedding = nn.Embedding(50, 32)
        self.blocks = nn.ModuleList(Block(norm) for _ in range(2))
        self.head = nn.Linear(32, 16)

    def forward(self, ids, mask):
        lowest = torch.finfo(torch.float32).min
        mask = (1.0 - mask.to(torch.float32))[:, None, None, :] * lowest
        x = self.embedding(ids)
        for block in self.blocks:
            x = block(x, mask)
        return functional.log_softmax(self.head(x), -1)


def tokens():
    ids = torch.randint(0, 50, (3, 12), generator=torch.Generator().manual_seed(0))
    mask = torch.ones(3, 12, dtype=torch.int64)
    mask[0, 7:] = 0
    return ids, mask


def compiled(net, inputs, **options):
    options = {"target": "tensorrt-rtx", "passes": "int8", "float": "fp32"} | options
    return sparqc.compile(net.eval(), inputs, calibration=lambda: [inputs], **options)


def assert_strongly_typed(model):
    """Types agree everywhere, no Cast stands at a quantizer, and none behind another."""
    onnx.checker.check_model(model, full_check=True)
    onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True)
    producer = {o: n for n in model.graph.node for o in n.output}
    for node in model.graph.node:
        before = producer.get(node.input[0]) if node.input else None
        pair = (before.op_type if before else "", node.op_type)
        assert pair != ("Cast", "QuantizeLinear")
        assert pair != ("Cast", "Cast")
        assert pair != ("DequantizeLinear", "Cast")
    elements = {t.name: t.data_type for t in model.graph.initializer}
    floats = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16)
    info = onnx.shape_inference.infer_shapes(model).graph
    types = {
        v.name: v.type.tensor_type.elem_type for v in (*info.value_info, *info.input, *info.output)
    }
    for node in model.graph.node:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            side = node.input[0] if node.op_type == "QuantizeLinear" else node.output[0]
            assert elements[node.input[1]] == types[side]
            assert types[side] in floats


@pytest.mark.parametrize("norm", [WrittenOutNorm, nn.LayerNorm])
@pytest.mark.parametrize("passes", ["int8", "float"])
def test_a_transformer(norm, passes):
    full = compiled(Encoder(norm), tokens(), passes=passes)
    half = compiled(Encoder(norm), tokens(), passes=passes, float="fp16")
    assert_strongly_typed(half.model)
    count = Counter(n.op_type for n in half.model.graph.node)
    # Two for the mask, one on each side of each norm that is written out, one at the end.
    assert count["Cast"] == (11 if norm is WrittenOutNorm else 3)
    before, after = compile_rtx(full.model), compile_rtx(half.model)
    assert after.accepted, after.errors
    assert len(after.int8_nodes) == len(before.int8_nodes)
    assert after.bytes_read < 0.7 * before.bytes_read
    assert half.difference.snr_db > min(55, full.difference.snr_db - 1)


def test_a_norm_in_one_operator_needs_no_cast():
    half = compiled(Encoder(nn.LayerNorm), tokens(), passes="float", float="fp16")
    kept = {k.op for k in half.context.facts[HalfConversion].kept}
    assert "nn.layer_norm" not in kept
    assert "nn.softmax" not in kept


def test_a_model_in_fp16_is_no_reason_to_stop_at_an_exact_pass():
    """Quantizers that pass everything through keep a runtime from fusing FP16 operators."""
    torch.manual_seed(0)
    x = torch.randn(1, 3, 32, 32)
    layers = [m for i in (3, 32, 32) for m in (nn.Conv2d(i, 32, 3, padding=1), nn.BatchNorm2d(32))]
    net = nn.Sequential(*layers, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()
    model = sparqc.compile(net, (x,), passes="float", float="fp16", io="fp16").model
    done = sparqc.compile(
        model, (x.half(),), calibration=[(x.half(),)], passes="int8,-widen", check="pass"
    )
    drift = dict(done.context.action.drift)
    moved = {name for name in ("place", "surgery") if not drift[name].exact}
    assert moved and all(drift[name].relative < 1e-2 for name in moved)


def test_the_mask_is_the_same_mask():
    """Tokens that are masked have no influence, in FP16 as in FP32."""
    ids, mask = tokens()
    half = compiled(Encoder(nn.LayerNorm), (ids, mask), passes="float", float="fp16", check="pass")
    other = ids.clone()
    other[0, 7:] = 1
    from sparqc.ir.levels.execute import open_runner

    runner = open_runner(half.graph, half.context.table, model=half.model)
    (a,), _ = runner.run([ids.numpy(), mask.numpy()])
    (b,), _ = runner.run([other.numpy(), mask.numpy()])
    np.testing.assert_array_equal(a[0, :7], b[0, :7])
    assert np.isfinite(a).all()


def test_a_float_model_is_close_to_fp32():
    net = nn.Sequential(nn.Conv2d(3, 16, 3), nn.BatchNorm2d(16), nn.SiLU(), nn.Conv2d(16, 8, 1))
    half = compiled(net, (torch.randn(2, 3, 8, 8),), passes="float", float="fp16")
    assert 55 < half.difference.snr_db < 100
    assert half.model.ByteSize() < 3500  # half of the weights' bytes


@pytest.mark.parametrize("target", profiles())
def test_every_target(target):
    net = nn.Sequential(nn.Conv2d(16, 16, 3), nn.ReLU(), nn.Conv2d(16, 32, 3), nn.Sigmoid())
    x = torch.randn(2, 16, 8, 8)
    if "f16" not in profiles()[target].scale_dtypes:
        with pytest.raises(UsageError, match="reads scales in FP32 only"):
            compiled(net, (x,), target=target, float="fp16")
        return
    half = compiled(net, (x,), target=target, float="fp16")
    assert_strongly_typed(half.model)
    assert not half.context.facts[Findings].findings


def test_a_fixed_and_a_free_batch():
    net = nn.Sequential(nn.Conv2d(16, 16, 3), nn.ReLU(), nn.Flatten(), nn.Linear(576, 16))
    x = torch.randn(2, 16, 8, 8)
    for dynamic in (True, False):
        done = sparqc.compile(
            net.eval(), (x,), calibration=lambda: [[x]], passes="int8", float="fp16",
            dynamic_batch=dynamic, target="tensorrt-rtx",
        )  # fmt: skip
        assert_strongly_typed(done.model)
        assert compile_rtx(done.model).accepted


def test_an_onnx_model_of_an_old_opset():
    net = nn.Sequential(nn.Conv2d(16, 16, 3), nn.ReLU(), nn.Conv2d(16, 32, 3), nn.Sigmoid())
    x = torch.randn(2, 16, 8, 8)
    old = compiled(net, (x,), passes="fold, export{opset=13}", target="tensorrt-11").model
    done = sparqc.compile(old, (x,), calibration=lambda: [[x]], passes="int8", float="fp16")
    assert done.model.opset_import[0].version == 20
    assert_strongly_typed(done.model)
    assert done.difference.snr_db > 20


@settings(deadline=None, max_examples=6, derandomize=True)
@given(st.integers(0, 10_000), st.sampled_from(["float", "fp16", "int8"]))
def test_random_networks(seed, io):
    net = RandomNet(seed)
    full = compiled(net, (net.x,))
    half = compiled(net, (net.x,), float="fp16", io=io)
    assert_strongly_typed(half.model)
    report = compile_rtx(half.model)
    assert report.accepted, report.errors
    assert len(report.int8_nodes) == len(compile_rtx(full.model).int8_nodes)
    assert half.difference.snr_db > min(50, full.difference.snr_db - 3)
