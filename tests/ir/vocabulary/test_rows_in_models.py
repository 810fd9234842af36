"""Operators of third-party models, from PyTorch to a float file that gives the same numbers.

Each function is compiled with one batch, or one length, and run with another one too.
"""

import numpy as np
import onnxruntime as ort
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import sparqc

TABLE = torch.arange(20, dtype=torch.float32).reshape(4, 5) / 7


class Function(nn.Module):
    """A function as a module."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *args):
        return self.function(*args)


def compiled(module, *inputs):
    """The float file, and a check that the table had every operator."""
    done = sparqc.compile(module, inputs, passes="float")
    assert done.opaque == {}
    return done.model


def assert_same(model, function, *inputs):
    session = ort.InferenceSession(model.SerializeToString())
    names = [i.name for i in session.get_inputs()]
    results = session.run(None, dict(zip(names, (x.numpy() for x in inputs), strict=True)))
    expected = function(*inputs)
    expected = expected if isinstance(expected, tuple | list) else (expected,)
    for given, wanted in zip(results, expected, strict=True):
        assert given.dtype == wanted.numpy().dtype
        np.testing.assert_allclose(given, wanted.numpy(), rtol=1e-5, atol=1e-6)


def ids(x):
    """Whole numbers from 0 to 3 of the shape of x."""
    return (x * 1.7).abs().clamp(max=3).long()


# -- a dynamic batch ----------------------------------------------------------------------------


def sampled(x):
    """Points and weights as DETR's queries have them: by index, and by the largest score."""
    scores, places = x.max(-1)
    return torch.gather(x, 1, places.clamp(max=2).unsqueeze(-1)), scores


def class_token(x):
    tokens = torch.zeros(x.size(0), 1, x.size(2)) + TABLE[0]
    return torch.cat([tokens, x], 1)


def rows_and_columns(x):
    rows = torch.arange(x.size(0))
    return x[rows, rows.clamp(max=2)], x[:, torch.tensor([0, 2]), torch.tensor([1, 3])]


def after_padding(x):
    """Positions that count the tokens which are no padding, as in RoBERTa."""
    mask = ids(x[..., 0]).ne(1).int()
    positions = torch.cumsum(mask, 1).type_as(mask) * mask
    return TABLE[positions.long()]


