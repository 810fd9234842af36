"""Networks with a factor behind their products, compiled on both roads."""

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

import sparqc
from tests.zoo.structure import Structure

SIZE = 32


class Residual(nn.Module):
    """As in EDSR: the branch counts a tenth."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(SIZE, SIZE, 3, padding=1)
        self.a = nn.Conv2d(SIZE, SIZE, 3, padding=1)
        self.b = nn.Conv2d(SIZE, SIZE, 3, padding=1)
        self.last = nn.Conv2d(SIZE, SIZE, 3, padding=1)

    def forward(self, x):
        x = self.first(x)
        return self.last(self.b(torch.relu(self.a(x))) * 0.1 + x)


class Scaled(nn.Module):
    """As in ConvNeXt, with LayerScale in front of the permutation or behind it."""

    def __init__(self, behind):
        super().__init__()
        self.behind = behind
        self.norm = nn.LayerNorm(SIZE)
        self.up = nn.Linear(SIZE, 2 * SIZE)
        self.down = nn.Linear(2 * SIZE, SIZE)
        self.gamma = nn.Parameter(torch.linspace(-1, 1, SIZE))

    def forward(self, x):
        y = self.down(torch.relu(self.up(self.norm(x.permute(0, 2, 3, 1)))))
        if self.behind:
            return x + y.permute(0, 3, 1, 2) * self.gamma.reshape(1, -1, 1, 1)
        return x + (self.gamma * y).permute(0, 3, 1, 2)


class HalfStep(nn.Module):
    """As in a Conformer, with a division beside it."""

    def __init__(self):
        super().__init__()
        self.up = nn.Linear(SIZE, 2 * SIZE)
        self.down = nn.Linear(2 * SIZE, SIZE, bias=False)

    def forward(self, x):
        y = x.flatten(2).transpose(1, 2)
        return 0.5 * self.down(torch.relu(self.up(y))) + y / 3.0


NETWORKS = {
    "residual": Residual,
    "scaled": lambda: Scaled(behind=False),
    "scaled behind": lambda: Scaled(behind=True),
    "half step": HalfStep,
}


def given(name, road, tmp_path):
    """A network and its inputs; on the road `onnx` its file as torch.onnx writes it."""
    torch.manual_seed(0)
    net, x = NETWORKS[name]().eval(), torch.randn(2, SIZE, 8, 8)
    with torch.no_grad():
        y = net(x).numpy()
    if road == "fx":
        return net, x, y
    path = tmp_path / "given.onnx"
    torch.onnx.export(net, (x,), path, dynamo=True, optimize=False, verbose=False)
    return path, x, y


def compiled(source, x, passes):
    example = () if not isinstance(source, nn.Module) else ((x,),)
    return sparqc.compile(source, *example, passes=passes, calibration=lambda: [[x.numpy()]])


def outputs(model, x):
    session = onnxruntime.InferenceSession(model.SerializeToString())
    return session.run(None, {session.get_inputs()[0].name: x.numpy()})[0]


@pytest.mark.parametrize("road", ["fx", "onnx"])
@pytest.mark.parametrize("name", NETWORKS)
def test_the_factor_is_gone_and_the_answers_are_the_same(name, road, tmp_path):
    source, x, y = given(name, road, tmp_path)
    model = compiled(source, x, "float").model
    assert Structure(model).operators()["Mul"] == 0
    np.testing.assert_allclose(outputs(model, x), y, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("road", ["fx", "onnx"])
@pytest.mark.parametrize("name", NETWORKS)
def test_so_are_those_in_int8(name, road, tmp_path):
    source, x, y = given(name, road, tmp_path)
    error = outputs(compiled(source, x, "int8").model, x) - y
    assert np.square(error).mean() < 1e-3 * np.square(y).mean()


@pytest.mark.parametrize("road", ["fx", "onnx"])
def test_the_convolution_takes_the_residual_add_in(road, tmp_path):
    source, x, _ = given("residual", road, tmp_path)
    found = Structure(compiled(source, x, "int8").model)
    (add,) = found.of("Add")
    assert sum(map(found.is_dequantized, add.input)) == 1
    assert not found.in_float()


def test_layers_that_share_a_masked_weight_still_take_their_batch_norm_in():
    class Shared(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(SIZE, SIZE, 3, padding=1, bias=False)
            self.norm = nn.BatchNorm2d(SIZE)

        def forward(self, x):
            return self.conv(self.norm(self.conv(x)))

    x = torch.randn(2, SIZE, 8, 8)
    found = Structure(compiled(Shared().eval(), x, "all-sparse").model)
    assert found.operators()["BatchNormalization"] == 0
    assert all(map(found.is_two_four, found.of("Conv")))
