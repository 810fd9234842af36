"""Models whose own code depends on the batch: what is captured, and what the note says."""

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn
from torch.nn import functional

import sparqc
from sparqc.capture.capture import capture
from sparqc.errors import SparqcError


class Branches(nn.Module):
    """As the upsampling of diffusers: a copy that large batches need."""

    def __init__(self, branch):
        super().__init__()
        self.conv, self.branch = nn.Conv2d(3, 16, 3), branch

    def forward(self, x):
        return self.conv(self.branch(x))


def large(x):
    return x.contiguous() * 2 if x.shape[0] >= 64 else x


def small(x):
    return x * 2 if x.shape[0] < 4 else x


@pytest.mark.parametrize(
    ("branch", "count", "limits", "others"),
    [
        (large, 2, "batches of 1 to 63", [1, 7, 63]),
        (large, 1, "batches of 1 to 63", [1, 63]),
        (large, 64, "batches of 64 or more", [64, 70]),
        (small, 2, "batches of 1 to 3", [1, 3]),
        (small, 8, "batches of 4 or more", [4, 9]),
    ],
)
def test_a_branch_on_the_batch_bounds_it(branch, count, limits, others):
    torch.manual_seed(0)
    net = Branches(branch).eval()
    made = sparqc.compile(net, (torch.randn(count, 3, 8, 8),), passes="float")
    assert made.notes == (f"captured for {limits}: with others the model runs other code",)
    session = onnxruntime.InferenceSession(made.model.SerializeToString())
    for size in others:
        x = torch.randn(size, 3, 8, 8)
        (found,) = session.run(None, {"x": x.numpy()})
        np.testing.assert_allclose(found, net(x).detach().numpy(), atol=1e-4)


def test_a_batch_of_whole_pairs_is_captured_as_it_is():
    pairs = Branches(lambda x: x * 2 if x.shape[0] % 2 == 0 else x)
    captured = capture(pairs, (torch.randn(4, 3, 8, 8),))
    assert not captured.dynamic and "with the batch of the example" in captured.notes[0]


# -- groups -------------------------------------------------------------------------------------


class CrossCorrelation(nn.Module):
    """As a Siamese tracker: each sample's template is the filter of its own search region."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 16, 3)

    def forward(self, z, x):
        z, x = self.conv(z), self.conv(x)
        b, c, h, w = x.shape
        y = functional.conv2d(x.reshape(1, b * c, h, w), z.reshape(b * c, 1, 3, 3), groups=b * c)
        return y.reshape(b, c, *y.shape[2:])


class Modulated(nn.Module):
    """As StyleGAN: a weight for each sample, in a transposed convolution."""

    def __init__(self):
        super().__init__()
        self.weight, self.style = nn.Parameter(torch.randn(1, 4, 8, 3, 3)), nn.Linear(5, 4)

    def forward(self, x, z):
        b = x.shape[0]
        weight = (self.weight * self.style(z)[:, :, None, None, None]).reshape(b * 4, 8, 3, 3)
        y = functional.conv_transpose2d(x.reshape(1, b * 4, 8, 8), weight, groups=b)
        return y.reshape(b, 8, 10, 10)


INPUTS = {
    CrossCorrelation: (torch.randn(2, 3, 5, 5), torch.randn(2, 3, 9, 9)),
    Modulated: (torch.randn(2, 4, 8, 8), torch.randn(2, 5)),
}


@pytest.mark.parametrize("kind", INPUTS)
@pytest.mark.parametrize("passes", ["float", "int8"])
def test_groups_that_follow_the_batch_fix_it(kind, passes):
    torch.manual_seed(0)
    inputs = INPUTS[kind]
    made = sparqc.compile(kind().eval(), inputs, calibration=[inputs], passes=passes)
    (note,) = made.notes
    assert "captured with the batch of the example: the number of groups of aten.conv" in note
    assert "test_batch_in_the_code.py:" in note
    assert made.difference.snr_db > (100 if passes == "float" else 15)


def test_a_program_with_such_groups_is_refused_with_the_line():
    batch = torch.export.Dim("batch")
    program = torch.export.export(
        CrossCorrelation().eval(), INPUTS[CrossCorrelation], dynamic_shapes=({0: batch},) * 2
    )
    with pytest.raises(SparqcError) as caught:
        capture(program.module(check_guards=False), INPUTS[CrossCorrelation])
    assert "aten.conv2d.default (" in str(caught.value) and "fixed batch" in str(caught.value)


# -- weights ------------------------------------------------------------------------------------


@pytest.mark.parametrize("call", [sparqc.compile, sparqc.prepare, sparqc.sparsify])
def test_weights_on_the_device_meta_are_named(call):
    net = nn.Sequential(nn.Conv2d(3, 16, 3), nn.Conv2d(16, 16, 3, device="meta"))
    with pytest.raises(SparqcError, match=r"1\.weight and 1 more of 4 tensors lie on the device"):
        call(net, (torch.randn(2, 3, 8, 8),), passes="default")


def test_a_buffer_on_the_device_meta_is_named():
    norm = nn.BatchNorm2d(3, affine=False, device="meta")
    with pytest.raises(SparqcError, match=r"^running_mean and 2 more of 3 tensors"):
        capture(norm, (torch.randn(2, 3, 8, 8),))
