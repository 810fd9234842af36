"""Where INT8 codes can flow in a Q/DQ graph: forwards behind a DQ, backwards in front of a Q."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field
from math import prod
from typing import cast

import numpy as np

from sparqc.ir.constants import constant_value
from sparqc.ir.graph import Graph, Node, Value
from sparqc.ir.quantizers import CONVERSIONS, DEQUANTIZE, QUANTIZE
from sparqc.ir.vocabulary.table import OperatorTable
from sparqc.ir.weighted import Weighted
from sparqc.lang.ast import FusionDecl, ShareDecl
from sparqc.match.match import Index, Match, Matcher
from sparqc.rewrite.context import Context

#: What `weight_fault` says of a weight without quantizers.
FLOAT_WEIGHT = "its weight is float"


@dataclass(frozen=True)
class Movement:
    """An operator that moves data without changing it."""

    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]


@dataclass
class Flow:
    """Which values may be INT8 codes.

    `codes`: values that are dequantized codes, also behind data movement, with their scale.
    `wanted`: values that all of their readers quantize with that scale, also behind movement.
    """

    movements: Mapping[Node, Movement]
    #: The scale of each Q and DQ that is symmetric INT8 of a whole tensor, None of others.
    scales: Mapping[Node, float | None]
    codes: dict[Value, float] = field(default_factory=dict)
    wanted: dict[Value, float] = field(default_factory=dict)


def scale_of(node: Node, table: OperatorTable) -> float | None:
    """The scale of a symmetric INT8 quantizer of a whole tensor, None for any other."""
    if fault_of(node, table):
        return None
    scale = constant_value(cast(Value, node.operands["scale"]), table)
    assert scale is not None
    return float(np.asarray(scale, np.float64).reshape(-1)[0])


def fault_of(node: Node, table: OperatorTable) -> str:
    """Why a Q or DQ of an activation is not what an INT8 kernel takes in; "" where it is."""
    scale = node.operands["scale"]
    array = constant_value(scale, table) if isinstance(scale, Value) else None
    if array is None:
        return "its scale is computed at run time"
    if fault := _not_symmetric(node, table):
        return fault
    return f"it has {array.size} scales, activations take one" if array.size != 1 else ""


def _not_symmetric(node: Node, table: OperatorTable) -> str:
    codes = node.output if node.op == QUANTIZE else node.operands["x"]
    dtype = codes.type.dtype if isinstance(codes, Value) else "?"
    if dtype not in ("i8", "?"):
        return f"its codes are {dtype}, not INT8"
    zero = node.operands.get("zero_point")
    if not isinstance(zero, Value):
        return ""
    points = constant_value(zero, table)
    if points is None:
        return "its zero point is computed at run time"
    return "its zero point is not 0" if points.any() else ""


def weight_fault(found: Weighted, table: OperatorTable, single: bool = False) -> str:
    """Why a weight is not INT8 with scales along the output channels; "" where it is.

    With `single` it has to have one scale.
    """
    value = found.weight
    axis: int | None = found.channel_axis % max(1, len(value.shape or ()))
    while value.producer is not None and _lays_out(value.producer, table):
        axis = None if axis is None else _axis_before(value.producer, axis, table)
        value = next(value.producer.inputs)
    node = value.producer
    if node is None or node.op != DEQUANTIZE:
        return FLOAT_WEIGHT
    return _scale_fault(node, axis, table, single)


def _lays_out(node: Node, table: OperatorTable) -> bool:
    """Whether an operator stores a weight in another layout, or in another type."""
    return node.op == "nn.transpose" or any(table.has(node.op, t) for t in ("converts", "view"))


def _scale_fault(node: Node, axis: int | None, table: OperatorTable, single: bool) -> str:
    if fault := _not_symmetric(node, table):
        return f"of its weight {node.output.name}: {fault}"
    scale = constant_value(cast(Value, node.operands["scale"]), table)
    if scale is None:
        return "the scales of its weight are computed at run time"
    if scale.size == 1:
        return ""
    if single:
        return f"its weight has {scale.size} scales, and this kernel takes one"
    along = node.attributes.get("axis")
    rank = len(node.output.shape or ()) or 1
    if scale.ndim != 1 or not isinstance(along, int):
        return "the scales of its weight are blocks, not one for each output channel"
    if axis is None:
        return "the scales of its weight run along an axis that is not one of its output channels"
    if along % rank != axis:
        return (
            f"the scales of its weight run along axis {along % rank}, not along its output "
            f"channels (axis {axis})"
        )
    return ""


def _axis_before(node: Node, axis: int, table: OperatorTable) -> int | None:
    """The axis of a re-layout's input that becomes `axis` of its output; None where none does."""
    if table.has(node.op, "converts"):
        return axis
    perm = node.attributes.get("perm")
    if node.op == "nn.transpose" and isinstance(perm, tuple) and axis < len(perm):
        return int(cast(int, perm[axis]))
    return _axis_viewed(node, axis) if table.has(node.op, "view") else None


