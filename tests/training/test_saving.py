"""What is written of a module with masks, and what reads it."""

import copy
import io
import json
from pathlib import Path

import pytest
import torch
from torch import nn

import sparqc
from sparqc.errors import SparqcError, UsageError
from tests.networks_of_training import Net, batch, example, network

MASKED = ["block.conv1.weight", "block.conv2.weight"]


class Model(Net):
    """Offers what Hugging Face's models do."""

    def save_pretrained(self, folder: Path, state_dict: dict | None = None) -> None:
        state = self.state_dict() if state_dict is None else state_dict
        torch.save(state, folder / "weights.pt")
        (folder / "names.json").write_text(json.dumps(list(state)))


def sparse() -> Model:
    net = Model()
    net.load_state_dict(network().state_dict())
    return sparqc.sparsify(net.eval(), example(), passes="all-sparse")


def output(module: nn.Module) -> torch.Tensor:
    with torch.no_grad():
        return module.eval()(batch(3)[0])


@pytest.mark.parametrize("given", [False, True])
@pytest.mark.parametrize("copied", [False, True])
def test_save_pretrained_writes_plain_names_and_zeros(given, copied, tmp_path):
    net = sparse()
    if copied:
        net = copy.deepcopy(net)
        with torch.no_grad():
            net.head.weight.add_(1)  # what is written is the copy, not its model
    net.save_pretrained(tmp_path, **({"state_dict": net.state_dict()} if given else {}))
    fresh = Model()
    fresh.load_state_dict(torch.load(tmp_path / "weights.pt"))
    assert torch.equal(output(fresh), output(net))
    assert all((fresh.get_parameter(name) == 0).float().mean() >= 0.5 for name in MASKED)
    assert list(net.state_dict()) != json.loads((tmp_path / "names.json").read_text())


def test_bake_leaves_the_module_as_it_was_before(tmp_path):
    net = sparqc.bake(sparse())
    assert "save_pretrained" not in vars(net) and not net.block.conv1._load_state_dict_pre_hooks
    file = io.BytesIO()
    torch.save(net, file)
    file.seek(0)
    assert torch.equal(output(torch.load(file, weights_only=False)), output(net))


def test_pickling_says_what_comes_first():
    with pytest.raises(SparqcError, match="Conv2d has a mask on its weight") as caught:
        torch.save(sparse(), io.BytesIO())
    assert "sparqc.bake(module)" in str(caught.value)


def test_plain_weights_are_loaded_under_the_masks():
    net, dense = sparse(), network()
    masks = {name: mask.clone() for name, mask in sparqc.masks(net).items()}
    with torch.no_grad():
        dense.block.conv1.weight.add_(1)
    net.load_state_dict(dense.state_dict())
    for name, mask in masks.items():
        weight = net.get_submodule(name.removesuffix(".weight")).weight
        assert torch.equal(weight, dense.get_parameter(name) * mask)
    other = sparse()
    other.load_state_dict(net.state_dict())
    assert torch.equal(output(other), output(net))
    assert torch.equal(output(nn.Sequential(other)), output(net))


def test_a_prepared_module_says_that_it_knows_no_labels():
    prepared = sparqc.prepare(network(), example(), calibration=[example()], passes="int8")
    with pytest.raises(UsageError, match="captured without labels") as caught:
        prepared(*example(), labels=torch.zeros(8))
    assert "compute_loss_func" in str(caught.value)
