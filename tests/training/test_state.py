"""Checkpoints of prepared and sparsified modules."""

import copy

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

import sparqc
from sparqc import load_state, save_state
from sparqc.errors import SparqcError
from tests.networks_of_training import Net, batch, calibration, example, network, train


@pytest.fixture(scope="module")
def fresh():
    return sparqc.prepare(network(), example(), calibration=calibration, passes="all-sparse")


@pytest.fixture
def prepared(fresh):
    module = copy.deepcopy(fresh).train()
    train(module, torch.optim.SGD(module.parameters(), lr=0.05), 3)
    return module


def answers(module: nn.Module) -> torch.Tensor:
    with torch.no_grad():
        return copy.deepcopy(module).eval()(batch(9)[0])


def test_a_checkpoint_brings_everything_back(fresh, prepared, tmp_path):
    save_state(prepared, tmp_path / "a.safetensors")
    other = copy.deepcopy(fresh)
    assert not torch.equal(answers(other), answers(prepared))
    assert load_state(other, tmp_path / "a.safetensors") is other
    assert torch.equal(answers(other), answers(prepared))
    assert [f.name for f in tmp_path.iterdir()] == ["a.safetensors"]


def test_training_goes_on_as_if_it_had_not_been_broken_off(fresh, tmp_path):
    def optimizer(module):
        return torch.optim.SGD(module.parameters(), lr=0.05)  # without a state of its own

    whole = copy.deepcopy(fresh).train()
    train(whole, optimizer(whole), 3)
    save_state(whole, tmp_path / "a.safetensors")
    resumed = load_state(copy.deepcopy(fresh), tmp_path / "a.safetensors").train()
    for module in (whole, resumed):
        train(module, optimizer(module), 3)
    assert all(map(torch.equal, whole.state_dict().values(), resumed.state_dict().values()))


def test_masks_are_part_of_it(tmp_path):
    net = sparqc.sparsify(network(), example(), calibration=calibration, passes="all-sparse")
    save_state(net, tmp_path / "a.safetensors")
    masks = sparqc.masks(net)
    other = sparqc.apply_masks(Net(), {n: torch.ones_like(m) for n, m in masks.items()})
    load_state(other, tmp_path / "a.safetensors")
    assert all(torch.equal(mask, masks[name]) for name, mask in sparqc.masks(other).items())
    assert torch.equal(answers(other), answers(net))


def test_tensors_that_share_memory_are_written_too(tmp_path):
    net = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    net[1].weight = net[0].weight
    save_state(net, tmp_path / "a.safetensors")
    assert load_file(tmp_path / "a.safetensors").keys() == net.state_dict().keys()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("body.stem.weight"), r"body\.stem\.weight is missing"),
        (lambda s: s.update(more=torch.ones(1)), "more is unknown"),
        (
            lambda s: s.update({"body.bn.bias": torch.ones(8)}),
            r"body\.bn\.bias is \[8\], not \[16\]",
        ),
        (
            lambda s: s["body.bn.bias"].fill_(float("nan")),
            r"body\.bn\.bias has numbers that are NaN",
        ),
        (
            lambda s: s.update({"body.block.conv1.weight_mask": torch.ones(16, 16, 3, 3)}),
            "weight_mask is float32, not bool",
        ),
    ],
)
def test_a_checkpoint_of_another_model_is_refused_with_what_differs(prepared, change, message):
    state = {name: tensor.clone() for name, tensor in prepared.state_dict().items()}
    before = copy.deepcopy(state)
    change(state)
    with pytest.raises(SparqcError, match=message):
        load_state(prepared, state)
    assert all(torch.equal(t, before[n]) for n, t in prepared.state_dict().items())


def test_a_checkpoint_of_the_plain_network_is_refused_in_one_sentence(prepared, tmp_path):
    save_file({n: t.contiguous() for n, t in network().state_dict().items()}, tmp_path / "a")
    with pytest.raises(SparqcError, match=r"does not belong to this module: .*; and \d+ more"):
        load_state(prepared, tmp_path / "a")


def test_files_that_are_no_checkpoint_are_refused(prepared, tmp_path):
    (tmp_path / "a").write_bytes(b"\x80\x04not a checkpoint")
    for path in (tmp_path / "a", tmp_path / "missing"):
        with pytest.raises(SparqcError, match="cannot be read as safetensors"):
            load_state(prepared, path)
    with pytest.raises(SparqcError, match="cannot be written"):
        save_state(prepared, tmp_path / "no" / "folder")


def test_a_prepared_module_is_not_pickled(prepared, tmp_path):
    with pytest.raises(SparqcError, match="keep its state_dict"):
        torch.save(prepared, tmp_path / "a.pt")