def _axis_viewed(node: Node, axis: int) -> int | None:
    """The axis of a view's input that has the size, and as much data in front of it and behind it,
    as `axis` of its output."""
    given, made = next(node.inputs).shape, node.output.shape
    if given is None or made is None or not all(isinstance(n, int) for n in (*given, *made)):
        return None
    sizes = cast("tuple[int, ...]", given), cast("tuple[int, ...]", made)
    wanted = _around(sizes[1], axis)
    return next((a for a in range(len(given)) if _around(sizes[0], a) == wanted), None)


def _around(shape: tuple[int, ...], axis: int) -> tuple[int, int]:
    return prod(shape[:axis]), prod(shape[axis + 1 :])


def movements(graph: Graph, context: Context, matcher: Matcher) -> dict[Node, Movement]:
    """The operators that the `share` declarations match, unless a fusion that replaces the share
    says that they are kernels of their own."""
    target = context.target.name
    shares = Index(matcher, context.rules.shares(graph.level, target))
    fusions = Index(matcher, context.rules.fusions(graph.level, target))
    found: dict[Node, Movement] = {}
    for node in graph.nodes:
        match = next((m for s in shares.at(node) if (m := matcher.first(s, node))), None)
        if match is None or _replaced(match, fusions.at(node), matcher):
            continue
        movement = _movement(match)
        if movement.inputs and movement.outputs:  # else it ties operands to each other
            found[node] = movement
    return found


def _replaced(match: Match, fusions: Iterable[FusionDecl], matcher: Matcher) -> bool:
    others = (f for f in fusions if match.decl.name in f.replaces)
    return any(matcher.first(f, match.root) for f in others)


def _movement(match: Match) -> Movement:
    values: list[Value] = []
    for name in cast(ShareDecl, match.decl).scale:
        bound = match.bindings[name]
        values += cast("tuple[Value, ...]", bound if isinstance(bound, tuple) else (bound,))
    inputs = tuple(v for v in values if v.producer is not match.root)
    # Naming one output of an operator with several (Split) names them all.
    return Movement(inputs, match.root.outputs if len(inputs) < len(values) else ())


def flow(graph: Graph, context: Context, matcher: Matcher, skipped: Set[Node]) -> Flow:
    """Follow codes through a graph; `skipped` are the operators that are no kernels."""
    found = movements(graph, context, matcher)
    nodes = [n for n in graph.nodes if n not in skipped]
    scales = {n: scale_of(n, context.table) for n in nodes if n.op in CONVERSIONS}
    result = Flow({n: m for n, m in found.items() if n not in skipped}, scales)
    for node in nodes:
        _forwards(node, result)
    for node in reversed(nodes):
        _backwards(node, result)
    return result


def _forwards(node: Node, result: Flow) -> None:
    if node.op == DEQUANTIZE:
        scale = result.scales[node]
    elif movement := result.movements.get(node):
        scale = common_scale(result.codes, movement.inputs)
    else:
        return
    if scale is not None:
        result.codes.update(dict.fromkeys(node.outputs, scale))


def _backwards(node: Node, result: Flow) -> None:
    for value in node.outputs:
        asked = {_asked(reader, result) for reader in value.readers}
        if len(asked) == 1 and not value.is_output and (scale := asked.pop()) is not None:
            result.wanted[value] = scale


def _asked(reader: Node, result: Flow) -> float | None:
    """The scale in which a reader takes codes, None where it does not."""
    if reader.op == QUANTIZE:
        return result.scales.get(reader)
    if movement := result.movements.get(reader):
        return common_scale(result.wanted, movement.outputs)
    return None


def common_scale(scales: Mapping[Value, float], values: Iterable[Value]) -> float | None:
    """The one scale of all these values, None where there is none or more than one."""
    found = {scales.get(value) for value in values}
    return found.pop() if len(found) == 1 else None
