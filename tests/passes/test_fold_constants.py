"""What a model computes from its weights alone is computed once."""

import numpy as np
import onnx
import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils.parametrizations import weight_norm

import sparqc
from sparqc.passes.masks.pruning import Pruning
from sparqc.passes.place.placement import Placement

X = torch.randn(2, 16, 8, 8, generator=torch.Generator().manual_seed(0))


def standardized():
    """A convolution whose weights are standardized by a BatchNorm, as timm writes it."""

    class Standardized(nn.Conv2d):
        def forward(self, x):
            w = self.weight.reshape(1, self.out_channels, -1)
            w = functional.batch_norm(w, None, None, training=True, momentum=0.0)
            return functional.conv2d(x, w.reshape_as(self.weight), self.bias, padding=1)

    return Standardized(16, 32, 3)


def in_parts():
    """A bias that is put together, with a part that is zero."""

    class Parts(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.randn(32, 16))
            self.bias = nn.Parameter(torch.randn(32))

        def forward(self, x):
            bias = self.bias.clone()
            bias[8:16].zero_()
            return functional.linear(x.mean((2, 3)), self.weight, bias)

    return Parts()


MODELS = {
    "weight norm": lambda: weight_norm(nn.Conv2d(16, 32, 3)),
    "standardized": standardized,
    "in parts": in_parts,
}


def compiled(net, **options):
    return sparqc.compile(net.eval(), (X,), random_calibration=True, **options)


@pytest.mark.parametrize("name", MODELS)
def test_a_computed_weight_is_quantized_like_any_other(name):
    torch.manual_seed(0)
    done = compiled(MODELS[name](), passes="int8")
    (layer,) = [x for x in done.context.facts[Placement].layers if x.weight]
    assert layer.int8, layer.reason
    assert done.difference.snr_db > 20


@pytest.mark.parametrize("name", MODELS)
def test_the_numbers_stay(name):
    torch.manual_seed(0)
    net = MODELS[name]()
    line = "fold-constants, cleanup, fold, export, check"
    done = compiled(net, passes=line, check="pass")
    assert done.difference.snr_db > 100


def test_masks_quantizers_and_what_depends_on_inputs_stay():
    net = nn.Sequential(nn.Conv2d(16, 32, 3), nn.ReLU())
    done = compiled(net, passes="prune, place, fold-constants, calibrate, export, check")
    assert done.context.facts[Pruning].masks
    ops = [node.op_type for node in done.model.graph.node]
    assert ops.count("DequantizeLinear") >= 2


def test_nothing_is_made_larger_than_allowed():
    class Wide(nn.Module):
        def __init__(self):
            super().__init__()
            self.row = nn.Parameter(torch.randn(1, 16, 1, 1))

        def forward(self, x):
            return x + torch.exp(self.row).expand(1, 16, 8, 8)

    few = compiled(Wide(), passes="fold-constants{largest=16}, export, check").model
    assert max(np.prod(t.dims) for t in few.graph.initializer) == 16


def test_an_output_that_is_constant_stays_computed():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.row = nn.Parameter(torch.randn(16))

        def forward(self, x):
            return x.relu(), self.row.exp()

    assert compiled(Two(), passes="fold-constants, export, check").difference.snr_db > 100


def test_an_onnx_model_is_folded_too():
    node = onnx.helper.make_node
    info = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        [node("Transpose", ["w"], ["t"], perm=[1, 0]), node("MatMul", ["x", "t"], ["y"])],
        "net",
        [info("x", 1, ["batch", 16])],
        [info("y", 1, ["batch", 32])],
        [onnx.numpy_helper.from_array(np.ones((32, 16), np.float32), "w")],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 20)])
    done = sparqc.compile(model, passes="fold-constants, check")
    assert [n.op_type for n in done.model.graph.node] == ["MatMul"]
