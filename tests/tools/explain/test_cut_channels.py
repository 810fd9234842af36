"""Queries, keys and values of one matrix product: which forms TensorRT-RTX runs in INT8.

Each form is one network with scales for each channel of the weight; the compiler is asked too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import onnx
import pytest
from onnx import helper

from sparqc.tools.engine.rtx import compile_rtx
from sparqc.tools.explain.prediction import predict
from tests.engine_models import Net

BATCH, TOKENS, HEADS, SIZE = 2, 16, 4, 16
WIDTH = HEADS * SIZE
BY_HEADS = (0, 2, 1, 3)


class Cut(Net):
    """`y` is the product of quantized data with a weight, and its bias."""

    def __init__(self, parts: int = 3) -> None:
        super().__init__(("batch", TOKENS, WIDTH))
        width = parts * WIDTH
        weight = self.weight("w", (WIDTH, width), 1)
        product = self.op("MatMul", self.qdq("x"), weight, name="m")
        self.y = self.op("Add", product, self.floats(width))

    def floats(self, *shape: int) -> str:
        return self.constant(f"c{len(self.constants)}", np.full(shape, 0.5, np.float32))

    def view(self, x: str, *shape: int) -> str:
        sizes = self.constant(f"shape{len(self.constants)}", np.int64([0, *shape]))
        return self.op("Reshape", x, sizes)

    def transposed(self, x: str, perm: Sequence[int] = BY_HEADS) -> str:
        return self.op("Transpose", x, perm=list(perm))

    def split(self, x: str, sizes: Sequence[int], axis: int = -1) -> list[str]:
        given = self.constant("sizes", np.int64(sizes))
        outs = [f"part{i}" for i in range(len(sizes))]
        self.nodes.append(helper.make_node("Split", [x, given], outs, axis=axis))
        return outs

    def taken(self, x: str, axis: int, count: int = 3) -> list[str]:
        """The single entries of an axis."""
        indices = [self.constant(f"i{i}", np.int64(i)) for i in range(count)]
        return [self.op("Gather", x, i, axis=axis) for i in indices]

    def thirds(self) -> list[str]:
        return self.split(self.y, [WIDTH] * 3)

    def heads(self, x: str, perm: Sequence[int] = BY_HEADS) -> str:
        return self.transposed(self.view(x, TOKENS, HEADS, SIZE), perm)

    def attention(self, q: str, k: str, v: str) -> str:
        turned = self.transposed(k, (0, 1, 3, 2))
        return self.op("MatMul", self.op("Softmax", self.op("MatMul", q, turned)), v)


def by_heads(perm: Sequence[int]) -> Callable[[Cut], Sequence[str]]:
    return lambda net: [net.heads(part, perm) for part in net.thirds()]


def whole(net: Cut) -> Sequence[str]:
    q, k, v = net.thirds()
    scores = net.op("MatMul", q, net.transposed(k, (0, 2, 1)))
    return [net.op("MatMul", net.op("Softmax", scores), v)]


def stacks(
    perm: Sequence[int], shape: Sequence[int] = (3, HEADS, SIZE), axis: int = 0
) -> Callable[[Cut], Sequence[str]]:
    """[batch, tokens, 3, heads, size], transposed, cut, multiplied by stacks of constants."""

    def build(net: Cut) -> Sequence[str]:
        laid_out = net.transposed(net.view(net.y, TOKENS, *shape), perm)
        sizes = [(BATCH, TOKENS, *shape)[a] for a in perm]
        count = sizes.pop(axis)
        weight = net.floats(sizes[1], sizes[3], 8)
        return [net.op("MatMul", part, weight) for part in net.taken(laid_out, axis, count)]

    return build


def stacked(use: Callable[[Cut, list[str]], Sequence[str]]) -> Callable[[Cut], Sequence[str]]:
    """Stacks of matrices that are used in some way."""

    def build(net: Cut) -> Sequence[str]:
        laid_out = net.transposed(net.view(net.y, TOKENS, 3, HEADS, SIZE), (2, 0, 3, 1, 4))
        return use(net, net.taken(laid_out, 0))

    return build


def changed(kind: str, *constant: int) -> Callable[[Cut, list[str]], Sequence[str]]:
    """Attention whose queries something is done to first."""

    def use(net: Cut, parts: list[str]) -> Sequence[str]:
        q = net.op(kind, parts[0], *([net.floats(*constant)] if kind != "Relu" else []))
        return [net.attention(q, *parts[1:])]

    return use


def entries(axis: int, *shape: int) -> Callable[[Cut], Sequence[str]]:
    """[batch, tokens, *shape], the entries of the axis of three, each transposed."""
    return lambda net: [
        net.transposed(part) for part in net.taken(net.view(net.y, TOKENS, *shape), axis)
    ]


FLOAT: dict[str, Callable[[Cut], Sequence[str]]] = {
    "by heads": by_heads(BY_HEADS),
    "by heads, keys turned": by_heads((0, 2, 3, 1)),
    "any permutation": by_heads((1, 0, 2, 3)),
    "attention": lambda n: [n.attention(*(n.heads(p) for p in n.thirds()))],
    "quantized attention": lambda n: [n.attention(*(n.qdq(n.heads(p)) for p in n.thirds()))],
    "also read behind": lambda n: [*(parts := by_heads(BY_HEADS)(n)), n.op("Relu", parts[0])],
    "one third unused": lambda n: [n.heads(p) for p in n.thirds()[:2]],
    "entries of 3, heads": entries(2, 3, HEADS, SIZE),
    "entries of heads, 3": entries(3, HEADS, 3, SIZE),
    "entries of heads, size, 3": entries(4, HEADS, SIZE, 3),
    "stacks": stacks((2, 0, 3, 1, 4)),
    "stacks, turned": stacks((2, 0, 3, 4, 1)),
    "stacks, heads first": stacks((2, 3, 0, 1, 4)),
    "stacks, 3 behind the heads": stacks((3, 0, 2, 1, 4), (HEADS, 3, SIZE)),
    "stacked attention": stacked(lambda n, parts: [n.attention(*parts)]),
    "stacked, a factor": stacked(changed("Mul")),
    "stacked, one unused": stacked(
        lambda n, parts: [n.op("MatMul", p, n.floats(HEADS, SIZE, 8)) for p in parts[:2]]
    ),
}
INT8: dict[str, Callable[[Cut], Sequence[str]]] = {
    "whole": whole,
    "whole, without attention": lambda n: n.thirds(),
    "one whole": lambda n: [*map(n.heads, (parts := n.thirds())[:2]), parts[2]],
    "not transposed": lambda n: [n.view(p, TOKENS, HEADS, SIZE) for p in n.thirds()],
    "a factor in front of the heads": lambda n: [
        n.heads(n.op("Mul", p, n.floats())) for p in n.thirds()
    ],
    "unequal": lambda n: [
        n.transposed(n.view(p, TOKENS, -1, SIZE)) for p in n.split(n.y, [96, 64, 32])
    ],
    "also read in front": lambda n: [n.y, *map(n.heads, n.thirds())],
    "heads apart": lambda n: [
        n.transposed(p) for p in n.split(n.view(n.y, TOKENS, 3 * HEADS, SIZE), [HEADS] * 3, 2)
    ],
    "two axes of tokens": lambda n: [
        n.transposed(n.view(p, 4, 4, HEADS, SIZE), (0, 1, 3, 2, 4)) for p in n.thirds()
    ],
    "stacks, tokens in front": stacks((2, 1, 3, 0, 4)),
    "stacks that stay": stacks((2, 0, 1, 3, 4)),
    "stacks, 3 behind the size": stacks((4, 0, 2, 1, 3), (HEADS, SIZE, 3)),
    "stacks, 3 in the middle": stacks((0, 2, 3, 1, 4), axis=1),
    "stacked, not multiplied": stacked(lambda _, parts: parts),
    "stacked, one not multiplied": stacked(
        lambda n, parts: [
            *(n.op("MatMul", p, n.floats(HEADS, SIZE, 8)) for p in parts[:2]),
            parts[2],
        ]
    ),
    "stacked, one matrix": stacked(
        lambda n, parts: [n.op("MatMul", p, n.floats(SIZE, 8)) for p in parts]
    ),
    "stacked, an activation": stacked(changed("Relu")),
    "stacked, a sum": stacked(changed("Add", HEADS, 1, SIZE)),
    "stacked, a divisor": stacked(changed("Div")),
}


def check(model: onnx.ModelProto, int8: set[str]) -> None:
    report = compile_rtx(model, batch=BATCH)
    assert report.accepted, report.errors
    assert set(report.int8_nodes) == int8
    assert set(predict(model, "tensorrt-rtx", batch=BATCH).int8_nodes) == int8


@pytest.mark.parametrize("form", FLOAT)
def test_by_heads_it_runs_in_float(form: str) -> None:
    net = Cut()
    check(net.model(*FLOAT[form](net)), set())


@pytest.mark.parametrize("form", INT8)
def test_else_it_runs_in_int8(form: str) -> None:
    net = Cut()
    check(net.model(*INT8[form](net)), {"m"})


@pytest.mark.parametrize(("parts", "int8"), [(1, {"m"}), (2, set()), (3, set()), (4, {"m"})])
def test_stacks_of_two_and_three(parts: int, int8: set[str]) -> None:
    net = Cut(parts)
    check(net.model(*stacks((2, 0, 3, 1, 4), (parts, HEADS, SIZE))(net)), int8)


@pytest.mark.parametrize("parts", [2, 4])
def test_two_and_four_parts_stay_together(parts: int) -> None:
    net = Cut(parts)
    check(net.model(*map(net.heads, net.split(net.y, [WIDTH] * parts))), {"m"})
