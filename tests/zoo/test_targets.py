"""One network for every target profile: opset, weight form, and a file that runs."""

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from torch import nn

import sparqc
from sparqc.declared.targets import profile, profiles
from tests.zoo.structure import Structure


class Net(nn.Module):
    """A residual block, a transposed convolution, and a classifier."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.a = nn.Sequential(nn.Conv2d(16, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU())
        self.b = nn.Sequential(nn.Conv2d(32, 32, 3, padding=1), nn.BatchNorm2d(32))
        self.up = nn.ConvTranspose2d(32, 16, 2, stride=2)
        self.head = nn.Linear(16, 32)

    def forward(self, x):
        y = self.a(x)
        y = torch.relu(self.b(y) + y)
        return self.head(torch.relu(self.up(y)).mean((2, 3)))


@pytest.fixture(scope="module", params=profiles())
def compiled(request):
    x = torch.randn(2, 16, 8, 8, generator=torch.Generator().manual_seed(0))
    net = Net().eval()
    model = sparqc.compile(net, (x,), target=request.param, calibration=lambda: [[x]]).model
    return profile(request.param), net, x, model


def has_int8_transposed(target):
    """TensorRT-RTX and onnxruntime run a transposed convolution in float."""
    return target.name not in {"tensorrt-rtx", "onnxruntime"}


def int8_kinds(target):
    """The operators of the network that have INT8 weights; onnxruntime's last one writes floats."""
    last = [] if target.name == "onnxruntime" else ["Gemm"]
    return ["Conv", *last, *(["ConvTranspose"] if has_int8_transposed(target) else [])]


def test_the_file_has_the_opset_of_the_target(compiled):
    target, _, _, model = compiled
    onnx.checker.check_model(model, full_check=True)
    assert [(o.domain, o.version) for o in model.opset_import] == [("", target.opset)]


def test_the_file_runs_and_agrees_with_the_model(compiled):
    _, net, x, model = compiled
    session = ort.InferenceSession(model.SerializeToString())
    (y,) = session.run(None, {"x": x.numpy()})
    expected = net(x).detach().numpy()
    noise = np.square(y - expected).sum() / np.square(expected).sum()
    assert noise < 0.5  # pruned to one half without training, on random weights


def test_weights_stand_in_the_form_that_the_target_reads(compiled):
    target, _, _, model = compiled
    structure = Structure(model)
    for node in structure.of(*int8_kinds(target)):
        dequantize = structure.producer[node.input[1]]
        stored = structure.constants.get(dequantize.input[0])
        if target.weight_form == "int8-dq":
            assert stored.dtype == np.int8
        else:
            assert structure.producer[dequantize.input[0]].op_type == "QuantizeLinear"


def test_the_scales_of_a_transposed_convolution(compiled):
    target, _, _, model = compiled
    structure = Structure(model)
    (node,) = structure.of("ConvTranspose")
    if not has_int8_transposed(target):
        assert not structure.is_dequantized(node.input[1])
        return
    dequantize = structure.producer[node.input[1]]
    scale = structure.constants[dequantize.input[1]]
    axis = {a.name: a.i for a in dequantize.attribute}.get("axis")
    if target.name == "tensorrt-8.6":
        assert scale.shape == ()
    else:
        assert (scale.shape, axis) == ((16,), 1)


def test_an_onnx_model_of_another_opset_is_written_in_one_that_the_target_reads():
    x = torch.randn(2, 16, 8, 8, generator=torch.Generator().manual_seed(0))
    exported = sparqc.compile(Net().eval(), (x,), passes="float").model
    assert exported.opset_import[0].version == 20
    done = sparqc.compile(exported, (x,), target="tensorrt-8.6", calibration=lambda: [[x]])
    assert done.model.opset_import[0].version == 17
    assert done.difference.snr_db > 0  # the written file ran


@pytest.mark.parametrize("check", ["pass", "rule"])
def test_every_pass_keeps_its_word(check):
    x = torch.randn(2, 16, 8, 8, generator=torch.Generator().manual_seed(0))
    done = sparqc.compile(Net().eval(), (x,), calibration=lambda: [[x]], check=check)
    drift = dict(done.context.action.drift)
    assert drift["place"].exact
    assert drift["surgery"].exact
    assert 0 < drift["fold"].relative < 1e-5


def test_every_pass_keeps_its_word_on_onnx_too():
    x = torch.randn(2, 16, 8, 8, generator=torch.Generator().manual_seed(0))
    exported = sparqc.compile(Net().eval(), (x,), passes="float").model
    done = sparqc.compile(exported, (x,), calibration=lambda: [[x]], check="pass")
    assert dict(done.context.action.drift)["place"].exact
