"""Masks of a sparsified module are held whatever is made of it."""

import copy

import numpy as np
import onnx
import pytest
import torch
from torch import nn
from torch.ao.pruning.sparsifier.utils import FakeSparsity
from torch.nn.utils import parametrize, prune

import sparqc
from sparqc.numerics.two_four import is_two_four, two_four_mask
from tests.networks_of_training import calibration, example, network, train

PRESETS = ["default", "int8", "int8-accurate", "one-shot"]


def sparse(module: nn.Module) -> nn.Module:
    return sparqc.sparsify(module, example(), calibration=calibration, passes="all-sparse")


def two_four_layers(compiled: sparqc.Compiled) -> int:
    """The INT8 convolution weights of a file that are 2:4."""
    arrays = [onnx.numpy_helper.to_array(t) for t in compiled.model.graph.initializer]
    codes = [a for a in arrays if a.dtype == np.int8 and a.ndim == 4 and a.shape[1] % 4 == 0]
    return sum(is_two_four(a, 1) for a in codes)


@pytest.fixture(scope="module")
def net():
    module = sparse(network()).train()
    train(module, torch.optim.SGD(module.parameters(), lr=0.05), 3)
    return module.eval()


@pytest.mark.parametrize("batch_norm", ["live", "folded"])
@pytest.mark.parametrize("passes", PRESETS)
def test_every_preset_holds_them_to_the_file(net, passes, batch_norm):
    masks = sparqc.masks(net)
    wishes = {"passes": passes, "batch_norm": batch_norm}
    prepared = sparqc.prepare(net, example(), calibration=calibration, **wishes)
    assert prepared.masks.keys() == masks.keys()
    assert all(torch.equal(prepared.masks[name], mask) for name, mask in masks.items())
    optimizer = torch.optim.SGD(prepared.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-3)
    train(prepared, optimizer, 3)
    assert two_four_layers(sparqc.finish(prepared)) == len(masks) == 2


def test_a_weight_that_has_become_zero_keeps_its_place_in_the_mask(net):
    module = copy.deepcopy(net)
    mask = sparqc.masks(module)["block.conv1.weight"]
    with torch.no_grad():
        module.block.conv1.parametrizations.weight.original.mul_(0)
    prepared = sparqc.prepare(module, example(), calibration=calibration, passes="all-sparse")
    assert torch.equal(prepared.masks["block.conv1.weight"], mask)


def test_a_mask_that_is_not_2_4_is_pruned_further_and_held():
    module, sparser = network(), torch.ones(16, 16, 3, 3, dtype=torch.bool)
    sparser[:, 0] = False
    sparqc.apply_masks(module, {"block.conv1.weight": sparser})
    dense = sparqc.prepare(module, example(), calibration=calibration, passes="int8")
    assert torch.equal(dense.masks["block.conv1.weight"], sparser)
    found = sparqc.prepare(module, example(), calibration=calibration, passes="all-sparse").masks[
        "block.conv1.weight"
    ]
    assert is_two_four(found.numpy(), 1) and not (found & ~sparser).any()


def test_a_pass_at_the_end_of_the_pipeline_counts():
    module = sparqc.sparsify(network(), example(), calibration=calibration, passes="prune")
    full = sparqc.sparsify(
        network(), example(), calibration=calibration, passes="cleanup, fold-constants, prune"
    )
    masks, expected = sparqc.masks(module), sparqc.masks(full)
    assert len(masks) == 2 and masks.keys() == expected.keys()
    assert all(torch.equal(masks[name], mask) for name, mask in expected.items())
    assert sparqc.sparsity(module).changed == ()
    again = sparqc.sparsify(
        network(), example(), calibration=calibration, passes="prune, reestimate"
    )
    assert "bn.running_mean" in sparqc.sparsity(again).changed


# -- one weight in several places -----------------------------------------------------------------


class Tied(nn.Module):
    def __init__(self, norm: bool = False) -> None:
        super().__init__()
        self.a, self.b = (nn.Conv2d(16, 16, 3, padding=1) for _ in range(2))
        self.norm = nn.BatchNorm2d(16) if norm else nn.Identity()
        self.b.weight = self.a.weight

    def forward(self, x):
        return self.b(torch.relu(self.norm(self.a(x))))


