"""Products written with einsum: attention as matrix products, and the cut in front of it."""

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

import sparqc
from sparqc.extend import Placement
from sparqc.tools.engine.rtx import compile_rtx
from sparqc.tools.explain.prediction import predict
from tests.zoo.structure import Structure

WIDTH, HEADS = 64, 2
SIZE = WIDTH // HEADS


class Attention(nn.Module):
    """One Linear gives queries, keys and values, which are cut apart in one of three ways."""

    def __init__(self, cut, product):
        super().__init__()
        self.qkv, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.cut, self.product = cut, product

    def forward(self, x):
        parts = CUTS[self.cut](self.qkv(x))
        parts = (part.reshape(*x.shape[:2], HEADS, SIZE) for part in parts)
        return self.out(PRODUCTS[self.product](*parts).reshape(x.shape))


CUTS = {
    "chunk": lambda y: y.chunk(3, -1),
    "unbind": lambda y: y.reshape(*y.shape[:2], 3, HEADS, SIZE).unbind(2),
    "slice": lambda y: [y[..., i * WIDTH : (i + 1) * WIDTH] for i in range(3)],
}


def turned(q, k, v):
    """The heads in front of the tokens; the scale behind the product."""
    q, k, v = (part.transpose(1, 2) for part in (q, k, v))
    scores = torch.einsum("bhid,bhjd->bhij", q, k) * SIZE**-0.5
    return torch.einsum("bhij,bhjd->bhid", scores.softmax(-1), v).transpose(1, 2)


def as_they_are(q, k, v):
    """The tokens in front of the heads; the scale in front of the product."""
    scores = torch.einsum("bqhd,bkhd->bhqk", q * SIZE**-0.5, k)
    return torch.einsum("bhqk,bkhd->bqhd", scores.softmax(-1), v)


def with_dots(q, k, v):
    """Other letters, and a division."""
    q, k, v = (part.transpose(1, 2) for part in (q, k, v))
    scores = torch.einsum("... X e, ... Y e -> ... X Y", q, k) / SIZE**0.5
    return torch.einsum("... X Y, ... Y e -> ... X e", scores.softmax(-1), v).transpose(1, 2)


PRODUCTS = {"turned": turned, "as they are": as_they_are, "with dots": with_dots}


def given(cut, product, road, tmp_path):
    torch.manual_seed(0)
    net, x = Attention(cut, product).eval(), torch.randn(2, 32, WIDTH)
    with torch.no_grad():
        y = net(x).numpy()
    if road == "fx":
        return net, x, y
    torch.onnx.export(net, (x,), tmp_path / "given.onnx", dynamo=True, verbose=False)
    return tmp_path / "given.onnx", x, y


def compiled(source, x, passes):
    example = ((x,),) if isinstance(source, nn.Module) else ()
    data = {"calibration": lambda: [[x.numpy()]], "target": "tensorrt-rtx"}
    return sparqc.compile(source, *example, passes=passes, **data)


def outputs(model, x):
    session = onnxruntime.InferenceSession(model.SerializeToString())
    return session.run(None, {session.get_inputs()[0].name: x.numpy()})[0]


@pytest.mark.parametrize("road", ["fx", "onnx"])
@pytest.mark.parametrize("product", PRODUCTS)
def test_einsum_becomes_matmul_and_the_answers_are_the_same(product, road, tmp_path):
    source, x, y = given("chunk", product, road, tmp_path)
    model = compiled(source, x, "float").model
    found = Structure(model).operators()
    assert (found["Einsum"], found["MatMul"]) == (0, 4)
    np.testing.assert_allclose(outputs(model, x), y, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("road", ["fx", "onnx"])
@pytest.mark.parametrize("product", PRODUCTS)
@pytest.mark.parametrize("cut", CUTS)
def test_attention_is_one_and_its_linear_is_cut(cut, product, road, tmp_path):
    source, x, _ = given(cut, product, road, tmp_path)
    done = compiled(source, x, "attention-int8,-prune,-reestimate")
    layers = done.context.facts[Placement].layers
    kinds = [layer.fusion.removeprefix("linear_").removeprefix("matmul_") for layer in layers]
    assert kinds == [first_fusion(product), "attention", "output"]
    assert all(layer.int8 for layer in layers)


def test_a_weight_in_an_einsum_is_a_layer():
    class Mixed(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.randn(48, WIDTH))

        def forward(self, x):
            return torch.einsum("oc,...c->...o", self.weight, x)

    net, x = Mixed().eval(), torch.randn(2, 5, WIDTH)
    done = compiled(net, x, "int8")
    (layer,) = done.context.facts[Placement].layers
    assert layer.fusion == "linear_output" and layer.int8


def first_fusion(product):
    """A factor between the cut and the transpose leaves the Linear whole in TensorRT-RTX."""
    return "output" if product == "as they are" else "cut"


@pytest.mark.parametrize("product", ["turned", "as they are"])
@pytest.mark.parametrize("cut", CUTS)
def test_the_cut_is_seen_in_front_of_an_einsum_that_stands(cut, product, tmp_path):
    source, x, _ = given(cut, product, "fx", tmp_path)
    done = compiled(source, x, "fold-constants, place, calibrate, export, surgery")
    assert Structure(done.model).operators()["Einsum"] == 2
    fusion = done.context.facts[Placement].layers[0].fusion
    assert fusion == f"linear_{first_fusion(product)}"
    assert set(compile_rtx(done.model).int8_nodes) == set(predict(done.model).int8_nodes)
