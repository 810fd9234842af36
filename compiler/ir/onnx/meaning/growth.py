"""Values that are too large to compute, and functions that become too many nodes.

Sizes are those that shape inference finds.  It does not follow all arithmetic on sizes, so the
small integers that such sizes are made of are computed first, as a runtime would.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from math import prod
from typing import Any

import numpy as np
import onnx
from onnx.numpy_helper import from_array, to_array

from sparqc.errors import SparqcError
from sparqc.ir.bounds import INLINED, excess
from sparqc.ir.graph import TensorType
from sparqc.ir.onnx.order import captured_names, names_read, subgraphs_of
from sparqc.ir.onnx.skeleton import SMALL
from sparqc.ir.onnx.stated import replace_items
from sparqc.ir.onnx.types import type_of_proto

#: Operators whose result is as large as the numbers in an operand say, and where these stand.
_SIZED: Mapping[str, tuple[int, ...]] = {
    "Tile": (1,), "Expand": (1,), "ConstantOfShape": (0,), "Range": (0, 1, 2), "Pad": (1,),
    "Resize": (2, 3), "Upsample": (1,), "OneHot": (1,), "Reshape": (1,),
}  # fmt: skip
#: What sizes are computed with; none of them gives more than it is given.
_ARITHMETIC = frozenset(
    ("Identity", "Cast", "Pow", "Add", "Sub", "Mul", "Div", "Mod", "Neg", "Abs", "Min", "Max",
     "Floor", "Ceil", "Round", "Sqrt", "Exp", "Log", "Concat", "Gather", "Slice", "Squeeze",
     "Unsqueeze", "Reshape", "ReduceProd", "ReduceSum", "ReduceMax", "ReduceMin")
)  # fmt: skip
#: So many sizes are computed, and inference is repeated so often.
_MOST, ROUNDS = 10_000, 8
#: Numbers that shape inference may follow in lists.
LONGEST = 1 << 20
_NOTHING: Mapping[str, onnx.TensorProto] = {}


def infers_numbers(sized: onnx.GraphProto | None) -> bool:
    """Whether shape inference may follow the numbers in lists, in a graph of that `sized_graph`: it
    notes each of them, known or not, and what is repeated a few times over is a long list."""
    return sized is None or _listed(sized) <= LONGEST


def sized_graph(model: onnx.ModelProto) -> onnx.GraphProto | None:
    """The graph with the shapes that its values have where open sizes of inputs are 1; None where
    no operator of it makes large values of small ones.

    Inference goes through it without following numbers.  The few that sizes are computed from are
    computed, as a runtime would.
    """
    if not any(map(_may_grow, model.graph.node)):
        return None
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    graph = copy.graph
    for info in graph.input:
        for dim in info.type.tensor_type.shape.dim:
            dim.dim_value = dim.dim_value if dim.HasField("dim_value") else 1
    del graph.value_info[:]
    hand_down(graph)
    found = graph
    for _ in range(ROUNDS):
        try:
            found = onnx.shape_inference.infer_shapes(copy).graph
        except (onnx.shape_inference.InferenceError, RuntimeError):
            break  # strict inference says what is wrong
        sizes = computed_sizes(found)
        if not sizes:
            break
        kept = [node for node in graph.node if node.output[:1] not in ([n] for n in sizes)]
        replace_items(graph.node, kept)
        graph.initializer.extend(from_array(array, name) for name, array in sizes.items())
    return found


def _may_grow(node: onnx.NodeProto) -> bool:
    subgraphs = any(subgraphs_of(attribute) for attribute in node.attribute)
    return subgraphs or node.op_type in _SIZED or node.op_type == "Concat"


def _listed(graph: onnx.GraphProto) -> int:
    """How many numbers the lists of a graph have, and those of the graphs inside of it."""
    dims = [i.type.tensor_type.shape.dim for i in (*graph.value_info, *graph.output)]
    total = sum(max(d[0].dim_value, 0) for d in dims if len(d) == 1)
    inner = (g for node in graph.node for a in node.attribute for g in subgraphs_of(a))
    return int(total) + sum(map(_listed, inner))


def hand_down(graph: onnx.GraphProto, around: Mapping[str, onnx.TensorProto] = _NOTHING) -> None:
    """Give the small constants of a graph to the graphs inside of it that read them: inference
    looks for them there."""
    small = {n: t for n, t in stored_tensors(graph).items() if _count(t.dims) <= SMALL}
    known = {**around, **small}
    for node in graph.node:
        for attribute in node.attribute:
            for inner in subgraphs_of(attribute):
                read = known.keys() & set(captured_names(inner))
                for name in sorted(read):
                    inner.initializer.add().CopyFrom(known[name])
                    inner.initializer[-1].name = name
                hand_down(inner, known)


def stored_tensors(graph: onnx.GraphProto) -> dict[str, onnx.TensorProto]:
    """The constants of a graph, however they are written."""
    found = {t.name: t for t in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant":
            found.update((node.output[0], a.t) for a in node.attribute if a.HasField("t"))
    return found


# -- sizes ---------------------------------------------------------------------------------------


def types_of(graph: onnx.GraphProto) -> dict[str, TensorType]:
    """The types of the values of a graph in which inference has written them."""
    infos = (*graph.input, *graph.value_info, *graph.output)
    return {info.name: type_of_proto(info.type, info.name) for info in infos}


def size_faults(
    sized: onnx.GraphProto, types: Mapping[str, TensorType], fed: Iterable[str], stored: int
) -> Iterator[tuple[str, str]]:
    """The first value of a `sized_graph` that is too large, and what is wrong with its size.

    `types` are those of its values, `fed` the inputs that have no default, `stored` the elements of
    all constants.
    """
    values = [(i.name, type_of_proto(i.type, i.name)) for i in sized.input]
    computed: set[str] = set()
    _collect(sized, types, set(fed), values, computed)
    return excess(values, computed, stored)


def _collect(
    graph: onnx.GraphProto,
    types: Mapping[str, TensorType],
    fed: set[str],
    values: list[tuple[str, TensorType]],
    computed: set[str],
) -> None:
    """The values of a graph and of those inside of it, and which of them depend on no input."""
    for node in graph.node:
        for attribute in node.attribute:
            for inner in subgraphs_of(attribute):
                given = fed | {i.name for i in inner.input}
                _collect(inner, types_of(inner), given, values, computed)
        if node.op_type != "Constant":
            (computed if fed.isdisjoint(names_read(node)) else fed).update(node.output)
            values += ((n, types[n]) for n in node.output if n in types)


def computed_sizes(graph: onnx.GraphProto) -> dict[str, Any]:
    """The numbers that sizes which inference does not know are computed from, by their names.

    `graph` holds what was inferred."""
    if not any(node.op_type in _SIZED for node in graph.node):
        return {}
    infos = (*graph.value_info, *graph.output)
    known = {info.name for info in infos if _is_known(info.type.tensor_type)}
    producers = {name: node for node in graph.node for name in node.output if name}
    arrays: dict[str, Any] = {}
    found = {}
    infos = (*infos, *graph.input)
    for node in graph.node:
        if node.op_type not in _SIZED or known.issuperset(node.output):
            continue
        if not arrays:
            arrays = {name: to_array(t) for name, t in small_tensors(graph).items()}
            arrays |= _shapes(producers.values(), infos)
        for index in _SIZED[node.op_type]:
            name = node.input[index] if index < len(node.input) else ""
            if name in producers and name not in arrays and _compute(name, producers, arrays):
                found[name] = arrays[name]
    return found


def _shapes(
    nodes: Iterable[onnx.NodeProto], infos: Iterable[onnx.ValueInfoProto]
) -> dict[str, Any]:
    """What each Shape gives whose operand has a known shape."""
    known = {i.name: i.type.tensor_type for i in infos if _is_known(i.type.tensor_type)}
    found = {}
    for node in nodes:
        if node.op_type == "Shape" and node.input[0] in known:
            dims = [d.dim_value for d in known[node.input[0]].shape.dim]
            limits = {a.name: a.i for a in node.attribute}
            part = dims[limits.get("start", 0) : limits.get("end", len(dims))]
            found[node.output[0]] = np.array(part, np.int64)
    return found


def small_tensors(graph: onnx.GraphProto) -> dict[str, onnx.TensorProto]:
    """The small constants of a graph, by their names; text is left out."""
    tensors = stored_tensors(graph).items()
    text = onnx.TensorProto.STRING
    return {n: t for n, t in tensors if t.data_type != text and _count(t.dims) <= SMALL}


def _is_known(type: onnx.TypeProto.Tensor) -> bool:
    return type.HasField("shape") and all(d.HasField("dim_value") for d in type.shape.dim)


def _compute(name: str, producers: Mapping[str, onnx.NodeProto], arrays: dict[str, Any]) -> bool:
    """Whether a value is made of small constants alone; then it and what it needs are in `arrays`,
    and None stands for what is not."""
    stack = [name]
    while stack and len(arrays) < _MOST:
        node = producers.get(stack[-1])
        if stack[-1] in arrays:
            stack.pop()
        elif node is None or node.op_type not in _ARITHMETIC or node.domain or len(node.output) > 1:
            arrays[stack.pop()] = None
        elif missing := [i for i in node.input if i and i not in arrays]:
            if stack[-1] in missing:
                return False
            stack += missing
        else:
            arrays[stack.pop()] = _result(node, [arrays.get(i) for i in node.input])
    return arrays.get(name) is not None


def _result(node: onnx.NodeProto, operands: list[Any]) -> Any:
    if any(a is None for a in operands) or sum(map(np.size, operands)) > SMALL:
        return None
    from onnx.reference import ReferenceEvaluator  # only hostile and rare models need it

    try:
        with np.errstate(all="ignore"):
            feeds = dict(zip(node.input, operands, strict=True))
            result = np.asarray(next(iter(ReferenceEvaluator(node).run(None, feeds))))
    except Exception:  # noqa: BLE001  who reads the graph says what is wrong with it
        return None
    return result if result.size <= SMALL else None


# -- functions -----------------------------------------------------------------------------------


def require_finite(model: onnx.ModelProto) -> None:
    """SparqcError where the functions of a model call each other in a circle, or would become too
    many nodes where they are called."""
    bodies = {(f.domain, f.name): f.node for f in model.functions}
    counts: dict[tuple[str, str], int] = {}
    if not bodies:
        return
    for key in bodies:
        _count_nodes(key, bodies, counts)
    total = sum(_nodes_of(node, counts) for node in model.graph.node)
    if total > INLINED:
        raise SparqcError(
            f"the functions of the model become {total:.3g} nodes where they are called; more than "
            f"{INLINED:.3g} are not read",
            hint="export the model without functions that call each other",
        )


def _count_nodes(
    key: tuple[str, str], bodies: Mapping[tuple[str, str], Any], counts: dict[tuple[str, str], int]
) -> None:
    stack, open_ones = [key], set()
    while stack:
        current = stack[-1]
        if current in counts:
            stack.pop()
            continue
        called = [k for node in bodies[current] for k in _calls(node) if k in bodies]
        missing = [k for k in called if k not in counts]
        if any(k in open_ones or k == current for k in missing):
            raise SparqcError(
                f"the function {current[1]!r} calls itself", hint="export the model anew"
            )
        if missing:
            open_ones.add(current)
            stack += missing
            continue
        open_ones.discard(current)
        counts[stack.pop()] = sum(_nodes_of(node, counts) for node in bodies[current])


def _calls(node: onnx.NodeProto) -> Iterator[tuple[str, str]]:
    yield node.domain, node.op_type
    for attribute in node.attribute:
        for graph in subgraphs_of(attribute):
            for inner in graph.node:
                yield from _calls(inner)


def _nodes_of(node: onnx.NodeProto, counts: Mapping[tuple[str, str], int]) -> int:
    return sum(counts.get(key, 1) for key in _calls(node))


def _count(dims: Any) -> int:
    return prod(dims)
