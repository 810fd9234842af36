"""Modules that multiply their weights with masks by themselves, as Model Optimizer's do."""

import copy

import pytest
import torch
from torch import Tensor, nn

import sparqc
from sparqc.errors import SparqcError
from sparqc.job.open import new_job
from sparqc.job.options import Options
from sparqc.numerics.two_four import is_two_four, two_four_mask
from sparqc.passes.masks.pruning import Pruning, misplaced_notes
from sparqc.report.reading import Account, report_of
from sparqc.training.front_end import FrontEnd
from tests.networks_of_training import calibration, example, network, train

WEIGHTS = ["block.conv1.weight", "block.conv2.weight"]


class SparseConv2d(nn.Conv2d):
    """`weight` is computed: the parameter of that name, times a mask."""

    def __getattribute__(self, name: str):
        if name != "weight":
            return super().__getattribute__(name)
        parameter = self._parameters["weight"]
        return parameter * self._weight_mask if "_weight_mask" in self._buffers else parameter


def masked(net: nn.Module, mask_of) -> nn.Module:
    for part in list(net.modules()):
        if type(part) is nn.Conv2d:
            weight = part.weight.detach()
            mask = mask_of(weight) if weight.shape[1] % 16 == 0 else torch.ones_like(weight)
            part.__class__ = SparseConv2d
            part.register_buffer("_weight_mask", mask.bool())
    return net


def along_channels(weight: Tensor) -> Tensor:
    return torch.from_numpy(two_four_mask(weight.numpy(), 1))


def along_all(weight: Tensor) -> Tensor:
    return torch.from_numpy(two_four_mask(weight.flatten(1).numpy(), 1)).view_as(weight)


@pytest.mark.parametrize("passes", ["int8", "all-sparse"])
def test_quantizers_on_top_hold_such_masks(passes):
    net = masked(network(), along_channels)
    prepared = sparqc.prepare(net, example(), calibration=calibration, passes=passes)
    assert sorted(prepared.masks) == WEIGHTS  # weights that are multiplied with ones have none
    train(prepared.train(), torch.optim.SGD(prepared.parameters(), lr=0.05), 3)
    for name, mask in prepared.masks.items():
        assert torch.equal(mask, net.get_buffer(f"{name.removesuffix('.weight')}._weight_mask"))
        weight = prepared.state_dict()[f"body.{name}"]
        assert not weight[~mask].any() and weight[mask].all()
    assert prepared.facts[Pruning].misplaced == () if passes == "all-sparse" else True


def test_sparsify_leaves_them_where_they_are():
    net = masked(network(), along_channels)
    parameters = {id(p) for p in net.parameters()}
    sparqc.sparsify(net, example(), passes="all-sparse")
    assert sorted(sparqc.sparsity(net).masked) == WEIGHTS and not sparqc.masks(net)
    assert {id(p) for p in net.parameters()} == parameters
    train(net.train(), torch.optim.SGD(net.parameters(), lr=0.05), 3)
    assert is_two_four(net.block.conv1.weight.detach().numpy(), 1)


def test_masks_along_flattened_weights_are_told():
    net = masked(network(), along_all)
    said = "2:4 along flattened C·R·S, as sparsegpt of Model Optimizer leaves them"
    with pytest.raises(SparqcError, match="holds a mask on block") as caught:
        sparqc.sparsify(net, example(), passes="all-sparse")
    assert said in str(caught.value) and "block.conv1) and 1 more" in str(caught.value)
    zeroed = copy.deepcopy(network())
    for name in WEIGHTS:
        weight = zeroed.get_parameter(name)
        weight.data *= along_all(weight.detach())
    sparqc.sparsify(zeroed, example(), passes="all-sparse")
    (note,) = sparqc.sparsity(zeroed).notes
    assert said in note
    assert not sparqc.sparsity(sparqc.sparsify(network(), example(), passes="all-sparse")).notes


def test_a_compile_from_either_road_tells_of_them(tmp_path):
    zeroed = network()
    for name in WEIGHTS:
        weight = zeroed.get_parameter(name)
        weight.data *= along_all(weight.detach())
    model = sparqc.compile(zeroed, example(), passes="float").model
    for given in ((zeroed, example()), (model,)):
        compiled = sparqc.compile(*given, calibration=calibration, passes="sparse")
        compiled.save(tmp_path / "model.onnx")
        facts = compiled.context.facts
        assert len(facts[Pruning].misplaced) == 2
        (note,) = misplaced_notes(facts[Pruning])
        assert note in report_of(compiled, Account(model="model.py")).notes
        again = sparqc.compile(compiled.model, calibration=calibration, passes="sparse")
        assert not again.context.facts[Pruning].misplaced


def test_apply_masks_refuses_a_weight_that_is_computed():
    net = masked(network(), along_channels)
    with pytest.raises(SparqcError, match=r"SparseConv2d computes block.conv1.weight by itself"):
        sparqc.apply_masks(net, {WEIGHTS[0]: torch.ones(16, 16, 3, 3)})


class Gated(nn.Module):
    """A gate on each weight, which trains, and is 1 at first."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(16, 16, 1, 1) / 4)
        self.weight_gate = nn.Parameter(torch.ones(16, 16, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.conv2d(x, self.weight * self.weight_gate)


def test_a_gate_that_trains_is_no_mask():
    module = Gated()
    job = new_job(module, (torch.randn(8, 16, 4, 4),), options=Options(passes="float"))
    graph = FrontEnd(job, module).graph
    assert "weight_gate" in graph and graph.value("weight_gate").readers
