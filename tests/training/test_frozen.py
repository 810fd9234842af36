"""What the user froze stays frozen in a prepared module, and stays a parameter."""

import copy
import gc

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import weight_norm

import sparqc
from tests.networks_of_training import batch, calibration, example, network, train

#: One of each kind: behind a mask, dense, a bias, and a BatchNorm's.
FROZEN = ["block.conv1.weight", "block.conv2.bias", "block.bn2.bias", "bn.weight", "head.weight"]


def freeze(module: nn.Module, names=FROZEN) -> nn.Module:
    for name in names:
        module.get_parameter(name).requires_grad_(False)
    return module


def prepare(module: nn.Module, passes: str = "all-sparse", **wishes) -> nn.Module:
    return sparqc.prepare(module, example(), calibration=calibration, passes=passes, **wishes)


def requires_grad(prepared: nn.Module) -> dict[str, bool]:
    return {n.removeprefix("body."): p.requires_grad for n, p in prepared.named_parameters()}


@pytest.fixture(scope="module", params=[True, False], ids=["sparsified", "plain"])
def net(request):
    module = freeze(network())
    if request.param:
        sparqc.sparsify(module, example(), calibration=calibration, passes="all-sparse")
    return module


@pytest.mark.parametrize("passes", ["all-sparse", "int8"])
def test_with_live_batch_norms_each_parameter_trains_as_the_users(net, passes):
    prepared = prepare(net, passes=passes)
    assert requires_grad(prepared) == {
        name: name not in FROZEN for name, _ in network().named_parameters()
    }


@pytest.mark.parametrize("passes", ["all-sparse", "int8", "int8-accurate"])
def test_with_folded_batch_norms_frozen_parameters_stay_frozen(net, passes):
    found = requires_grad(prepare(net, passes=passes, batch_norm="folded"))
    weights = {name: trains for name, trains in found.items() if name.endswith("weight")}
    assert weights == {
        "stem.weight": True,
        "block.conv1.weight": False,
        "block.conv2.weight": True,
        "head.weight": False,
    }
    biases = {name.rpartition(".")[0]: t for name, t in found.items() if name not in weights}
    # That of conv1 is bn1's, which trains; of conv2 both parts are frozen.
    assert biases == {"stem": True, "block.conv1": True, "block.conv2": False, "head": True}


@pytest.mark.parametrize(("bias", "offset"), [(True, False), (False, True), (False, False)])
def test_a_folded_bias_trains_where_a_part_of_it_does(bias, offset):
    net = network()
    net.block.conv2.bias.requires_grad_(bias)
    net.block.bn2.bias.requires_grad_(offset)
    found = requires_grad(prepare(net, batch_norm="folded"))
    assert found["block.conv2.bias"] == (bias or offset)


@pytest.mark.parametrize("batch_norm", ["live", "folded"])
@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.AdamW])
def test_training_does_not_move_what_is_frozen(net, batch_norm, kind):
    prepared = prepare(net, batch_norm=batch_norm)
    frozen = {n: p.detach().clone() for n, p in prepared.named_parameters() if not p.requires_grad}
    others = {n: p.detach().clone() for n, p in prepared.named_parameters() if p.requires_grad}
    assert len(frozen) >= 3
    train(prepared, kind(prepared.parameters(), lr=0.01, weight_decay=0.1), 3)
    now = dict(prepared.named_parameters())
    assert all(torch.equal(now[name], before) for name, before in frozen.items())
    assert not any(torch.equal(now[name], before) for name, before in others.items())


def test_a_frozen_weight_can_be_released_later(net):
    prepared = prepare(net)
    weight = prepared.get_parameter("body.block.conv1.weight")
    optimizer = torch.optim.SGD(prepared.parameters(), lr=0.1)
    assert any(weight is p for p in optimizer.param_groups[0]["params"])
    before, mask = weight.detach().clone(), prepared.masks["block.conv1.weight"]
    weight.requires_grad_(True)
    train(prepared, optimizer, 2)
    assert not torch.equal(weight, before) and not weight.detach()[~mask].any()


def test_copies_and_checkpoints_keep_what_is_frozen(net, tmp_path):
    prepared = prepare(net)
    assert requires_grad(copy.deepcopy(prepared)) == requires_grad(prepared)
    sparqc.save_state(prepared, tmp_path / "state.safetensors")
    again = prepare(net)
    sparqc.load_state(again, tmp_path / "state.safetensors")
    assert requires_grad(again) == requires_grad(prepared)
    torch.testing.assert_close(again(batch(3)[0]), prepared(batch(3)[0]), rtol=0, atol=0)


def test_data_parallel_training_leaves_what_is_frozen_alone(net, tmp_path):
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1
    )
    try:
        prepared = prepare(net, batch_norm="folded")
        parallel = nn.parallel.DistributedDataParallel(prepared)
        assert requires_grad(parallel.module) == requires_grad(prepared)
        before = {n: p.detach().clone() for n, p in prepared.named_parameters()}
        train(parallel, torch.optim.SGD(parallel.parameters(), lr=0.1, weight_decay=0.1), 2)
        for name, parameter in prepared.named_parameters():
            assert torch.equal(parameter, before[name]) is not parameter.requires_grad
        # Its reducer must not be the last to hold the process group: it would wait for the group's
        # thread with Python's lock in its hands, and that thread may want the lock.
        del parallel
        gc.collect()
    finally:
        torch.distributed.destroy_process_group()


def test_the_users_own_module_keeps_it_through_masks_and_back():
    net = freeze(network())
    own = dict(net.named_parameters())
    sparqc.sparsify(net, example(), calibration=calibration, passes="all-sparse")
    assert {id(p) for p in net.parameters()} == {id(p) for p in own.values()}
    copied = copy.deepcopy(net)
    for module in (net, copied):
        sparqc.bake(module)
        assert {n: p.requires_grad for n, p in module.named_parameters()} == {
            name: name not in FROZEN for name in own
        }
    assert all(p is own[name] for name, p in net.named_parameters())


@pytest.mark.parametrize("frozen", [True, False])
def test_a_computed_weight_trains_where_its_parameters_did(frozen):
    torch.manual_seed(0)
    net = nn.Sequential(weight_norm(nn.Conv2d(3, 16, 3)), nn.ReLU(), nn.Conv2d(16, 16, 3))
    if frozen:
        for parameter in net[0].parametrizations.parameters():
            parameter.requires_grad_(False)
    found = requires_grad(prepare(net))
    assert found["0.weight"] is not frozen and found["0.bias"]
