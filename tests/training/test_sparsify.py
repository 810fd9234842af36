"""`sparqc.sparsify`: sparse fine-tuning of the user's own module."""

import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize

import sparqc
from sparqc import apply_masks, sparsity
from sparqc.errors import SparqcError, UsageError
from sparqc.numerics.two_four import is_two_four
from tests.networks_of_training import Net, batch, calibration, example, lived_in, network, train

MASKED = ["block.conv1.weight", "block.conv2.weight"]


@pytest.fixture
def net():
    return network()


def sparse(net):
    return sparqc.sparsify(net, example(), calibration=calibration, passes="all-sparse")


def forward(module: nn.Module) -> torch.Tensor:
    with torch.no_grad():
        return copy.deepcopy(module).eval()(batch(5)[0])


def two_four(module: nn.Module) -> bool:
    weights = (module.get_submodule(n.removesuffix(".weight")).weight for n in MASKED)
    return all(is_two_four(w.detach().numpy(), 1) for w in weights)


def test_the_module_itself_gets_the_zeros_that_a_compile_would_give(net):
    compiled = sparqc.compile(net, example(), calibration=calibration, passes="sparse")
    parameters = {id(p) for p in net.parameters()}
    assert sparse(net) is net and two_four(net)
    assert {id(p) for p in net.parameters()} == parameters  # optimizers know them still
    found = sparqc.compile(net, example(), passes="float")
    images = {"x": batch(5, 8)[0].numpy()}
    torch.testing.assert_close(*(outputs(c, images) for c in (compiled, found)))


def outputs(compiled: sparqc.Compiled, feed: dict[str, np.ndarray]) -> torch.Tensor:
    import onnxruntime

    session = onnxruntime.InferenceSession(compiled.model.SerializeToString())
    return torch.from_numpy(session.run(None, feed)[0])


def test_masks_by_magnitude_need_no_data(net):
    before = {name: t.clone() for name, t in net.state_dict().items()}
    other = sparqc.masks(sparse(copy.deepcopy(net)))
    found = sparqc.masks(sparqc.sparsify(net, example(), passes="all-sparse"))
    assert all(torch.equal(found[name], mask) for name, mask in other.items())
    assert not sparqc.sparsity(net).changed  # the training follows with the statistics
    assert torch.equal(net.bn.running_mean, before["bn.running_mean"])
    with pytest.raises(SparqcError, match="there is no calibration data"):
        sparqc.sparsify(
            network(), example(), passes="all-sparse, +prune{method=sparsegpt}@instead=prune"
        )


def test_it_says_what_is_masked_and_why_the_rest_is_not(net):
    found = sparsity(sparse(net))
    assert sorted(found.masked) == MASKED
    assert all(0 < share < 0.5 for share in found.masked.values())
    assert len(found.dense) == 2 and all("2:4 kernels want" in r for r in found.dense.values())
    assert "bn.running_mean" in found.changed
    with pytest.raises(UsageError, match="not given to"):
        sparsity(Net())


@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.AdamW])
def test_any_optimizer_keeps_the_zeros(net, kind):
    optimizer = kind(net.parameters(), lr=0.01, weight_decay=0.1)
    sparse(net).train()
    before = net.bn.running_mean.clone()
    train(net, optimizer, 10)
    assert two_four(net) and not torch.equal(net.bn.running_mean, before)
    masks = sparqc.masks(net)
    assert sorted(masks) == MASKED
    for name, mask in masks.items():
        weight = net.get_submodule(name.removesuffix(".weight")).weight
        assert torch.equal(weight != 0, mask)


def test_quantizers_on_top_keep_the_masks(net):
    sparse(net).train()
    train(net, torch.optim.SGD(net.parameters(), lr=0.05), 5)
    masks = sparqc.masks(net)
    prepared = sparqc.prepare(net, example(), calibration=calibration, passes="all-sparse")
    assert prepared.masks.keys() == masks.keys()
    assert all(torch.equal(prepared.masks[name], mask) for name, mask in masks.items())
    names = {name.removeprefix("body.") for name, _ in prepared.named_parameters()}
    assert names == {name for name, _ in Net().named_parameters()}
    train(prepared.train(), torch.optim.SGD(prepared.parameters(), lr=0.05), 5)
    assert sparqc.finish(prepared).difference.snr_db > 40