BATCHED = {
    "repeat": lambda x: TABLE[:3].repeat(x.size(0), 1, 1) + x,
    "repeat more axes than there are": lambda x: x.repeat(2, 1, 1, 3),
    "repeat by sizes in front": lambda x: TABLE[0].repeat(x.size(0), 3, 1) * x,
    "tile": lambda x: torch.tile(x, (2, 3)),
    "repeat_interleave": lambda x: x.repeat_interleave(3, dim=-2),
    "tensor_split": lambda x: torch.tensor_split(x, (1, 4), dim=2),
    "meshgrid": lambda x: torch.meshgrid(x[0, 0], x[:, 0, 1], indexing="xy"),
    "zeros": class_token,
    "ones of another type": lambda x: torch.ones(x.shape[0], 2, dtype=torch.int32),
    "full": lambda x: torch.full((x.shape[0], 3), float("-inf")).maximum(x[..., 0]),
    "new_full": lambda x: x.new_full((x.shape[0], 2), 0.25),
    "new_zeros": lambda x: torch.cat([x.new_zeros(x.shape[0], 1, 5), x], 1),
    "new_ones": lambda x: ids(x).new_ones(x.shape[0]),
    "zeros of truth values": lambda x: torch.zeros(x.shape[0], 3, dtype=torch.bool),
    "ones_like of another type": lambda x: torch.ones_like(x, dtype=torch.int32),
    "full_like": lambda x: torch.full_like(ids(x), 2**60 + 1),
    "arange": lambda x: torch.arange(x.size(0)).unsqueeze(1) + ids(x[:, 0]),
    "arange of floats": lambda x: torch.arange(1, 2 * x.size(0), 2, dtype=torch.float32),
    "several indices": rows_and_columns,
    "indices apart": lambda x: x.unsqueeze(1)[torch.tensor([1, 0]), :, torch.tensor([0, 2])],
    "indices that broadcast": lambda x: x[torch.arange(x.size(0))[:, None], torch.tensor([2, -1])],
    "small indices": lambda x: TABLE[ids(x).int()],
    "a mask": lambda x: x[x > 0],
    "a mask of some axes": lambda x: x[x[..., 0] > 0],
    "a mask behind": lambda x: x[:, torch.tensor([True, False, True])],
    "a mask that is computed behind": lambda x: x[:, :, x[0, 0] > x[0, 1]],
    "cumsum in another type": after_padding,
    "cumsum of truth values": lambda x: (x > 0).cumsum(1),
    "cumsum": lambda x: x.cumsum(-1),
    "cumsum of another type": lambda x: ids(x).cumsum(1, dtype=torch.float32),
    "max": lambda x: x.max(1),
    "min with its axis": lambda x: x.min(-1, keepdim=True),
    "max alone": lambda x: x.max(2)[0] - x.min(2).values,
    "the index alone": lambda x: x.max(-1)[1],
    "max of integers": lambda x: ids(x).max(-1),
    "argmin": lambda x: x.argmin(1),
    "gather": sampled,
    "var": lambda x: x.var(1),
    "var without correction": lambda x: x.var((1, 2), correction=0, keepdim=True),
    "var of more correction": lambda x: torch.var(x, -1, correction=2),
    "std over the batch": lambda x: x.std(0),
    "std of everything": lambda x: x.std(),
    "var_mean": lambda x: torch.var_mean(x, [1, 2]),
    "std_mean": lambda x: torch.std_mean(x, -1, unbiased=False),
    "glu": lambda x: F.glu(x.transpose(1, 2)[:, :4], 1),
    "reshape_as": lambda x: x.flatten(1).reshape_as(x) + x.flatten(1).view_as(x),
    "index_add where the axis has one element": lambda x: x[:, :1].index_add(
        1, torch.tensor([0]), x[:, 1:2]),
    "index_add at one place twice": lambda x: x.index_add(1, torch.tensor([2, 0, 2]), x, alpha=0.5),
    "index_add in place": lambda x: x.clone().index_add_(-1, torch.tensor([4, 0]), x[..., :2]),
    "index_add by a number": lambda x: x.index_add(1, torch.tensor(2), x[:, :1]),
    "index_add by small indices": lambda x: x.index_add(2, torch.tensor([1]).int(), x[..., :1]),
    "index_add of integers": lambda x: ids(x).index_add(0, torch.tensor([1]), ids(x)[:1], alpha=3),
    "index_add at computed places": lambda x: x.index_add(1, ids(x[0, :, 0]).clamp(max=2), x),
    "index_copy": lambda x: x.index_copy(2, torch.tensor([3, 0]), x[..., 1:3]),
    "index_copy in place where the axis has one element": lambda x: x[..., :1].clone().index_copy_(
        -1, torch.tensor([0]), x[..., 1:2]),
    "scatter": lambda x: x.scatter(1, x.max(1, keepdim=True)[1], x[:, :1]),
    "scatter of more updates than indices": lambda x: x.scatter(
        1, torch.zeros(2, 1, 4, dtype=torch.int64), x),
    "scatter_add": lambda x: x.scatter_add(2, ids(x), x),
    "scatter_add in place": lambda x: torch.zeros_like(x).scatter_add_(1, ids(x).clamp(max=2), x),
    "scatter_reduce": lambda x: x.scatter_reduce(2, ids(x), x, "amax"),
    "affine_grid": lambda x: F.affine_grid(x[:, :2, :3], [x.shape[0], 1, 4, 5], False),
    "affine_grid of a volume": lambda x: F.affine_grid(
        x[..., :4], [x.shape[0], 2, 3, 1, 2], align_corners=False),
    "affine_grid of one map": lambda x: F.affine_grid(
        TABLE[:2, :3].expand(x.shape[0], 2, 3), [x.shape[0], 1, 3, 3], False),
    "topk": lambda x: x.topk(2),
    "topk of the smallest": lambda x: x.topk(2, dim=1, largest=False),
    "baddbmm": lambda x: torch.baddbmm(TABLE[0], x, x.transpose(1, 2) @ x, beta=0.5, alpha=2),
    "baddbmm of nothing else": lambda x: torch.baddbmm(x, x, TABLE[None, :, :].expand(
        x.size(0), -1, -1).transpose(1, 2)[:, :, :4] @ TABLE, beta=0),
    "addbmm": lambda x: torch.addbmm(TABLE[0], x, x.transpose(1, 2) @ x),
    "addmm": lambda x: torch.addmm(TABLE[0, :3], x[:, 0], TABLE.t()[:, :3], beta=0.5),
}  # fmt: skip


