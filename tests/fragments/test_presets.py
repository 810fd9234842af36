"""Presets: what each leaves in the file."""

import numpy as np
import pytest
import torch
from torch import cat, nn
from torch.nn import functional
from torch.nn.functional import relu

import sparqc
from sparqc.passes.check.finding import Findings
from sparqc.passes.place.placement import Placement
from sparqc.tools.engine.rtx import compile_rtx
from tests.fragments.roads import Function, conv, image
from tests.zoo.structure import Structure

WEIGHTED = ("Conv", "Gemm", "MatMul")


def network():
    """A convolution, attention over its pixels, and a classifier."""

    def forward(m, x):
        y = relu(m.bn(m.a(x))).flatten(2).transpose(1, 2)
        q, k, v = (f(y).reshape(-1, 64, 2, 16).transpose(1, 2) for f in (m.q, m.k, m.v))
        y = functional.scaled_dot_product_attention(q, k, v)
        return m.out(y.transpose(1, 2).reshape(-1, 64, 32).mean(1))

    linears = {name: nn.Linear(32, 32) for name in ("q", "k", "v", "out")}
    return Function(forward, a=conv(), bn=nn.BatchNorm2d(32), **linears).eval()


def compiled(passes):
    torch.manual_seed(0)
    options = {"passes": passes, "target": "tensorrt-rtx", "random_calibration": True}
    done = sparqc.compile(network(), (image(),), **options)
    return done, Structure(done.model)


#: preset -> quantized activations, INT8 weights, 2:4 weights
PRESETS = {
    "default": (3, True, False),  # no layer is wide enough to win by 2:4
    "all-sparse": (3, True, True),
    "few-shot": (3, True, False),
    "int8": (3, True, False),
    "attention-int8": (7, True, False),
    "weights-only-sparse": (0, True, True),
    "sparse": (0, False, True),
    "float": (0, False, False),
}


@pytest.mark.parametrize("preset", PRESETS)
def test_what_a_preset_leaves_in_the_file(preset):
    done, structure = compiled(preset)
    quantized, int8, sparse = PRESETS[preset]
    assert structure.operators()["QuantizeLinear"] >= quantized
    assert (structure.operators()["QuantizeLinear"] == 0) == (quantized == 0)
    layers = [n for n in structure.of(*WEIGHTED) if structure.codes(n) is not None]
    assert len(layers) == 5
    assert {structure.codes(n).dtype == np.int8 for n in layers} == {int8}
    assert {structure.is_two_four(n) for n in layers if n.op_type != "Gemm"} == {sparse}
    assert [f for f in done.context.facts[Findings].findings if f.grade != "note"] == []
    report = compile_rtx(done.model)
    assert report.accepted, report.errors
    assert bool(report.int8_nodes) == (quantized > 0)


def test_attention_in_int8_quantizes_four_more_values():
    counts = [compiled(p)[1].operators()["QuantizeLinear"] for p in ("default", "attention-int8")]
    assert counts[1] - counts[0] == 4


def test_weights_alone_have_scales_a_channel_and_a_reason():
    done, structure = compiled("weights-only-sparse")
    (node,) = structure.of("Conv")
    dequantize = structure.producer[node.input[1]]
    assert structure.constants[dequantize.input[1]].shape == (32,)
    assert not structure.is_dequantized(node.input[0])
    rows = done.context.facts[Placement].layers
    reasons = {row.reason for row in rows if row.weight}
    assert reasons == {"weights only: what it reads is not quantized"}


def test_a_knob_of_the_command_line_is_stronger_than_that_of_a_preset():
    options = {"target": "tensorrt-rtx", "random_calibration": True}
    done = sparqc.compile(network(), (image(),), passes="attention-int8",
                          knobs=("attention=float",), **options)  # fmt: skip
    (row,) = (r for r in done.context.facts[Placement].layers if r.fusion.startswith("attention"))
    assert row.reason.startswith("attention stays in float")


def shared_range(knobs=(), passes="int8,-untie"):
    """The findings where two values of very different ranges meet in a Concat."""

    def forward(m, x):
        y = relu(m.a(x))
        z = 100 * relu(m.b(y))
        return m.c(cat([y, z], 1)), m.d(z)

    net = Function(forward, a=conv(), b=conv(), c=conv(64), d=conv()).eval()
    done = sparqc.compile(net, (image(),), passes=passes, random_calibration=True, knobs=knobs)
    return [f for f in done.context.facts[Findings].findings if f.id == "shared-range-ratio"]


def test_ranges_that_are_far_apart_under_one_scale_are_named():
    (found,) = shared_range()
    assert found.grade == "note"
    assert "relu, up to" in found.message
    assert set(found.nodes) == {"relu", "mul", "concat"}


def test_a_scale_of_its_own_settles_it():
    assert shared_range(passes="int8") == []


@pytest.mark.parametrize("knob", ["concat=float", "concat_ratio=1000"])
def test_a_knob_settles_it(knob):
    assert shared_range((knob,)) == []
