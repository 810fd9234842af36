"""Axes, indices and other numbers that operators take as operands or attributes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import onnx
from onnx.numpy_helper import to_array

from sparqc.ir.graph import TensorType
from sparqc.ir.types import Shape

#: Which operands are lists, whose rank is 1.
_LISTS: Mapping[str, tuple[int, ...]] = {
    "Reshape": (1,), "Tile": (1,), "Expand": (1,), "ConstantOfShape": (0,), "Pad": (1,),
    "Slice": (1, 2, 3, 4), "Unsqueeze": (1,), "Squeeze": (1,), "Resize": (2, 3), "Split": (1,),
}  # fmt: skip
#: Operators whose `axis` may stand one behind the last one, or means something of its own.
_BEHIND = frozenset({"Flatten", "OneHot", "ConcatFromSequence", "SplitToSequence"})
_OWN = frozenset({"QuantizeLinear", "DequantizeLinear", "Softmax", "LogSoftmax", "Hardmax"})

#: The stored numbers of the operands (None of others), their shapes, and the node's attributes.
Numbers: TypeAlias = Sequence[Any]
Shapes: TypeAlias = Sequence[Shape | None]
Attributes: TypeAlias = Mapping[str, Any]


def operand_faults(
    node: onnx.NodeProto, types: Mapping[str, TensorType], stored: Mapping[str, onnx.TensorProto]
) -> Iterator[str]:
    """A sentence for each number that a node is given and cannot take; `stored` has the small
    constants."""
    find = _FIND.get(node.op_type)
    has_axis = node.op_type not in _OWN and any(a.name == "axis" for a in node.attribute)
    told = has_axis or node.op_type in _LISTS or find is not None
    if not told or node.domain not in ("", "ai.onnx"):
        return
    shapes = [types.get(name, TensorType()).shape for name in node.input]
    for index in _LISTS.get(node.op_type, ()):
        shape = shapes[index] if index < len(shapes) and node.input[index] else None
        if shape is not None and len(shape) != 1:
            yield f"its operand {node.input[index]!r} is no list, it has {len(shape)} axes"
    attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    yield from _axis(node.op_type, attributes.get("axis"), shapes)
    if find is not None:
        tensors = (stored.get(name) for name in node.input)
        padded = [*(None if t is None else to_array(t) for t in tensors), *[None] * 4]
        yield from find(padded, [*shapes, *[None] * 4], attributes)


def _axis(op: str, axis: Any, shapes: Shapes) -> Iterator[str]:
    known = isinstance(axis, int) and op not in _OWN and shapes and shapes[0] is not None
    if known and shapes[0] is not None:
        rank = len(shapes[0]) + (op in _BEHIND)
        if not -rank <= axis < max(rank, 1):
            yield f"axis is {axis}, its operand has {len(shapes[0])} axes"


def _resize(numbers: Numbers, shapes: Shapes, attributes: Attributes) -> Iterator[str]:
    scales = numbers[2]
    if scales is not None and not (np.isfinite(scales) & (scales > 0)).all():
        yield f"its scales are {scales.tolist()}"


def _top_k(numbers: Numbers, shapes: Shapes, attributes: Attributes) -> Iterator[str]:
    if numbers[1] is not None and numbers[1].size and numbers[1].flat[0] < 0:
        yield f"k is {numbers[1].flat[0]}"


def _split(numbers: Numbers, shapes: Shapes, attributes: Attributes) -> Iterator[str]:
    if numbers[1] is not None and (numbers[1] < 0).any():
        yield f"the sizes of its parts are {numbers[1].tolist()}"


def _tile(numbers: Numbers, shapes: Shapes, attributes: Attributes) -> Iterator[str]:
    if numbers[1] is not None and (numbers[1] < 0).any():
        yield f"it repeats {numbers[1].tolist()} times"


def _cumsum(numbers: Numbers, shapes: Shapes, attributes: Attributes) -> Iterator[str]:
    if numbers[1] is not None and numbers[1].size:
        yield from _axis("CumSum", int(numbers[1].flat[0]), shapes)


def _gather(numbers: Numbers, shapes: Shapes, attributes: Attributes) -> Iterator[str]:
    x, indices, axis = shapes[0], numbers[1], attributes.get("axis", 0)
    if x is None or indices is None or not -len(x) <= axis < len(x):
        return
    size = x[axis]
    if isinstance(size, int) and ((indices < -size) | (indices >= size)).any():
        worst = int(max(indices.min(), indices.max(), key=abs))
        yield f"it takes the entry {worst} of {size} along axis {axis}"


def _scatter(numbers: Numbers, shapes: Shapes, attributes: Attributes) -> Iterator[str]:
    ranks = [len(s) for s in shapes[:3] if s is not None]
    if len(set(ranks)) > 1:
        yield f"its operands have {' and '.join(map(str, ranks))} axes"
    else:
        yield from _gather(numbers, shapes, attributes)


def _pad(numbers: Numbers, shapes: Shapes, attributes: Attributes) -> Iterator[str]:
    x, pads = shapes[0], numbers[1]
    if x is None or pads is None or numbers[3] is not None or pads.size != 2 * len(x):
        return
    for size, before, after in zip(x, pads[: len(x)], pads[len(x) :], strict=True):
        if isinstance(size, int) and size + int(before) + int(after) < 0:
            yield f"its pads {pads.tolist()} take more than there is"
            return


_FIND: Mapping[str, Callable[[Numbers, Shapes, Attributes], Iterator[str]]] = {
    "Resize": _resize, "TopK": _top_k, "Split": _split, "Tile": _tile, "CumSum": _cumsum,
    "Gather": _gather, "GatherElements": _gather, "ScatterElements": _scatter, "Pad": _pad,
}  # fmt: skip
