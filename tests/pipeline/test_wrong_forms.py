"""Forms that torch.onnx writes wrong: sparqc's own are right, and the gate stops the others."""

import itertools

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import sparqc
from sparqc.errors import SparqcError
from sparqc.ir.export import alone

FEATURES = torch.randn(2, 7, 8, generator=torch.Generator().manual_seed(3))
IMAGES = torch.randn(2, 4, 13, 17, generator=torch.Generator().manual_seed(4))


class Applied(nn.Module):
    """A function as a module."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


class First(nn.Module):
    """The first result of a layer that gives several: the others are read by nothing."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x):
        return self.layer(x)[0]


def network(cell, **wishes):
    torch.manual_seed(5)
    return First(cell(8, 6, **wishes)).eval()


def compiled(module, x):
    return sparqc.compile(module, (x,), passes="float")


# -- recurrent layers ----------------------------------------------------------------------------

WISHES = [
    dict(zip(("num_layers", "bidirectional", "batch_first"), drawn, strict=True))
    for drawn in itertools.product((1, 2), (False, True), (False, True))
]


@pytest.mark.parametrize("wishes", WISHES, ids=lambda w: "-".join(map(str, w.values())))
@pytest.mark.parametrize("cell", [nn.GRU, nn.LSTM, nn.RNN], ids=lambda c: c.__name__)
def test_a_recurrent_layer_is_right_or_refused(cell, wishes):
    try:
        done = compiled(network(cell, **wishes), FEATURES)
    except SparqcError as error:  # as onnxscript before 0.7.2 has it
        assert cell is nn.GRU and "aten.gru.input 'gru (layer)' at" in error.message
    else:
        assert done.difference.max_relative < 1e-5
        assert done.verified and not done.unverified


def planted(monkeypatch, op_type, change):
    """Let torch.onnx write one kind of operator wrong."""
    right = alone._model

    def wrong(*args):
        model = right(*args)
        for node in model.graph.node:
            if node.op_type == op_type:
                change(node)
        return model

    monkeypatch.setattr(alone, "_model", wrong)


def without_bias(node):
    node.input[3] = ""


def other_activation(node):
    node.op_type = "Sigmoid"


def other_reset(node):
    kept = [a for a in node.attribute if a.name != "linear_before_reset"]
    del node.attribute[:]
    node.attribute.extend(kept)


@pytest.mark.parametrize("wishes", [{}, {"batch_first": True}, {"num_layers": 2}], ids=str)
@pytest.mark.parametrize(
    ("cell", "op_type", "change"),
    [
        (nn.GRU, "GRU", other_reset),
        (nn.LSTM, "LSTM", without_bias),
        (nn.RNN, "Tanh", other_activation),  # torch takes it apart
    ],
    ids=["GRU", "LSTM", "RNN"],
)
def test_a_wrong_recurrent_layer_is_named(monkeypatch, cell, op_type, change, wishes):
    planted(monkeypatch, op_type, change)
    with pytest.raises(SparqcError) as caught:
        compiled(network(cell, **wishes), FEATURES)
    name = {nn.GRU: "gru", nn.LSTM: "lstm", nn.RNN: "rnn_tanh"}[cell]
    text = caught.value.message
    assert f"promises close results, but aten.{name}.input '{name} (layer)' at" in text
    assert "test_wrong_forms.py:37" in text and "in its form of ONNX, is off by" in text
    assert "torch.onnx wrote it" in caught.value.hint and "--skip" not in caught.value.hint


def test_what_onnxruntime_refuses_is_placed():
    with pytest.raises(SparqcError, match=r"in layer at test_wrong_forms.py:37.*LSTM"):
        compiled(network(nn.LSTM, proj_size=3), FEATURES)  # torch.onnx leaves the projection out


# -- pools with a divisor ------------------------------------------------------------------------

POOLS = [
    {"kernel_size": k, "stride": s, "padding": p, "ceil_mode": ceil, "count_include_pad": count}
    for k, s, p in [(2, 2, 0), (3, 2, 1), (3, 5, 1), (4, 3, 2)]
    for ceil, count in itertools.product((False, True), repeat=2)
]


@pytest.mark.parametrize("pool", POOLS, ids=lambda p: "-".join(map(str, p.values())))
def test_a_pool_with_a_divisor_is_right(pool):
    done = compiled(Applied(lambda x: F.avg_pool2d(x, divisor_override=3, **pool)), IMAGES)
    assert done.difference.max_relative < 1e-5 and not done.opaque


# -- antialiased resizes -------------------------------------------------------------------------

SIZES = [{"size": (7, 9)}, {"size": (20, 9)}, {"scale_factor": 0.7}, {"scale_factor": (1.3, 0.3)}]


@pytest.mark.parametrize("align", [False, True])
@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
@pytest.mark.parametrize("antialias", [False, True])
def test_a_resize_is_right(mode, size, align, antialias):
    def resized(x):
        return F.interpolate(x, mode=mode, align_corners=align, antialias=antialias, **size)

    done = compiled(Applied(resized), IMAGES)
    assert done.difference.max_relative < 1e-5 and not done.opaque
