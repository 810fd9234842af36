"""Channels, kernels and windows that do not fit together, which shape inference passes over."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from math import prod
from typing import Any, TypeAlias

import onnx

from sparqc.ir.graph import TensorType
from sparqc.ir.types import Shape

#: What is looked at: the attributes, the shapes of the operands, and that of the first output.
Attributes: TypeAlias = Mapping[str, Any]
Shapes: TypeAlias = Sequence[Shape | None]


def layer_faults(node: onnx.NodeProto, types: Mapping[str, TensorType]) -> Iterator[str]:
    """A sentence for each thing about the shapes of a node that no runtime can compute."""
    find = _FIND.get(node.op_type) if node.domain in ("", "ai.onnx") else None
    if find is not None:
        attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        shapes = [types.get(name, TensorType()).shape for name in node.input]
        output = types.get(node.output[0], TensorType()).shape
        yield from find(attributes, shapes, output)


def _conv(attributes: Attributes, shapes: Shapes, output: Shape | None) -> Iterator[str]:
    x, w, b = _three(shapes)
    group = attributes.get("group", 1)
    if group < 1:
        yield f"group is {group}"
    elif w is not None:
        if x is not None and _differ(x[1], _times(w[1], group)):
            yield f"x has {x[1]} channels, the weight takes {_times(w[1], group)}"
        if isinstance(w[0], int) and w[0] % group:
            yield f"its {w[0]} output channels do not divide into {group} groups"
        yield from _bias(b, w[0])
    yield from _kernel(attributes, w)
    yield from _windows(attributes, shapes, output)


def _conv_transpose(attributes: Attributes, shapes: Shapes, output: Shape | None) -> Iterator[str]:
    x, w, b = _three(shapes)
    group = attributes.get("group", 1)
    if group < 1:
        yield f"group is {group}"
    elif w is not None:
        if x is not None and _differ(x[1], w[0]):
            yield f"x has {x[1]} channels, the weight takes {w[0]}"
        if isinstance(w[0], int) and w[0] % group:
            yield f"its {w[0]} input channels do not divide into {group} groups"
        yield from _bias(b, _times(w[1], group))
    yield from _kernel(attributes, w)
    if output is not None and any(isinstance(d, int) and d < 0 for d in output):
        yield f"its output would have the shape {_text(output)}"


def _windows(attributes: Attributes, shapes: Shapes, output: Shape | None) -> Iterator[str]:
    x, w, _ = _three(shapes)
    kernel: Sequence[Any] = attributes.get("kernel_shape") or (w or ())[2:]
    if x is None or any(d == 0 for d in x) or attributes.get("ceil_mode", 0):
        return
    axes = len(x) - 2
    pads = attributes.get("pads") or [0] * 2 * axes
    dilations = attributes.get("dilations") or [1] * axes
    if attributes.get("auto_pad", b"NOTSET") not in (b"NOTSET", b"VALID"):
        return
    if not len(kernel) == len(dilations) == len(pads) // 2 == axes:
        return
    for i, size in enumerate(x[2:]):
        if not isinstance(size, int) or not isinstance(kernel[i], int):
            continue
        if (kernel[i] - 1) * dilations[i] + 1 > size + pads[i] + pads[i + axes]:
            yield f"its window is larger than its input: {_text(tuple(kernel))} of {_text(x)}"
            return


def _norm(attributes: Attributes, shapes: Shapes, output: Shape | None) -> Iterator[str]:
    x = shapes[0] if shapes else None
    axis = attributes.get("axis", -1)
    for shape in shapes[1:3]:
        if x is not None and shape is not None and -len(x) <= axis < len(x):
            yield from _fits("its scale or bias", shape, x[axis:])


def _instance_norm(attributes: Attributes, shapes: Shapes, output: Shape | None) -> Iterator[str]:
    x, _, _ = _three(shapes)
    for shape in shapes[1:3] if x is not None else ():
        yield from _bias(shape, x[1] if x else None)


def _prelu(attributes: Attributes, shapes: Shapes, output: Shape | None) -> Iterator[str]:
    x, slope = (*shapes, None, None)[:2]
    if x is not None and slope is not None:
        yield from _fits("its slope", slope, x)


def _depth_to_space(attributes: Attributes, shapes: Shapes, output: Shape | None) -> Iterator[str]:
    x, size = (*shapes, None)[0], attributes.get("blocksize", 1)
    if size < 1 or (x and len(x) > 1 and isinstance(x[1], int) and x[1] % (size * size)):
        yield f"blocks of {size} do not fit {_text(x or ())}"


def _space_to_depth(attributes: Attributes, shapes: Shapes, output: Shape | None) -> Iterator[str]:
    x, size = (*shapes, None)[0], attributes.get("blocksize", 1)
    if size < 1 or any(isinstance(d, int) and d % size for d in (x or ())[2:]):
        yield f"blocks of {size} do not fit {_text(x or ())}"


def _transpose(attributes: Attributes, shapes: Shapes, output: Shape | None) -> Iterator[str]:
    perm, x = attributes.get("perm"), shapes[0] if shapes else None
    if perm is not None and x is not None and sorted(perm) != list(range(len(x))):
        yield f"perm {list(perm)} does not order the {len(x)} axes of its input"


def _reshape(attributes: Attributes, shapes: Shapes, output: Shape | None) -> Iterator[str]:
    before, after = _count(shapes[0]), _count(output)
    if before is not None and after is not None and before != after:
        yield f"{before} elements cannot take the shape {_text(output or ())}"


# -- parts ---------------------------------------------------------------------------------------


def _three(shapes: Shapes) -> tuple[Shape | None, Shape | None, Shape | None]:
    """The shapes of x, w and b; None where one is unknown or no batch of channels."""
    x, w, b = (*shapes, None, None, None)[:3]
    return x if x and len(x) > 1 else None, w if w and len(w) > 1 else None, b


def _kernel(attributes: Attributes, w: Shape | None) -> Iterator[str]:
    kernel = attributes.get("kernel_shape")
    if kernel is not None and w is not None and any(map(_differ, kernel, w[2:])):
        yield f"kernel_shape is {_text(tuple(kernel))}, its weight has {_text(w)}"


def _bias(b: Shape | None, channels: Any) -> Iterator[str]:
    if b is not None and (len(b) != 1 or _differ(b[0], channels)):
        yield f"its bias has the shape {_text(b)} for {channels} channels"


def _fits(what: str, small: Shape, large: Shape) -> Iterator[str]:
    """A sentence where one shape cannot be broadcast to another."""
    pairs = zip(reversed(small), reversed(large), strict=False)
    if len(small) > len(large) or any(a != 1 and _differ(a, b) for a, b in pairs):
        yield f"{what} has the shape {_text(small)} for {_text(large)}"


def _differ(a: Any, b: Any) -> bool:
    return isinstance(a, int) and isinstance(b, int) and a != b


def _times(dim: Any, factor: int) -> Any:
    return dim * factor if isinstance(dim, int) else dim


def _count(shape: Shape | None) -> int | None:
    known = shape is not None and all(isinstance(d, int) for d in shape)
    return prod(int(d) for d in shape) if known and shape is not None else None


def _text(shape: Shape) -> str:
    return f"[{', '.join('?' if str(d).startswith('?') else str(d) for d in shape)}]"


_FIND: Mapping[str, Callable[[Attributes, Shapes, Shape | None], Iterator[str]]] = {
    "Conv": _conv, "ConvTranspose": _conv_transpose, "MaxPool": _windows, "AveragePool": _windows,
    "LpPool": _windows, "Transpose": _transpose, "Reshape": _reshape, "PRelu": _prelu,
    "LayerNormalization": _norm, "InstanceNormalization": _instance_norm,
    "DepthToSpace": _depth_to_space, "SpaceToDepth": _space_to_depth,
}  # fmt: skip
