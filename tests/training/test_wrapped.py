"""Modules inside of what data parallelism and compilation put around them."""

import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

import sparqc
from tests.networks_of_training import calibration, example, network, train

MASKED = ["block.conv1.weight", "block.conv2.weight"]


@pytest.fixture
def group(tmp_path):
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/meet", rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.mark.parametrize("wrap", [DistributedDataParallel, nn.DataParallel, torch.compile])
def test_masks_come_on_behind_the_wrapping(wrap, group):
    net = network()
    wrapped = wrap(net)
    optimizer = torch.optim.SGD(wrapped.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-3)
    if wrap is DistributedDataParallel:
        train(wrapped.train(), optimizer, 1)
    assert (
        sparqc.sparsify(wrapped, example(), calibration=calibration, passes="all-sparse") is wrapped
    )
    assert sorted(sparqc.sparsity(wrapped).masked) == sorted(sparqc.masks(wrapped)) == MASKED
    before = net.block.conv1.weight.detach().clone()
    if wrap is DistributedDataParallel:
        train(wrapped.train(), optimizer, 3)
        assert not torch.equal(net.block.conv1.weight, before)
    for name, mask in sparqc.masks(net).items():
        weight = net.get_submodule(name.removesuffix(".weight")).weight
        assert torch.equal(weight != 0, mask)
    prepared = sparqc.prepare(wrapped, example(), calibration=calibration, passes="int8")
    assert sorted(prepared.masks) == MASKED
    sparqc.bake(wrapped)
    assert not sparqc.masks(net)
    if wrap is DistributedDataParallel:
        train(wrapped.train(), optimizer, 2)


def test_what_accelerate_puts_around_forward_is_not_captured():
    net = network()
    net._original_forward = net.forward
    net.forward = torch.autocast("cpu", torch.bfloat16)(net.forward)
    around = net.forward
    sparqc.sparsify(net, example(), passes="all-sparse")
    assert sorted(sparqc.masks(net)) == MASKED and net.forward is around
    wishes = {"calibration": calibration, "passes": "int8", "float": "fp32"}
    prepared = sparqc.prepare(net, example(), **wishes)
    assert sorted(prepared.masks) == MASKED
    prepared._original_forward = prepared.forward
    prepared.forward = torch.autocast("cpu", torch.bfloat16)(prepared.forward)
    assert sparqc.finish(prepared).difference.snr_db > 80
