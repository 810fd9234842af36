"""BatchNorms of every kind, put back for training and folded again."""

import copy
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import batch_norm, relu

import sparqc
from sparqc.pipeline import registry
from sparqc.pipeline.passbase import Pass
from sparqc.rewrite.context import Context
from sparqc.training.normalization import normalizations
from sparqc.training.unfold import Unfolding
from tests.networks_of_training import Net, batch, calibration, example, lived_in, network


class Transposed(nn.Sequential):
    def __init__(self):
        super().__init__(
            nn.Conv2d(3, 16, 3), nn.BatchNorm2d(16), nn.ReLU(),
            nn.ConvTranspose2d(16, 32, 2, 2), nn.BatchNorm2d(32), nn.ReLU(),
        )  # fmt: skip


class Rows(nn.Sequential):
    def __init__(self):
        super().__init__(
            nn.Flatten(), nn.Linear(192, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 16)
        )


class Plain(nn.Sequential):
    """Without scale and bias, and with a cumulative average."""

    def __init__(self):
        bn = nn.BatchNorm2d(16, affine=False, momentum=None)
        super().__init__(nn.Conv2d(3, 16, 3), bn, nn.ReLU())


class Ahead(nn.Module):
    """In front of the activation and the convolution, as in DenseNet: nothing to fold it into."""

    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 16, 3), nn.Conv2d(16, 16, 3)
        self.bn = nn.BatchNorm2d(16)

    def forward(self, x):
        y = self.conv1(x)
        return self.conv2(relu(self.bn(y))) + y.mean()


class Twice(nn.Module):
    """One BatchNorm behind two layers, and one weight in front of two BatchNorms."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 16, 3, padding=1), nn.Conv2d(16, 16, 3, padding=1)
        self.bn, self.last = nn.BatchNorm2d(16), nn.BatchNorm2d(16)

    def forward(self, x):
        y = relu(self.bn(self.b(relu(self.bn(self.a(x))))))
        return relu(self.last(self.b(y)))


class Frozen(nn.Module):
    """Statistics of its own, that are not an nn.BatchNorm's."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 16, 3)
        self.register_buffer("mean", torch.randn(16))
        self.register_buffer("var", torch.rand(16) + 0.5)

    def forward(self, x):
        return relu(batch_norm(self.conv(x), self.mean, self.var))


KINDS = {Transposed: 2, Rows: 1, Plain: 1, Ahead: 1, Twice: 2, Frozen: 0}


@pytest.fixture(params=KINDS, ids=lambda kind: kind.__name__)
def net(request):
    torch.manual_seed(1)
    return lived_in(request.param())


def prepare(net, **wishes):
    options = {"passes": "int8", "float": "fp32"} | wishes
    return sparqc.prepare(net, example(), calibration=calibration, **options)


def batch_norms(module):
    return [m for m in module.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]


def answers(module):
    with torch.no_grad():
        return copy.deepcopy(module).eval()(batch(4)[0])


def test_each_trains_live_and_is_folded_again(net):
    prepared = prepare(net)
    own = batch_norms(prepared)
    assert len(own) == KINDS[type(net)]
    folded = prepare(net, batch_norm="folded")
    expected = answers(folded)
    torch.testing.assert_close(answers(prepared), expected, rtol=0, atol=0.02)
    before = [bn.running_mean.clone() for bn in own]
    prepared.train()(batch(3)[0]).square().mean().backward()
    assert all(not torch.equal(bn.running_mean, old) for bn, old in zip(own, before, strict=True))
    with torch.no_grad():
        for parameter in prepared.parameters():
            parameter -= 0.01 * parameter.grad
    compiled = sparqc.finish(prepared)
    assert compiled.difference.snr_db > 40
    left = sum(node.op == "nn.batch_norm" for node in compiled.graph.nodes)
    assert left == (isinstance(net, Ahead))


def test_the_state_has_the_names_of_the_model(net):
    mine = {name.removeprefix("body.") for name in prepare(net).state_dict()}
    assert net.state_dict().keys() <= mine | {"mean", "var"}


def test_a_cumulative_average_goes_on_counting():
    net = lived_in(Plain())
    (own,) = batch_norms(prepare(net))
    assert own.momentum is None and own.num_batches_tracked == net[1].num_batches_tracked == 20


def test_a_shared_batch_norm_stays_one_and_a_shared_weight_one():
    torch.manual_seed(1)
    prepared = prepare(lived_in(Twice()))
    names = {n.removeprefix("body.") for n, _ in prepared.named_parameters()}
    assert names == {n for n, _ in Twice().named_parameters()}


def test_what_the_user_froze_stays_frozen():
    net = network()
    net.bn.requires_grad_(False)
    net.block.conv1.weight.requires_grad_(False)
    prepared = prepare(net, passes="all-sparse")
    trained = {n.removeprefix("body.") for n, p in prepared.named_parameters() if p.requires_grad}
    assert trained == {n for n, p in net.named_parameters() if p.requires_grad}


# -- layers that a pass changes behind the fold --------------------------------------------------


@dataclass(frozen=True)
class Scramble(Pass):
    """Make every input channel of the second convolution twice as large, and its bias other."""

    name = "scramble-for-test"
    level = "fx"
    preserves = "lossy"

    def run(self, graph, context: Context) -> int:
        layers = [n for n in graph.nodes if n.op == "nn.conv"]
        weight, bias = layers[1].operands["w"], layers[1].operands["b"]
        weight.data = (weight.data * 2).astype(np.float32)
        bias.data = bias.data + np.float32(0.1)
        return 1


SCRAMBLED = "int8, +scramble-for-test@after=fold"


@pytest.fixture
def own_registry(monkeypatch):
    monkeypatch.setattr(registry, "_passes", {**registry.registered(), Scramble.name: Scramble})


def test_a_layer_that_was_changed_since_gets_statistics_of_its_own(own_registry):
    net = network()
    prepared = prepare(net, passes=SCRAMBLED)
    folded = prepare(net, passes=SCRAMBLED, batch_norm="folded")
    torch.testing.assert_close(answers(prepared), answers(folded), rtol=0, atol=0.02)
    changed = prepared.get_submodule("body.block.bn1")
    seen = []
    changed.register_forward_hook(lambda _, x, y: seen.append(x[0]))
    with torch.no_grad():
        for (images,) in calibration():
            prepared.eval()(images)
    inputs = torch.cat(seen).movedim(1, 0).flatten(1)
    torch.testing.assert_close(changed.running_mean, inputs.mean(1), rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(changed.running_var, inputs.var(1), rtol=1e-2, atol=1e-5)
    assert sparqc.finish(prepared).difference.snr_db > 40


def test_one_batch_norm_is_put_back_only_where_it_was_folded():
    from sparqc.capture.capture import capture
    from sparqc.ir.vocabulary.table import default_table

    table = default_table()
    graph = capture(lived_in(Net()), example()).graph
    found = list(normalizations(graph, table))
    assert [n.weight.name for n in found] == [
        "stem.weight", "block.conv1.weight", "block.conv2.weight"
    ]  # fmt: skip
    unfolding = Unfolding(graph, table)
    unfolding.put_back(found)
    assert not unfolding.made  # they are there still
