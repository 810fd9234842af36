"""sparqc's own torch operators: numbers, gradients, and that torch takes them as its own."""

import numpy as np
import pytest
import torch

import sparqc.ir.vocabulary.torch_ops  # noqa: F401  (registers them)

qdq, mask = torch.ops.sparqc.qdq, torch.ops.sparqc.mask
ARGUMENTS = [
    (torch.randn(3, 4), torch.tensor(0.02), None, -128, 127),
    (torch.randn(3, 4), torch.tensor([0.1, 0.2, float("nan")]), 0, -127, 127),
    (torch.randn(2, 3, 4), torch.rand(3) + 0.1, 1, -128, 127),
    (torch.randn(3, 4).bfloat16(), torch.tensor(0.02), None, -128, 127),
]


def test_rounding_is_half_to_even():
    x = torch.tensor([0.5, 1.5, 2.5, -0.5, -1.5])
    codes = qdq(x, torch.tensor(1.0), None, -128, 127)
    assert codes.tolist() == [0, 2, 2, 0, -2]


def test_division_is_true_division():
    # x / 0.1 is 2.5 exactly and rounds to 2; x * (1 / 0.1) is too in f64, in f32 it is above.
    scale = np.float32(0.7)
    x = (np.arange(-300, 300, dtype=np.float32) + np.float32(0.5)) * scale
    codes = np.clip(np.rint(x / scale), -128, 127) * scale
    actual = qdq(torch.from_numpy(x), torch.tensor(scale), None, -128, 127)
    np.testing.assert_array_equal(actual.numpy(), codes)


def test_codes_saturate_at_both_ends():
    x = torch.tensor([-1000.0, 1000.0])
    assert qdq(x, torch.tensor(1.0), None, -127, 127).tolist() == [-127, 127]
    assert qdq(x, torch.tensor(1.0), None, -128, 127).tolist() == [-128, 127]


def test_a_channel_without_a_scale_passes():
    x = torch.randn(2, 3)
    y = qdq(x, torch.tensor([float("nan"), 1.0]), 0, -128, 127)
    assert torch.equal(y[0], x[0]) and not torch.equal(y[1], x[1])


def test_the_gradient_passes_where_nothing_was_clipped():
    x = torch.tensor([-2.0, -1.28, 0.3, 1.27, 1.3], requires_grad=True)
    qdq(x, torch.tensor(0.01), None, -128, 127).sum().backward()
    assert x.grad.tolist() == [0, 1, 1, 1, 0]


def test_the_gradient_of_a_mask_reaches_masked_weights():
    w = torch.randn(4, requires_grad=True)
    y = mask(w, torch.tensor([1, 0, 0, 1]))
    y.sum().backward()
    assert (y == 0).tolist() == [False, True, True, False]
    assert w.grad.tolist() == [1, 1, 1, 1]


def test_a_mask_hides_what_is_not_finite():
    w = torch.tensor([float("inf"), float("nan"), 1.0])
    assert mask(w, torch.tensor([False, False, True])).tolist() == [0, 0, 1]


@pytest.mark.parametrize("arguments", ARGUMENTS)
def test_torch_takes_the_quantizer_as_its_own(arguments):
    x, *others = arguments
    torch.library.opcheck(qdq.default, (x.clone().requires_grad_(), *others))


def test_torch_takes_the_mask_as_its_own():
    torch.library.opcheck(mask.default, (torch.randn(3, requires_grad=True), torch.rand(3) > 0.5))
