"""`sparqc.prepare`: what the module computes before any training."""

import copy

import numpy as np
import onnx
import pytest
import torch
from torch import nn
from torch.nn.functional import relu

import sparqc
from sparqc.errors import SparqcError, UsageError
from tests.networks_of_training import Net, batch, calibration, example, lived_in, network, train


@pytest.fixture(scope="module")
def net():
    return network()


@pytest.fixture(scope="module")
def prepared(net):
    return sparqc.prepare(
        net, example(), calibration=calibration, passes="all-sparse", float="fp32"
    )


def codes(compiled: sparqc.Compiled) -> dict[str, np.ndarray]:
    """The INT8 weights of a compiled model."""
    arrays = {t.name: onnx.numpy_helper.to_array(t) for t in compiled.model.graph.initializer}
    return {n: a for n, a in arrays.items() if a.dtype == np.int8 and a.ndim > 1}


def run(module: nn.Module, *args):
    with torch.no_grad():
        return copy.deepcopy(module).eval()(*args)


def batch_norms(module: nn.Module) -> dict[str, nn.Module]:
    return {n: m for n, m in module.named_modules() if isinstance(m, nn.BatchNorm2d)}


def test_untrained_it_finishes_as_a_compile(net, prepared):
    plain = sparqc.compile(
        net, example(), calibration=calibration, passes="all-sparse", float="fp32"
    )
    finished = sparqc.finish(prepared)
    expected, found = codes(plain), codes(finished)
    assert expected and expected.keys() == found.keys()
    assert all(np.array_equal(expected[name], found[name]) for name in expected)
    assert finished.difference.max_relative < 1e-5


def test_live_and_folded_batch_norms_compute_the_same_in_eval_mode(net, prepared):
    folded = sparqc.prepare(
        net, example(), calibration=calibration, batch_norm="folded", passes="all-sparse"
    )
    assert len(batch_norms(prepared)) == 3 and not batch_norms(folded)
    images, _ = batch(5)
    live, fixed = run(prepared, images), run(folded, images)
    close = torch.isclose(live, fixed, rtol=0, atol=1e-5)
    assert close.float().mean() > 0.9  # a value that lies between two codes may become the next one
    torch.testing.assert_close(live, fixed, rtol=0, atol=1e-3)


def test_names_and_numbers_are_the_models_own(net, prepared):
    own, mine = net.state_dict(), prepared.state_dict()
    assert {f"body.{name}" for name in own} <= mine.keys()
    for name in own:
        weight = mine[f"body.{name}"]
        if name in prepared.masks:
            assert torch.equal(weight, own[name] * prepared.masks[name])
        elif "running" not in name:  # re-estimated behind masks
            assert torch.equal(weight, own[name]), name
    parameters = {n.removeprefix("body.") for n, _ in prepared.named_parameters()}
    assert parameters == {n for n, _ in net.named_parameters()}


def test_the_users_module_stays_as_it_is(net):
    before = copy.deepcopy(net.state_dict())
    module = sparqc.prepare(net, example(), calibration=calibration, passes="all-sparse")
    train(module, torch.optim.SGD(module.parameters(), lr=0.1), 2)
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())


def test_in_train_mode_batch_norms_follow_the_batch(net, prepared):
    module = copy.deepcopy(prepared)
    images, _ = batch(3)
    seen = {}
    for name, part in batch_norms(module).items():
        part.register_forward_hook(lambda _, x, y, name=name: seen.update({name: (x[0], y)}))
    before = copy.deepcopy(module.state_dict())
    module.train()(images)
    for name, part in batch_norms(module).items():
        x, y = seen[name]
        mean, var = x.mean((0, 2, 3)), x.var((0, 2, 3))
        own = net.get_submodule(name.removeprefix("body."))
        assert part.momentum == own.momentum and part.eps == own.eps
        for key, new in (("running_mean", mean), ("running_var", var)):
            old = before[f"{name}.{key}"]
            expected = old + part.momentum * (new - old)
            torch.testing.assert_close(getattr(part, key), expected, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(y.mean((0, 2, 3)), part.bias, rtol=0, atol=1e-3)


def test_eval_mode_changes_nothing(prepared):
    module = copy.deepcopy(prepared).eval()
    before = copy.deepcopy(module.state_dict())
    module(batch(3)[0])
    assert all(torch.equal(t, before[n]) for n, t in module.state_dict().items())


class Nested(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 16, 3), nn.Conv2d(3, 16, 3)

    def forward(self, images, options):
        first = relu(self.a(images["left"]))
        return {"sum": first + relu(self.b(images["right"])), "extra": [first, None], "o": options}


def test_arguments_and_results_are_nested_as_the_models():
    torch.manual_seed(0)
    net, pair = Nested().eval(), {"left": batch(0)[0], "right": batch(1)[0]}
    leaves = [tuple(pair.values())]
    module = sparqc.prepare(
        net, (pair, None), calibration=lambda: leaves, passes="all-sparse", float="fp32"
    )
    result, expected = run(module, pair, None), net(pair, None)
    assert result.keys() == expected.keys() and result["extra"][1] is None
    noise = (result["sum"] - expected["sum"]).norm() / expected["sum"].norm()
    assert noise < 0.03
    assert sparqc.finish(module).difference.max_relative < 1e-5


# -- what cannot be prepared ----------------------------------------------------------------------


def test_an_onnx_model_does_not_train(net):
    compiled = sparqc.compile(net, example(), passes="float")
    for model in (compiled.model, "model.onnx"):
        with pytest.raises(UsageError, match="an ONNX graph does not train"):
            sparqc.prepare(model, example(), calibration=calibration, passes="all-sparse")


@pytest.mark.parametrize(
    ("passes", "message"),
    [
        ("sparse", "places no quantizers"),
        ("default, -calibrate", "measures no scales"),
        ("cleanup, fold, place, calibrate", "does not export"),
    ],
)
def test_a_pipeline_that_cannot_train_is_refused(net, passes, message):
    with pytest.raises(UsageError, match=message):
        sparqc.prepare(net, example(), calibration=calibration, passes=passes)


def test_a_model_without_anything_to_quantize_is_refused():
    with pytest.raises(SparqcError, match="nothing of the model can be quantized"):
        sparqc.prepare(
            nn.Sequential(nn.Tanh()), example(), calibration=calibration, passes="all-sparse"
        )


def test_without_calibration_data_it_says_so(net):
    with pytest.raises(SparqcError, match="no calibration data"):
        sparqc.prepare(net, example(), passes="all-sparse")


def test_a_misspelt_option_is_refused(net):
    with pytest.raises(UsageError, match="unfolded"):
        sparqc.prepare(
            net, example(), calibration=calibration, batch_norm="unfolded", passes="all-sparse"
        )
    with pytest.raises(UsageError, match="did you mean 'passes'"):
        sparqc.prepare(net, example(), calibration=calibration, pases="default")


def test_weights_that_are_damaged_before_are_named():
    broken = lived_in(Net())
    with torch.no_grad():
        broken.block.conv1.weight[0, 0] = float("nan")
    with pytest.raises(SparqcError, match=r"block\.conv1\.weight"):
        sparqc.prepare(broken, example(), calibration=calibration, passes="all-sparse")
