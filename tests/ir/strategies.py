"""Random graphs for property tests: valid in structure, with any names, types and attributes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from hypothesis import strategies as st

from sparqc.ir.graph import Graph, Origin, TensorType, Value
from sparqc.ir.onnx.native import OnnxNative
from sparqc.ir.types import Level
from sparqc.ir.vocabulary.operator import Operator, Required

NAMES = st.one_of(
    st.from_regex(r"[A-Za-z_]\w{0,8}(\.\w{1,3}){0,2}", fullmatch=True),
    st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc", "Zl", "Zp")), min_size=1),
    st.sampled_from(["const", "return", "none", "graph", "123", "a b", 'say "so"', "onnx::Conv_1"]),
)
DIMENSIONS = st.one_of(st.integers(0, 9), st.sampled_from(["batch", "2*batch", "?x.0", "?", "a b"]))
TYPES = st.builds(
    TensorType,
    st.sampled_from(["f32", "f16", "bf16", "i64", "i8", "u8", "bool", "sym", "list", "?"]),
    st.none() | st.lists(DIMENSIONS, max_size=4).map(tuple),
)
ORIGINS = st.builds(
    Origin,
    st.sampled_from(["", "layer1.0.conv1", "0", "by", "/layer1/Conv", 'a "b"']),
    st.sampled_from(["", "model.py:12", "a file.py:3", "somewhere"]),
    st.lists(st.sampled_from(["fold.spq:12 fold", "my.spq:3 mine"]), unique=True).map(tuple),
)
_SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=True),
    st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc", "Zl", "Zp"))),
)
ATTRIBUTES = st.recursive(_SCALARS, lambda inner: st.lists(inner, max_size=3).map(tuple))


@st.composite
def arrays(draw: st.DrawFn) -> np.ndarray[Any, Any]:
    """A constant: any bits, so also NaN, infinities and numbers of many digits."""
    dtype = np.dtype(draw(st.sampled_from(["f4", "f2", "f8", "i8", "i1", "?"])))
    shape = tuple(draw(st.lists(st.integers(0, 4), max_size=3)))
    size = math.prod(shape) * dtype.itemsize
    bits = np.frombuffer(draw(st.binary(min_size=size, max_size=size)), np.uint8)
    array = bits % 2 == 1 if dtype.kind == "b" else bits.view(dtype)
    return array.reshape(shape)


@st.composite
def graphs(draw: st.DrawFn, level: Level, rows: tuple[Operator, ...]) -> Graph:
    """A graph of up to eight nodes, of table operators and of raw ones."""
    native = OnnxNative({"": 20, "my.domain": 3}) if level == "onnx" else None
    graph = Graph(level, draw(NAMES), native=native)
    for _ in range(draw(st.integers(1, 3))):
        graph.add_input(draw(NAMES), draw(TYPES))
    for _ in range(draw(st.integers(0, 3))):
        graph.constant(draw(arrays()), draw(NAMES))
    for _ in range(draw(st.integers(0, 8))):
        draw(_nodes(graph, rows))
    values = sorted(graph._values.values(), key=lambda v: v.name)
    outputs = draw(st.lists(st.sampled_from(values), max_size=3))
    names = draw(st.lists(NAMES, min_size=len(outputs), max_size=len(outputs), unique=True))
    graph.set_outputs(outputs, names)
    return graph


@st.composite
def _nodes(draw: st.DrawFn, graph: Graph, rows: tuple[Operator, ...]) -> None:
    values = st.sampled_from(sorted(graph._values.values(), key=lambda v: v.name))
    row = draw(st.sampled_from(rows) | st.none())
    if row is None:
        op = draw(st.sampled_from(["onnx.Made", "onnx.my.domain.Up", "other.op.default"]))
        count = draw(st.integers(0, 3))
        operands: dict[str, Any] = {f"i{k}": draw(values | st.none()) for k in range(count)}
        attributes = draw(st.dictionaries(NAMES, ATTRIBUTES, max_size=2))
    else:
        op, operands = row.name, {o.name: draw(_operand(o, values)) for o in row.operands}
        attributes = {k: draw(_attribute(v)) for k, v in row.attributes.items()}
    types = draw(st.lists(TYPES, min_size=1, max_size=2))
    names = draw(st.lists(NAMES, min_size=len(types), max_size=len(types)))
    graph.create(op, operands, attributes, types=types, names=names, origin=draw(ORIGINS))


def _operand(spec: Any, values: st.SearchStrategy[Value]) -> st.SearchStrategy[Any]:
    if spec.variadic:
        return st.lists(values, max_size=3)
    return values | st.none() if spec.optional else values


def _attribute(default: Any) -> st.SearchStrategy[Any]:
    return ATTRIBUTES if isinstance(default, Required) else st.just(default) | ATTRIBUTES
