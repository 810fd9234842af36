"""Instances that are the examples of a file with other sizes, numbers and attributes."""

from __future__ import annotations

from typing import Any, cast

import numpy as np

from sparqc.errors import SparqcError
from sparqc.ir.dtypes import numpy_dtype
from sparqc.ir.graph import Attribute, Graph, Node, TensorType, Value
from sparqc.ir.levels.infer import infer_types
from sparqc.ir.text.parse import is_made_up, parse_statements
from sparqc.ir.types import Level
from sparqc.ir.vocabulary.operator import ONE_SIZE, Required
from sparqc.ir.vocabulary.raw import operator_of
from sparqc.lang.ast import Declaration
from sparqc.match.rulebook import RuleBook
from sparqc.tools.rules.trials.graphs.build import Instance
from sparqc.tools.rules.trials.graphs.drawn import DrawnGenerator


def from_example(
    decl: Declaration, level: Level, book: RuleBook, random: DrawnGenerator
) -> Instance | None:
    """The graph of an example, at times a size of its tensors another one everywhere, and
    an attribute as in another example, or left out."""
    graphs = graphs_of(decl, level, book)
    if not graphs:
        return None
    graph = random.choice(graphs)
    if random.chance(0.4):
        _other_attribute(graph, graphs, book, random)
    if random.chance(0.5) and not _resized(graph, book, random):
        return None
    for value in graph.constants:
        if value.data is not None and is_made_up(value):
            value.data = _like(value.data, random.numpy)
    return fed(graph, random.numpy)


def graphs_of(decl: Declaration, level: Level, book: RuleBook) -> list[Graph]:
    """What the examples begin with, as far as they can be read."""
    found = []
    for example in decl.examples:
        try:
            graph = parse_statements(example.before, book.table, level)
        except SparqcError:
            continue
        graph.drop_dead()
        found.append(graph)
    return found


def _other_attribute(
    graph: Graph, graphs: list[Graph], book: RuleBook, random: DrawnGenerator
) -> None:
    node = random.choice(list(graph.nodes))
    row = operator_of(node, book.table)
    if row is None or not node.attributes:
        return
    alike = [n for other in graphs for n in other.nodes if n.op == node.op]
    found: dict[str, list[Attribute]] = {}
    for name, default in row.attributes.items():
        values = [n.attributes[name] for n in alike if name in n.attributes]
        values += [] if isinstance(default, Required) else [default]
        found[name] = [v for v in values if v != node.attributes.get(name)]
    names = sorted(name for name, values in found.items() if values)
    if not names:
        return
    name = random.choice(names)
    node.attributes[name] = random.choice(found[name])
    _infer_again(graph, book)


def _resized(graph: Graph, book: RuleBook, random: DrawnGenerator) -> bool:
    """Give one size another value in all inputs and in the constants whose numbers are not
    written; whether the graph still makes sense."""
    free = [*graph.inputs, *(v for v in graph.constants if is_made_up(v))]
    sizes = sorted({d for v in free for d in v.shape or () if isinstance(d, int) and d > 1})
    if not sizes:
        return True
    old, new = random.choice(sizes), random.integers(2, 9)
    for value in free:
        shape = tuple(new if d == old else d for d in value.shape or ())
        value.type = TensorType(value.type.dtype, shape)
        if value.data is not None and value.data.shape != shape:
            value.data = np.resize(value.data, cast(Any, shape))
    _infer_again(graph, book)
    return all(v.type.dtype != "?" and v.shape is not None for n in graph.nodes for v in n.outputs)


def _infer_again(graph: Graph, book: RuleBook) -> None:
    nodes: list[Node] = list(graph.nodes)
    for node in nodes:
        infer_types(graph, node, book.table)
    graph.kept = None


def _like(array: np.ndarray[Any, Any], random: np.random.Generator) -> np.ndarray[Any, Any]:
    """Other numbers of the same kind: vectors are variances and scales at times."""
    if array.dtype.kind != "f":
        return np.asarray(random.permutation(array.reshape(-1)).reshape(array.shape))
    if array.ndim == 1:
        return np.asarray(random.uniform(0.5, 1.5, array.shape), array.dtype)
    return np.asarray(random.standard_normal(array.shape), array.dtype)


def fed(graph: Graph, random: np.random.Generator) -> Instance | None:
    """A graph with numbers for its inputs; None where the type of one is not known."""
    instance = Instance(graph)
    for value in graph.inputs:
        drawn = _drawn(value, random)
        if drawn is None:
            return None
        instance.feeds[value] = drawn
    return instance


def _drawn(value: Value, random: np.random.Generator) -> np.ndarray[Any, Any] | None:
    dtype: Any = numpy_dtype(value.type.dtype)
    if dtype is None or value.shape is None or any(str(d).startswith("?") for d in value.shape):
        return None
    shape = [d if isinstance(d, int) else ONE_SIZE for d in value.shape]
    if dtype.kind == "f":
        return np.asarray(random.standard_normal(shape)).astype(dtype)
    if dtype.kind == "b" or dtype.itemsize > 1:
        return random.integers(0, 2, shape).astype(dtype)
    limits = np.iinfo(dtype)
    return random.integers(limits.min, limits.max, shape, dtype, endpoint=True)