class TwoNames(nn.Module):
    """One module that is registered, and called, under two names."""

    def __init__(self, late: bool = False) -> None:
        super().__init__()
        conv = nn.Conv2d(16, 16, 3, padding=1)
        self.first = nn.ModuleList([conv])
        self.second = conv
        self.late = late

    def forward(self, x):
        one, two = self.first[0], self.second
        return one(torch.relu(two(x))) if self.late else two(torch.relu(one(x)))


def twice() -> list[nn.Module]:
    torch.manual_seed(0)
    return [Tied(), Tied(norm=True), TwoNames(), TwoNames(late=True)]


X = torch.randn(4, 16, 8, 8, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("module", twice(), ids=["tied", "tied-norm", "names", "late"])
@pytest.mark.parametrize("passes", ["default", "int8"])
def test_a_weight_in_two_places_stays_one(module, passes):
    module = copy.deepcopy(module)
    count = len(list(module.parameters()))
    wishes = {"calibration": lambda: [(X,)]}
    assert sparqc.sparsify(module, (X,), passes="all-sparse", **wishes) is module
    assert len(list(module.parameters())) == count
    names = {n for n, _ in sparqc.bake(copy.deepcopy(module)).named_parameters()}
    assert sparqc.sparsity(module).masked.keys() <= sparqc.masks(module).keys()
    prepared = sparqc.prepare(module, (X,), passes=passes, **wishes)
    (mask,) = prepared.masks.values()
    weights = [n for n, p in prepared.named_parameters() if p.dim() == 4]
    assert len(weights) == 1 and len(list(prepared.parameters())) == count
    assert len(names) == count
    optimizer = torch.optim.SGD(prepared.parameters(), lr=0.1)
    prepared(X).square().mean().backward()
    optimizer.step()
    assert not prepared.get_parameter(weights[0]).detach()[~mask].any()
    assert sparqc.finish(prepared).difference.snr_db > 30


@pytest.mark.parametrize("passes", ["all-sparse", "int8"])
@pytest.mark.parametrize("sparsified", [True, False])
def test_folding_takes_tied_weights_apart_and_keeps_both_masks(passes, sparsified):
    torch.manual_seed(0)
    module, wishes = Tied(norm=True), {"calibration": lambda: [(X,)], "passes": passes}
    if sparsified:
        sparqc.sparsify(module, (X,), calibration=lambda: [(X,)], passes="all-sparse")
    prepared = sparqc.prepare(module, (X,), batch_norm="folded", **wishes)
    expected = 2 if sparsified or passes == "all-sparse" else 0
    assert len(prepared.masks) == expected
    optimizer = torch.optim.SGD(prepared.parameters(), lr=0.1)
    prepared(X).square().mean().backward()
    optimizer.step()
    for name, mask in prepared.masks.items():
        assert not prepared.get_parameter(f"body.{name}").detach()[~mask].any()
    assert two_four_layers(sparqc.finish(prepared)) == expected


def test_copies_of_a_tied_module_stay_tied():
    torch.manual_seed(0)
    module = Tied()
    sparqc.sparsify(module, (X,), calibration=lambda: [(X,)], passes="all-sparse")
    for tied in (copy.deepcopy(module), sparqc.bake(copy.deepcopy(module))):
        optimizer = torch.optim.SGD(tied.parameters(), lr=0.1)
        tied(X).square().mean().backward()
        optimizer.step()
        assert torch.equal(tied.a.weight, tied.b.weight)
        assert is_two_four(tied.a.weight.detach().numpy(), 1) or not sparqc.masks(tied)


def test_resuming_a_tied_module(tmp_path):
    torch.manual_seed(0)
    first, second = Tied(), Tied()
    for module in (first, second):
        sparqc.sparsify(module, (X,), calibration=lambda: [(X,)], passes="all-sparse")
    sparqc.save_state(first, tmp_path / "state.safetensors")
    sparqc.load_state(second, tmp_path / "state.safetensors")
    assert torch.equal(first(X), second(X))
    assert second.a.parametrizations.weight.original is second.b.parametrizations.weight.original


def test_compiling_computes_what_the_prepared_module_holds(net):
    wishes = {"calibration": calibration, "passes": "int8", "float": "fp32"}
    prepared = sparqc.prepare(net, example(), **wishes)
    compiled = sparqc.compile(net, example(), **wishes)
    finished = sparqc.finish(prepared)
    assert two_four_layers(compiled) == two_four_layers(finished) == 2
    assert finished.difference.max_relative < 1e-4


# -- other layers ---------------------------------------------------------------------------------


class Layers(nn.Module):
    """A weight of each kind, most with a BatchNorm behind it."""

    def __init__(self) -> None:
        super().__init__()
        self.up, self.norm = nn.ConvTranspose2d(16, 16, 2, stride=2), nn.BatchNorm2d(16)
        self.linear, self.norm1 = nn.Linear(16, 16), nn.BatchNorm1d(16)
        self.attention = nn.MultiheadAttention(16, 2, batch_first=True)

    def forward(self, x):
        y = torch.relu(self.norm(self.up(x))).mean((2, 3))
        y = torch.relu(self.norm1(self.linear(y)))[:, None]
        return self.attention(y, y, y)[0]


@pytest.mark.parametrize("batch_norm", ["live", "folded"])
@pytest.mark.parametrize("passes", ["default", "int8", "int8-accurate"])
def test_masks_of_a_persons_own_are_held_on_any_layer(passes, batch_norm):
    torch.manual_seed(0)
    module, names = Layers(), ["up.weight", "linear.weight", "attention.in_proj_weight"]
    masks = {name: torch.rand(module.get_parameter(name).shape) > 0.5 for name in names}
    sparqc.apply_masks(module, masks)
    wishes = {
        "calibration": [(X,)], "passes": passes, "batch_norm": batch_norm, "float": "fp32"
    }  # fmt: skip
    prepared = sparqc.prepare(module, (X,), **wishes)
    found = {mask.shape: mask for name, mask in prepared.masks.items() if "out_proj" not in name}
    assert len(found) == len(masks)
    for mask in masks.values():
        assert not (found[mask.shape] & ~mask).any()
    optimizer = torch.optim.SGD(prepared.parameters(), lr=0.1, momentum=0.9)
    for _ in range(2):
        prepared(X).square().mean().backward()
        optimizer.step()
    for name, mask in prepared.masks.items():
        assert not prepared.get_parameter(f"body.{name}").detach()[~mask].any()
    assert sparqc.finish(prepared).difference.max_relative < 1e-4


# -- masks of other tools ------------------------------------------------------------------------


def by_prune(layer: nn.Conv2d, mask: torch.Tensor) -> None:
    prune.custom_from_mask(layer, "weight", mask)


def by_pruning_twice(layer: nn.Conv2d, mask: torch.Tensor) -> None:
    prune.custom_from_mask(layer, "weight", mask)
    prune.l1_unstructured(layer, "weight", amount=4)


def by_torch_ao(layer: nn.Conv2d, mask: torch.Tensor) -> None:
    parametrize.register_parametrization(layer, "weight", FakeSparsity(mask.float()))


def by_asp(layer: nn.Conv2d, mask: torch.Tensor) -> None:
    layer.register_buffer("__weight_mma_mask", mask)
    with torch.no_grad():
        layer.weight.mul_(mask)


@pytest.mark.parametrize("passes", PRESETS)
@pytest.mark.parametrize("tool", [by_prune, by_pruning_twice, by_torch_ao, by_asp])
def test_masks_of_another_tool_are_held_to_the_file(tool, passes):
    module = network()
    for layer in (module.block.conv1, module.block.conv2):
        tool(layer, torch.from_numpy(two_four_mask(layer.weight.detach().numpy(), 1)))
    prepared = sparqc.prepare(module, example(), calibration=calibration, passes=passes)
    assert prepared.masks.keys() == {"block.conv1.weight", "block.conv2.weight"}
    optimizer = torch.optim.SGD(prepared.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-3)
    train(prepared, optimizer, 3)
    assert two_four_layers(sparqc.finish(prepared)) == 2


def test_a_product_with_numbers_is_no_mask():
    module = network()
    factors = torch.full_like(module.block.conv1.weight, 0.5)
    parametrize.register_parametrization(module.block.conv1, "weight", FakeSparsity(factors))
    prepared = sparqc.prepare(module, example(), calibration=calibration, passes="int8")
    assert not prepared.masks
