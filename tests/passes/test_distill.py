"""Training on calibration data without labels."""

import numpy as np
import pytest
import torch
from torch import nn

import sparqc
from sparqc.ir.constants import constant_value
from sparqc.ir.weighted import weighted
from sparqc.numerics.two_four import is_two_four
from sparqc.passes.distill import Distill, Distillations

FRONT = "cleanup, fold-constants, prune, "
BACK = ", fold, export, surgery, cleanup"


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 32, 3, padding=1)
        self.conv = nn.Conv2d(32, 32, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(32)
        self.head = nn.Linear(32, 10)

    def forward(self, x):
        x = torch.relu(self.stem(x))
        return self.head(torch.relu(x + self.norm(self.conv(x))).mean((2, 3)))


def images(count, seed=1):
    x = torch.randn(count, 3, 4, 4, generator=torch.Generator().manual_seed(seed))
    return nn.functional.interpolate(x, scale_factor=2.0, mode="bilinear")


def net():
    torch.manual_seed(0)
    return Net().eval()


def compiled(distill, count=64, **wishes):
    given = [(part,) for part in images(count).split(16)]
    wishes = {"calibration": lambda: given} | wishes
    return sparqc.compile(net(), (images(2),), passes=FRONT + distill + BACK, **wishes)


def unseen(done):
    """The squared error on other images, as a share."""
    import onnxruntime

    session = onnxruntime.InferenceSession(done.model.SerializeToString())
    x = images(64, seed=2)
    found = session.run(None, {session.get_inputs()[0].name: x.numpy()})[0]
    wanted = net()(x).detach().numpy()
    return float(np.square(found - wanted).sum() / np.square(wanted).sum())


def test_the_network_comes_nearer_on_images_that_it_did_not_see_and_zeros_stay():
    before, after = compiled("cleanup"), compiled("distill{epochs=10}")
    result = after.context.facts[Distillations].result
    assert result.after < 0.5 * result.before and result.images == 16
    assert unseen(after) < 0.5 * unseen(before)
    masked = [
        constant_value(w.weight, after.context.table)
        for w in weighted(after.graph, after.context.table)
        if is_two_four(constant_value(w.weight, after.context.table), w.reduction_axis)
    ]
    assert len(masked) == 1 and np.count_nonzero(masked[0]) <= masked[0].size / 2


def test_the_same_seed_gives_the_same_bytes_and_the_module_stays():
    given = [(part,) for part in images(64).split(16)]
    module, known = net(), net().state_dict()
    lines = [
        sparqc.compile(
            module, (images(2),), passes=FRONT + "distill{epochs=2}" + BACK, calibration=given
        ).model.SerializeToString()
        for _ in range(2)
    ]
    assert lines[0] == lines[1]
    assert all(torch.equal(known[name], t) for name, t in module.state_dict().items())


def test_a_rate_that_ruins_changes_nothing():
    before, after = compiled("cleanup"), compiled("distill{epochs=1, rate=10}")
    assert after.context.facts[Distillations].result.epochs == 0
    assert before.model.SerializeToString() == after.model.SerializeToString()


@pytest.mark.parametrize(
    ("wishes", "reason"),
    [
        ({"random_calibration": True, "calibration": None}, "random"),
        ({"count": 16}, "fewer than 32"),
    ],
)
def test_where_there_is_nothing_to_train_on_it_says_so(wishes, reason):
    done = compiled("distill", **wishes)
    found = done.context.facts[Distillations]
    assert found.result is None and reason in found.reason


@pytest.mark.parametrize("wrong", [{"epochs": 0}, {"rate": 0.0}, {"batches": 0}])
def test_options_that_mean_nothing_are_refused(wrong):
    with pytest.raises(ValueError, match="must be"):
        Distill(**wrong)
