"""Prepared modules in training loops: optimizers, autocast, copies, types."""

import copy

import numpy as np
import onnx
import pytest
import torch
from torch import nn

import sparqc
from sparqc.numerics.two_four import is_two_four
from sparqc.training.trained import trained_graph
from tests.networks_of_training import batch, calibration, example, network, train

OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9, weight_decay=1e-3),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.1),
}
#: The first and the last loss are far apart where something was learned.
LEARNED = 0.6


@pytest.fixture(scope="module")
def fresh():
    return sparqc.prepare(network(), example(), calibration=calibration, passes="all-sparse")


@pytest.fixture
def prepared(fresh):
    return copy.deepcopy(fresh)


def weights(compiled: sparqc.Compiled) -> dict[str, np.ndarray]:
    arrays = {t.name: onnx.numpy_helper.to_array(t) for t in compiled.model.graph.initializer}
    return {n: a for n, a in arrays.items() if a.dtype == np.int8 and a.ndim == 4}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("learned", [False, True])
def test_training_learns_and_keeps_every_zero(fresh, optimizer, learned):
    module = copy.deepcopy(fresh)
    if learned:
        module = sparqc.prepare(
            network(), example(), calibration=calibration, learned_scales=True, passes="all-sparse"
        )
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    module.train()
    first = train(module, OPTIMIZERS[optimizer](module.parameters()), 1)
    last = train(module, OPTIMIZERS[optimizer](module.parameters()), 20)
    assert last < LEARNED * first
    masks = module.masks
    assert sorted(masks) == ["block.conv1.weight", "block.conv2.weight"]
    for name, mask in masks.items():
        weight = module.state_dict()[f"body.{name}"]
        assert not weight[~mask].any() and not torch.equal(weight, before[f"body.{name}"])
        assert torch.equal(mask, before[f"body.{name}_mask"])
    compiled = sparqc.finish(module)
    sparse = [name for name, codes in weights(compiled).items() if is_two_four(codes, 1)]
    assert len(sparse) == 2
    assert compiled.difference.snr_db > 40


def test_what_trains_are_the_weights_or_the_scales_too(prepared):
    names = {name for name, _ in prepared.named_parameters()}
    assert not any("scale" in name for name in names)
    learned = sparqc.prepare(
        network(), example(), calibration=calibration, learned_scales=True, passes="all-sparse"
    )
    more = {name for name, _ in learned.named_parameters()} - names
    assert more and all("scale" in name for name in more)
    before = {name: tensor.detach().clone() for name, tensor in learned.named_parameters()}
    train(learned.train(), torch.optim.SGD(learned.parameters(), lr=0.05), 5)
    after = dict(learned.named_parameters())
    assert all(not torch.equal(after[name], before[name]) for name in more)


@pytest.mark.parametrize(
    ("kind", "rate"),
    [("Adam", 1e-3), ("Adam", 1e-4), ("AdamW", 1e-3), ("SGD", 0.05), ("SGD", 0.3)],
)
def test_learned_scales_stay_near_what_was_measured(kind, rate):
    module = sparqc.prepare(
        network(), example(), calibration=calibration, learned_scales=True, passes="all-sparse"
    )
    before = learned_scales(module)
    optimizer = getattr(torch.optim, kind)(module.parameters(), lr=rate, weight_decay=1e-2)
    train(module.train(), optimizer, 60)
    for name, scale in learned_scales(module).items():
        ratio = scale / before[name]
        assert ratio.min() > 0.8 and ratio.max() < 1.25 and (ratio != 1).any(), name
    assert sparqc.finish(module).difference.snr_db > 40


def learned_scales(module: sparqc.Prepared) -> dict[str, np.ndarray]:
    places, graph = module.recipe.written.places, trained_graph(module)
    learned = module.recipe.written.learned
    return {name: graph.value(name).data for name, place in places.items() if place in learned}


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_computes_in_half_and_trains(prepared, dtype):
    types = set()
    for part in prepared.body.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.register_forward_hook(lambda _, x, y: types.add(x[0].dtype))
    prepared.train()
    first = train(prepared, OPTIMIZERS["sgd"](prepared.parameters()), 1, autocast=dtype)
    assert train(prepared, OPTIMIZERS["sgd"](prepared.parameters()), 20, dtype) < LEARNED * first
    assert types == {dtype}
    assert all(p.dtype == torch.float32 for p in prepared.parameters())
    assert sparqc.finish(prepared).difference.snr_db > 40


def test_a_copy_is_independent(prepared):
    before = copy.deepcopy(prepared.state_dict())
    other = copy.deepcopy(prepared).train()
    train(other, torch.optim.SGD(other.parameters(), lr=0.1), 2)
    assert all(torch.equal(t, before[n]) for n, t in prepared.state_dict().items())
    images, _ = batch(0)
    with torch.no_grad():
        assert not torch.equal(prepared.eval()(images), other.eval()(images))
    assert sparqc.finish(other).difference.snr_db > 40


def test_no_two_tensors_of_the_state_share_memory(prepared):
    pointers = [t.untyped_storage().data_ptr() for t in prepared.state_dict().values()]
    assert len(set(pointers)) == len(pointers)


def test_in_half_precision_scales_stay_in_float32_and_masks_boolean(prepared):
    images, _ = batch(0)
    expected = copy.deepcopy(prepared).eval()(images)
    before = dict(prepared.named_buffers())
    module = prepared.to(torch.bfloat16).eval()
    scales = {n: t for n, t in module.named_buffers() if n.endswith("scale")}
    assert scales and all(torch.equal(t, before[n]) for n, t in scales.items())
    assert all(mask.dtype == torch.bool for mask in module.masks.values())
    result = module(images.bfloat16())
    assert result.dtype == torch.bfloat16
    torch.testing.assert_close(result.float(), expected, rtol=0.1, atol=0.1)
    assert sparqc.finish(module).difference.snr_db > 40


def test_batch_norms_become_synchronized_ones(prepared):
    module = nn.SyncBatchNorm.convert_sync_batchnorm(prepared)
    kinds = [type(m) for m in module.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    assert kinds == [nn.SyncBatchNorm] * 3
    assert sparqc.finish(module).difference.snr_db > 40


def test_gradients_are_the_same_under_torch_checkpointing(prepared):
    from torch.utils.checkpoint import checkpoint

    images, _ = batch(0)
    prepared.eval()
    gradients = []
    for run in (prepared, lambda x: checkpoint(prepared, x, use_reentrant=False)):
        prepared.zero_grad()
        run(images).square().sum().backward()
        gradients.append([p.grad.clone() for p in prepared.parameters() if p.grad is not None])
    assert gradients[0] and all(map(torch.equal, *gradients))


def test_every_tensor_of_a_forward_is_where_the_weights_are(prepared):
    images, labels = batch(0)
    module = prepared.to("meta").train()
    result = module(images.to("meta"))
    assert result.device.type == "meta" and result.shape == (len(labels), 2)
    result.sum().backward()
    assert all(p.grad.device.type == "meta" for p in module.parameters())


class Positions(nn.Module):
    """Makes a tensor where its weights are, of a size that only the input tells."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 16, 3)
        self.start = nn.Parameter(torch.zeros(1))

    def forward(self, x):
        ones = torch.ones(x.shape[0], 1, 1, 1, device=x.device)
        return torch.relu(self.conv(x)) * ones + self.start


def test_tensors_that_the_model_makes_move_along():
    module = sparqc.prepare(
        Positions().eval(), example(), calibration=calibration, passes="all-sparse"
    )
    images, _ = batch(0)
    assert module.to("meta")(images.to("meta")).device.type == "meta"
