"""The gradients of fake quantization, against formulas that autograd derives."""

import math

import pytest
import torch
from torch import Tensor

import sparqc.ir.vocabulary.torch_ops  # noqa: F401  (registers sparqc::qdq)
from sparqc.training.fake_quantize import (
    apply_mask,
    fake_quantize,
    learned_fake_quantize,
    learned_step,
    weight_scale,
)

#: Per tensor, and for each slice along either axis.
AXES = pytest.mark.parametrize("axis", [None, 0, 1])


def data(axis: int | None, dtype=torch.float32) -> tuple[Tensor, Tensor]:
    """Values of which some are clipped, and their scales."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(6, 5, 4, generator=generator)
    count = () if axis is None else (x.shape[axis],)
    return x.to(dtype), torch.rand(count, generator=generator) * 0.01 + 0.005


def along(scale: Tensor, axis: int | None) -> Tensor:
    return scale if axis is None else scale.reshape([-1 if a == axis else 1 for a in range(3)])


def naive(x: Tensor, step: Tensor, axis: int | None) -> Tensor:
    """Esser et al. (2020), appendix A, in the operators of autograd."""
    step = along(step, axis)
    ratio = (x / step).clamp(-128, 127)
    return ((ratio.round() - ratio).detach() + ratio) * step


@AXES
def test_the_numbers_are_those_of_the_exported_operator(axis):
    x, scale = data(axis)
    expected = torch.ops.sparqc.qdq(x, scale, axis, -128, 127)
    assert torch.equal(fake_quantize(x, scale, axis, -128, 127), expected)
    log = torch.zeros_like(scale)
    assert torch.equal(learned_fake_quantize(x, scale, log, axis, -128, 127), expected)
    learned = learned_fake_quantize(x, scale / 2, log + math.log(2), axis, -128, 127)
    torch.testing.assert_close(learned, expected, rtol=0.01, atol=1e-5)


@AXES
def test_the_gradient_passes_straight_through_and_stops_where_codes_are_clipped(axis):
    x, scale = data(axis)
    x.requires_grad_()
    fake_quantize(x, scale, axis, -128, 127).backward(torch.full(x.shape, 3.0))
    ratio = x.detach() / along(scale, axis)
    inside = (ratio >= -128) & (ratio <= 127)
    assert 0 < inside.sum() < x.numel()
    assert torch.equal(x.grad, 3.0 * inside)


@AXES
def test_learned_scales_have_the_gradient_of_the_paper(axis):
    x, scale = data(axis)
    weights = torch.randn(x.shape, generator=torch.Generator().manual_seed(1))
    log, step = torch.zeros_like(scale).requires_grad_(), scale.clone().requires_grad_()
    a, b = x.clone().requires_grad_(), x.clone().requires_grad_()
    learned_fake_quantize(a, scale, log, axis, -128, 127).backward(weights)
    naive(b, step, axis).backward(weights)
    torch.testing.assert_close(log.grad, step.grad * scale, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(a.grad, b.grad)  # autograd divides by the step and multiplies


def test_the_gradient_of_a_learned_scale_does_not_depend_on_the_batch():
    x, scale = data(None)
    gradients = []
    for given in (x, torch.cat([x, x])):
        log = torch.zeros(()).requires_grad_()
        (learned_fake_quantize(given, scale, log, None, -128, 127).sum() / len(given)).backward()
        gradients.append(log.grad)
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("unit", [1.0, 1e-4, 1e4])
def test_an_optimizer_moves_a_learned_scale_alike_in_every_unit(unit):
    x, scale = data(None)
    log = torch.zeros(()).requires_grad_()
    optimizer = torch.optim.Adam([log], lr=0.01)
    loss = (learned_fake_quantize(x * unit, scale * unit, log, None, -128, 127) / unit).square()
    loss.sum().backward()
    optimizer.step()
    moved = learned_step(scale * unit, log.detach()) / (scale * unit)
    assert float(moved) == pytest.approx(math.exp(math.copysign(0.01, -float(log.grad))), rel=1e-4)


def test_half_precision_goes_through_float32_and_comes_out_as_it_came_in():
    x, scale = data(None, torch.bfloat16)
    x.requires_grad_()
    result = fake_quantize(x, scale, None, -128, 127)
    assert result.dtype == torch.bfloat16
    result.sum().backward()
    assert x.grad.dtype == torch.bfloat16
    expected = fake_quantize(x.detach().float(), scale, None, -128, 127).to(torch.bfloat16)
    assert torch.equal(result, expected)


@AXES
def test_weight_scales_put_the_largest_weight_on_the_largest_code(axis):
    w, _ = data(None)
    w[:, 2] = 0
    w[3] = 0
    scale = weight_scale(w.requires_grad_(), axis, 127)
    assert not scale.requires_grad and scale.shape == (() if axis is None else (w.shape[axis],))
    codes = (w.detach() / along(scale, axis)).round()
    dims = [d for d in range(3) if d != axis]
    largest = codes.abs().amax(dims)
    dead = w.detach().abs().amax(dims) == 0
    assert torch.equal(largest, torch.where(dead, 0.0, 127.0))
    assert (scale > 0).all()


def test_masked_weights_have_no_gradient():
    w = torch.randn(4, 4, requires_grad=True)
    mask = torch.arange(16).reshape(4, 4) % 4 < 2
    result = apply_mask(w, mask)
    result.sum().backward()
    assert torch.equal(result.detach(), w.detach() * mask) and torch.equal(w.grad, mask.float())