def test_compiling_it_is_compiling_it_baked(net):
    sparse(net)
    with_masks = sparqc.compile(net, example(), calibration=calibration)
    baked = sparqc.compile(sparqc.bake(net), example(), calibration=calibration)
    assert with_masks.model == baked.model


def test_baking_leaves_the_zeros_and_the_module_as_it_was_built(net):
    parameters = [p for _, p in sorted(net.named_parameters())]
    expected = forward(sparse(net))
    assert sparqc.bake(net) is net
    assert net.state_dict().keys() == Net().state_dict().keys()
    assert not parametrize.is_parametrized(net) and two_four(net) and not sparqc.masks(net)
    assert [p for _, p in sorted(net.named_parameters())] == parameters
    assert torch.equal(forward(net), expected)


def test_a_second_time_changes_no_mask(net):
    masks = {name: mask.clone() for name, mask in sparqc.masks(sparse(net)).items()}
    expected = forward(net)
    again = sparqc.masks(sparse(net))
    assert again.keys() == masks.keys()
    assert all(torch.equal(again[name], mask) for name, mask in masks.items())
    assert len(net.block.conv1.parametrizations.weight) == 1
    torch.testing.assert_close(forward(net), expected, rtol=0, atol=1e-5)


def test_masks_can_be_given_to_another_copy(net):
    masks = sparqc.masks(sparse(copy.deepcopy(net)))
    assert apply_masks(net, masks) is net and two_four(net)
    assert all(torch.equal(sparqc.masks(net)[name], mask) for name, mask in masks.items())
    assert not torch.equal(masks[MASKED[0]], ~masks[MASKED[0]])
    apply_masks(net, {MASKED[0]: ~masks[MASKED[0]]})
    assert not net.block.conv1.weight.detach().any()  # what the first mask took stays away


def test_masks_of_another_model_are_refused_and_change_nothing(net):
    masks = sparqc.masks(sparse(copy.deepcopy(net)))
    wrong = [
        (masks | {"block.conv3.weight": masks[MASKED[0]]}, r"block\.conv3\.weight"),
        (masks | {MASKED[1]: torch.ones(3, 3, dtype=torch.bool)}, r"\[3, 3\].*\[16, 16, 3, 3\]"),
    ]
    for given, message in wrong:
        with pytest.raises(SparqcError, match=message):
            apply_masks(net, given)
        assert not sparqc.masks(net)


class Tied(nn.Module):
    """Two layers with one weight."""

    def __init__(self):
        super().__init__()
        self.a, self.b = (nn.Conv2d(16, 16, 3, padding=1) for _ in range(2))
        self.b.weight = self.a.weight

    def forward(self, x):
        return self.b(torch.relu(self.a(x)))


def test_a_tied_weight_stays_tied():
    torch.manual_seed(0)
    net, x = Tied(), torch.randn(4, 16, 8, 8)
    sparqc.sparsify(net, (x,), calibration=lambda: [(x,)], passes="all-sparse")
    assert torch.equal(net.a.weight, net.b.weight) and is_two_four(net.a.weight.detach().numpy(), 1)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    net(x).square().sum().backward()
    optimizer.step()
    assert torch.equal(net.a.weight, net.b.weight) and is_two_four(net.b.weight.detach().numpy(), 1)


def test_nothing_happens_where_nothing_may_be_sparse():
    net = lived_in(nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU()))
    before = copy.deepcopy(net.state_dict())
    with pytest.raises(SparqcError, match=r"no weight of the module may be 2:4 .*2:4 kernels want"):
        sparse(net)
    with pytest.raises(UsageError, match="masks nothing"):
        sparqc.sparsify(network(), example(), calibration=calibration, passes="int8")
    with pytest.raises(UsageError, match="PyTorch module"):
        sparqc.sparsify("model.onnx", example(), passes="all-sparse")
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())


def test_where_nothing_pays_the_message_says_what_masks_it_all_the_same():
    with pytest.raises(SparqcError, match="unlikely to pay: C or K below 64") as error:
        sparqc.sparsify(network(), example(), calibration=calibration)
    assert 'passes="all-sparse"' in error.value.hint


def test_damaged_calibration_data_leaves_the_module_alone(net):
    before = copy.deepcopy(net.state_dict())

    def broken():
        yield next(iter(calibration()))
        yield (torch.full((4, 3, 8, 8), float("nan")),)

    with pytest.raises(SparqcError, match="batch 2"):
        sparqc.sparsify(net, example(), calibration=broken, passes="all-sparse")
    assert before.keys() == net.state_dict().keys()
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())
