"""How much arithmetic an operator does."""

from __future__ import annotations

import math
from collections.abc import Callable

from sparqc.ir.graph import Node, Shape, Value
from sparqc.predict.engine import elements

#: Operators that multiply and add in a number that is not counted here.
UNCOUNTED = frozenset({"nn.einsum", "onnx.LSTM", "onnx.GRU", "onnx.RNN"})


def macs(node: Node) -> int | None:
    """Multiply-adds of one operator: 0 for one that does not multiply matrices, None where a size
    is not known."""
    if node.op in UNCOUNTED:
        return None
    counted = _COUNTED.get(node.op)
    return counted(node) if counted else 0


def _shape(node: Node, operand: str) -> Shape | None:
    value = node.operands[operand]
    return value.shape if isinstance(value, Value) else None


def _convolution(node: Node) -> int | None:
    """Each output element takes one window of C / groups channels: w is [K, C / groups, ...]."""
    return _times(elements(node.output.shape), _behind_first(_shape(node, "w")))


def _transposed(node: Node) -> int | None:
    """Each input element is spread over K / groups channels: w is [C, K / groups, ...]."""
    return _times(elements(_shape(node, "x")), _behind_first(_shape(node, "w")))


def _linear(node: Node) -> int | None:
    return _times(elements(node.output.shape), _at(_shape(node, "w"), 1))


def _gemm(node: Node) -> int | None:
    inner = _at(_shape(node, "b"), 1 if node.attributes["transB"] else 0)
    return _times(elements(node.output.shape), inner)


def _matmul(node: Node) -> int | None:
    return _times(elements(node.output.shape), _at(_shape(node, "a"), -1))


def _attention(node: Node) -> int | None:
    """Scores q [.., L, E] x k [.., S, E], and their product with v [.., S, F]."""
    length = _at(_shape(node, "k"), -2)
    scores = _times(elements(_shape(node, "q")), length)
    weighted = _times(elements(node.output.shape), length)
    return None if scores is None or weighted is None else scores + weighted


_COUNTED: dict[str, Callable[[Node], int | None]] = {
    "nn.conv": _convolution,
    "nn.conv_transpose": _transposed,
    "nn.linear": _linear,
    "nn.gemm": _gemm,
    "nn.matmul": _matmul,
    "nn.attention": _attention,
}


def _behind_first(shape: Shape | None) -> int | None:
    sizes = [d for d in (shape or ())[1:] if isinstance(d, int)]
    return math.prod(sizes) if shape is not None and len(sizes) == len(shape) - 1 else None


def _at(shape: Shape | None, index: int) -> int | None:
    if shape is None or not -len(shape) <= index < len(shape):
        return None
    size = shape[index]
    return size if isinstance(size, int) else None


def _times(first: int | None, second: int | None) -> int | None:
    return None if first is None or second is None else first * second