@pytest.mark.parametrize("function", BATCHED.values(), ids=BATCHED)
def test_at_two_batch_sizes(function):
    model = compiled(Function(function), torch.randn(2, 3, 5))
    for batch in (2, 5):
        assert_same(model, function, torch.randn(batch, 3, 5))


class Anchors(nn.Module):
    """Places of a grid and the stride of its cells, as YOLO's heads compute them."""

    def __init__(self):
        super().__init__()
        self.register_buffer("strides", torch.tensor([8.0, 16.0]))

    def forward(self, x):
        rows, columns = torch.arange(3) + 0.5, torch.arange(5) + 0.5
        y, z = torch.meshgrid(rows, columns, indexing="ij")
        places = torch.stack((z, y), -1).view(-1, 2)
        return x.flatten(1)[..., None] * places * torch.full((15, 1), self.strides[1])


def test_a_tensor_filled_with_a_number_of_the_module():
    module = Anchors()
    model = compiled(module, torch.randn(2, 3, 5))
    assert_same(model, module, torch.randn(4, 3, 5))


# -- a dynamic length ---------------------------------------------------------------------------


def diagonal(x):
    places = torch.arange(x.size(1) - 1)
    return x[:, places, places.clamp(max=5)]


LONG = {
    "glu of a computed half": lambda x: F.glu(torch.cat([x, x + 1], 1), 1),
    "glu beside it": lambda x: F.glu(x),
    "repeat": lambda x: x[:, :1].repeat(1, x.size(1), 1),
    "positions": lambda x: torch.arange(x.size(1)).unsqueeze(0).expand(x.size(0), -1),
    "zeros": lambda x: torch.zeros(x.size(0), x.size(1), 2),
    "full": lambda x: torch.full((x.size(1), x.size(1)), -2.5)[None] * x[..., :1],
    "reshape_as": lambda x: x.flatten(1).reshape_as(x) * 2,
    "var": lambda x: x.var(1),
    "var of doubles": lambda x: x.double().var(1),
    "std over two": lambda x: x.std((0, 1), correction=0.5),
    "topk of a size": lambda x: torch.topk(x, min(2, x.size(2)), 1),
    "topk of a computed size": lambda x: torch.topk(x.flatten(1), x.size(1), 1),
    "indices": diagonal,
    "gather": lambda x: torch.gather(
        x, 1, torch.arange(x.size(1))[None, :, None].clamp(max=2).expand(x.size(0), -1, 6)),
}  # fmt: skip


def with_lengths(function, x):
    """The module as torch.export gives it, with a dynamic batch and a dynamic length."""
    sizes = {0: torch.export.Dim("batch", max=64), 1: torch.export.Dim("length", min=3, max=64)}
    program = torch.export.export(
        Function(function), (x,), dynamic_shapes=((sizes,),), strict=False
    )
    return program.module(check_guards=False)


@pytest.mark.parametrize("function", LONG.values(), ids=LONG)
def test_at_two_lengths(function):
    x = torch.randn(2, 4, 6)
    model = compiled(with_lengths(function, x), x)
    for shape in ((2, 4, 6), (3, 7, 6)):
        assert_same(model, function, torch.randn(shape))


def test_an_index_of_no_axes_keeps_the_axis():
    def function(x):
        return x.index_select(1, torch.tensor(2)), x[:, torch.tensor(2)]

    done = sparqc.compile(Function(function), (torch.randn(2, 3, 5),), passes="float")
    assert_same(done.model, function, torch.randn(5, 3, 5))
