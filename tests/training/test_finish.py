"""`sparqc.finish`: from a trained module to the file."""

import copy

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

import sparqc
from sparqc import recalibrate
from sparqc.errors import SparqcError, UsageError
from tests.networks_of_training import batch, calibration, example, network, train


@pytest.fixture(scope="module")
def trained():
    module = sparqc.prepare(
        network(), example(), calibration=calibration, passes="all-sparse", float="fp32"
    ).train()
    train(module, torch.optim.SGD(module.parameters(), lr=0.05, momentum=0.9), 10)
    return module


@pytest.fixture
def module(trained):
    return copy.deepcopy(trained)


def session(path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(str(path), options)


def test_the_file_answers_as_the_module_in_eval_mode(module, tmp_path):
    sparqc.finish(module, tmp_path / "model.onnx")
    images, _ = batch(7, 64)
    with torch.no_grad():
        expected = module.eval()(images).numpy()
    (actual,) = session(tmp_path / "model.onnx").run(None, {"x": images.numpy()})
    # A code that lies between two may fall to the other side; few do.
    assert np.abs(actual - expected).max() < 0.05 * np.abs(expected).max()
    assert np.median(np.abs(actual - expected)) < 1e-4 * np.abs(expected).max()


#: Each convolution, and the BatchNorm behind it.
LAYERS = {"stem": "bn", "block.conv1": "block.bn1", "block.conv2": "block.bn2"}


@pytest.mark.parametrize("layer", LAYERS)
def test_the_codes_are_the_modules_own_up_to_the_sign_of_a_channel(module, layer):
    initializers = sparqc.finish(module).model.graph.initializer
    arrays = {t.name: onnx.numpy_helper.to_array(t) for t in initializers}
    codes = next(a for n, a in arrays.items() if n.startswith(layer) and a.dtype == np.int8)
    state = module.state_dict()
    weight = state[f"body.{layer}.weight"]
    own = (weight / (weight.abs().amax((1, 2, 3), keepdim=True) / 127)).round()
    sign = state[f"body.{LAYERS[layer]}.weight"].sign().reshape(-1, 1, 1, 1)
    assert torch.equal(torch.tensor(codes).float(), own * sign)
    assert own.abs().amax((1, 2, 3)).eq(127).all()


def test_the_module_can_be_trained_on_and_finished_again(module, tmp_path):
    was_training, state = module.training, copy.deepcopy(module.state_dict())
    first = sparqc.finish(module, tmp_path / "a.onnx")
    assert module.training == was_training
    assert all(torch.equal(t, state[n]) for n, t in module.state_dict().items())
    second = sparqc.finish(module, tmp_path / "b.onnx")
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()
    train(module, torch.optim.SGD(module.parameters(), lr=0.05), 2)
    third = sparqc.finish(module)
    assert first.model == second.model and third.model != first.model


def test_wrappers_are_seen_through(module):
    class DistributedDataParallel(nn.Module):
        def __init__(self, module):
            super().__init__()
            self.module = module

    assert sparqc.finish(DistributedDataParallel(module)).difference.snr_db > 40


def test_ranges_are_measured_anew_where_calibration_data_is_given(module):
    def louder():
        return [(4 * images,) for (images,) in calibration()]

    before = {n: t.clone() for n, t in module.named_buffers()}
    sparqc.finish(module, calibration=louder)
    scales = {n: t for n, t in module.named_buffers() if n.endswith("scale")}
    assert float(scales["body.x.scale"] / before["body.x.scale"]) == pytest.approx(4, rel=0.2)
    assert scales.keys() == {n for n in before if n.endswith("scale")}
    again = copy.deepcopy(module)
    recalibrate(again, louder)
    assert all(torch.equal(t, scales[n]) for n, t in again.named_buffers() if n in scales)


def test_learned_scales_are_not_measured_anew():
    learned = sparqc.prepare(
        network(), example(), calibration=calibration, learned_scales=True, passes="all-sparse"
    )
    before = copy.deepcopy(learned.state_dict())
    recalibrate(learned, lambda: [(9 * batch(0)[0],)])
    assert all(torch.equal(t, before[n]) for n, t in learned.state_dict().items())


def test_a_diverged_training_is_named(module):
    with torch.no_grad():
        module.get_parameter("body.block.conv2.weight")[0, 1, 2, 0] = float("nan")
    with pytest.raises(SparqcError, match=r"block\.conv2\.weight has 1 numbers of 2304"):
        sparqc.finish(module)


def test_statistics_that_overflowed_are_named(module):
    module.get_buffer("body.bn.running_var")[2] = float("inf")
    with pytest.raises(SparqcError, match=r"bn\.running_var has 1 numbers of 16"):
        sparqc.finish(module)


def test_a_module_that_was_not_prepared_is_refused():
    with pytest.raises(UsageError, match="not Net"):
        sparqc.finish(network())


def test_nothing_is_written_where_the_training_diverged(module, tmp_path):
    with torch.no_grad():
        module.get_parameter("body.head.bias").fill_(float("inf"))
    with pytest.raises(SparqcError, match=r"head\.bias"):
        sparqc.finish(module, tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("rows", [0, 8])
def test_a_weight_that_is_a_part_of_itself_is_refused(module, rows, tmp_path):
    weight = module.body.block.conv1.weight
    weight.data = weight.data[:rows]  # as ZeRO-3 and FSDP leave it on one process
    with pytest.raises(SparqcError, match=r"block.conv1.weight has the shape \[") as caught:
        sparqc.finish(module, tmp_path / "model.onnx")
    assert "gather the parameters first" in str(caught.value)
    assert not (tmp_path / "model.onnx").exists()
