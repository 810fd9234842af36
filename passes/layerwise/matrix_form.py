"""A convolution or matrix product as `y = W x` over samples: one for each place of the output."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import cast

import torch
from torch import Tensor
from torch.nn.functional import pad

from sparqc.ir.graph import Node, Value
from sparqc.ir.weighted import Weighted

#: Samples that determine a layer: for each column, and at least.  More cost time alone.
PER_COLUMN, LEAST = 10, 1 << 14


@dataclass(frozen=True)
class Images:
    """Which images a batch holds, of how many."""

    first: int
    total: int


@dataclass(frozen=True)
class MatrixForm(ABC):
    """What a layer's weight, input and output look like as matrices, for each of G groups.

    Columns are ordered with the reduction axis last, so that the four neighbours of 2:4 along that
    axis are neighbours here.
    """

    groups: int
    rows: int  # K: output channels of a group
    columns: int  # N: what one output channel of a group sums over

    @abstractmethod
    def to_rows(self, weight: Tensor) -> Tensor:
        """The weight as [G, K, N]."""

    @abstractmethod
    def to_weight(self, rows: Tensor) -> Tensor:
        """[G, K, N] as the weight: the inverse of `to_rows`."""

    @abstractmethod
    def inputs(self, x: Tensor, images: Images) -> Tensor:
        """The samples [G, n, N] of the layer's input."""

    @abstractmethod
    def outputs(self, y: Tensor, images: Images) -> Tensor:
        """The same samples [G, n, K] of its output."""

    def per_channel(self, values: Tensor) -> Tensor:
        """[G, K] as one number for each output channel."""
        return values.reshape(-1)

    def places(self, count: int, there: int, images: Images) -> Tensor:
        """Which of `there` places of each of `count` images are taken, [count, m].

        Fewer than all where there are plenty; then each image gives others, and which ones depends
        on its number alone, so that the cut into batches does not matter.
        """
        wanted = max(LEAST, PER_COLUMN * self.columns)
        taken = min(there, -(-wanted // max(1, images.total)))
        if taken == there:
            return torch.arange(there).expand(count, there)
        mixed = torch.randperm(there, generator=torch.Generator().manual_seed(there))
        starts = torch.arange(images.first, images.first + count)[:, None] * taken
        return mixed[(starts + torch.arange(taken)) % there]


@dataclass(frozen=True)
class ProductForm(MatrixForm):
    """`x @ W.T`, or `x @ W` where the weight is stored with the reduction axis first."""

    transposed: bool

    def to_rows(self, weight: Tensor) -> Tensor:
        """The weight [K, N] or [N, K] as [1, K, N]."""
        return (weight.T if self.transposed else weight)[None].contiguous()

    def to_weight(self, rows: Tensor) -> Tensor:
        """[1, K, N] as the weight."""
        return (rows[0].T if self.transposed else rows[0]).contiguous()

    def inputs(self, x: Tensor, images: Images) -> Tensor:
        """x [..., N] as [1, n, N]; the first dimension counts images."""
        return self._taken(x, images)

    def outputs(self, y: Tensor, images: Images) -> Tensor:
        """y [..., K] as [1, n, K]."""
        return self._taken(y, images)

    def _taken(self, x: Tensor, images: Images) -> Tensor:
        count = x.shape[0] if x.dim() > 1 else 1
        x = x.reshape(count, -1, x.shape[-1])
        places = self.places(count, x.shape[1], images)
        if places.shape[1] < x.shape[1]:
            x = x[torch.arange(count)[:, None], places]
        return x.reshape(1, -1, x.shape[-1])


@dataclass(frozen=True)
class ConvForm(MatrixForm):
    """A convolution [K, C / G, *kernel] of any spatial rank; columns are (*kernel, C / G)."""

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    pads: tuple[int, ...]  # begins, then ends
    dilations: tuple[int, ...]

    def to_rows(self, weight: Tensor) -> Tensor:
        """The weight as [G, K, N]."""
        return weight.movedim(1, -1).reshape(self.groups, self.rows, self.columns).contiguous()

    def to_weight(self, rows: Tensor) -> Tensor:
        """[G, K, N] as [G * K, C, *kernel]."""
        shape = (self.groups * self.rows, *self.kernel, self.columns // prod(self.kernel))
        return rows.reshape(shape).movedim(-1, 1).contiguous()

    def inputs(self, x: Tensor, images: Images) -> Tensor:
        """The patches of x [B, G * C, *size] as [G, n, N]."""
        windows = self._windows(x)
        taken = self._taken(windows, images)  # [B, m, G, C, *kernel]
        taken = taken.movedim(3, -1)
        return taken.reshape(-1, self.groups, self.columns).transpose(0, 1)

    def outputs(self, y: Tensor, images: Images) -> Tensor:
        """y [B, G * K, *out] as [G, n, K]."""
        taken = self._taken(y.movedim(1, -1), images)
        return taken.reshape(-1, self.groups, self.rows).transpose(0, 1)

    def _windows(self, x: Tensor) -> Tensor:
        """A view [B, *out, G, C, *kernel] of the padded input."""
        rank = len(self.kernel)
        pairs = [(self.pads[a], self.pads[a + rank]) for a in reversed(range(rank))]
        x = pad(x, [p for pair in pairs for p in pair]) if any(self.pads) else x
        x = x.movedim(1, -1).contiguous().movedim(-1, 1)  # channels lie side by side
        for axis in range(rank):
            extent = self.dilations[axis] * (self.kernel[axis] - 1) + 1
            x = x.unfold(2 + axis, extent, self.strides[axis])
            x = x[..., :: self.dilations[axis]]
        x = x.reshape(x.shape[0], self.groups, -1, *x.shape[2:])  # [B, G, C, *out, *kernel]
        return x.movedim((1, 2), (1 + rank, 2 + rank))

    def _taken(self, x: Tensor, images: Images) -> Tensor:
        """x [B, *out, ...] as [B, m, ...] at the places that are taken."""
        count, out = x.shape[0], x.shape[1 : 1 + len(self.kernel)]
        places = self.places(count, prod(out), images)
        image = torch.arange(count)[:, None]
        return x[(image, *_unravel(places, out))]


def _unravel(places: Tensor, shape: Sequence[int]) -> list[Tensor]:
    indices: list[Tensor] = []
    for size in reversed(shape):
        indices.insert(0, places % size)
        places = places // size
    return indices


def matrix_form(found: Weighted) -> MatrixForm | str:
    """The matrix form of a layer, or the reason why it has none here."""
    node, shape = found.node, found.weight.shape
    if shape is None or not all(isinstance(d, int) for d in shape):
        return "the shape of its weight is not known"
    sizes = cast(tuple[int, ...], shape)
    if node.op == "nn.conv":
        return _conv_form(node, sizes)
    if len(sizes) != 2 or found.spec.output_axis != -1:
        return f"{node.op} is not one of the layers that can be solved"
    if node.op == "nn.gemm" and (reason := _gemm_refusal(node)):
        return reason
    transposed = found.reduction_axis % 2 == 0
    columns, rows = sizes if transposed else sizes[::-1]
    return ProductForm(1, rows, columns, transposed)


def _conv_form(node: Node, shape: tuple[int, ...]) -> MatrixForm:
    rank, groups = len(shape) - 2, cast(int, node.attributes["groups"])
    strides, dilations, pads = (
        _spread(cast(tuple[int, ...], node.attributes[name]), length)
        for name, length in (("strides", rank), ("dilations", rank), ("pads", 2 * rank))
    )
    rows, columns = shape[0] // groups, prod(shape[1:])
    return ConvForm(groups, rows, columns, shape[2:], strides, pads, dilations)


def _spread(items: tuple[int, ...], length: int) -> tuple[int, ...]:
    """Attributes default to those of 2-D; other ranks repeat them."""
    return items if len(items) == length else (items[0],) * length


def _gemm_refusal(node: Node) -> str:
    if node.attributes["transA"] or node.attributes["alpha"] != 1:
        return "its input is transposed or scaled"
    c = node.operands.get("c")
    vector = isinstance(c, Value) and c.type.rank == 1 and node.attributes["beta"] == 1
    return "" if c is None or vector else "what it adds is not a bias"
