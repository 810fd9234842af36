"""The differences between two graphs, in groups of what belongs together, and undone."""

from __future__ import annotations

import numpy as np
import pytest

from sparqc.ir.graph import Graph
from sparqc.ir.text.print import print_graph
from sparqc.pipeline.decisions.changes import Change, changes
from sparqc.pipeline.decisions.outline import Outline
from sparqc.pipeline.decisions.undo import can_undo, undo
from tests.match.sketches import graph_of

TEXT = """
x: f32[4]
w: const f32[4] = [1, 2, 3, 4]
v: const f32[4] = [5, 6, 7, 8]
a = nn.mul(x, w)
b = nn.mul(a, v)
c = nn.relu(b)
"""


def quantized(graph: Graph, name: str) -> None:
    """Put a quantizer between a value and those who read it."""
    value = graph.value(name)
    readers = [(n, slot) for n in value.readers for slot in n.slots_of(value)]
    scale = graph.constant(np.array(np.nan, np.float32), f"{name}.scale")
    node = graph.create(
        "q.qdq",
        {"x": value, "scale": scale, "zero_point": None},
        {"axis": None, "low": -128, "high": 127},
        types=[value.type],
        names=[f"{name}.qdq"],
        before=readers[0][0],
    )
    for reader, slot in readers:
        graph.redirect(reader, slot, value, node.output)


def found(graph: Graph, before: Outline) -> list[Change]:
    return changes(before, Outline.of(graph))


def test_a_graph_that_stays_has_none() -> None:
    graph = graph_of(TEXT)
    assert found(graph.clone(), Outline.of(graph)) == []


def test_each_inserted_operator_is_one_with_what_reads_it() -> None:
    graph = graph_of(TEXT)
    before = Outline.of(graph)
    quantized(graph, "x")
    quantized(graph, "a")
    first, second = found(graph, before)
    assert (first.what, first.subject, first.added) == ("insert", "x", ["x.scale", "x.qdq"])
    assert (second.what, second.subject, second.added) == ("insert", "a", ["a.scale", "a.qdq"])
    assert [(r.node, r.slot, r.before, r.after) for r in second.rewired] == [
        ("b", "a", "a", "a.qdq")
    ]


def test_constants_of_one_operator_are_one_change() -> None:
    graph = graph_of(
        "x: f32[4]\nm: const f32[4]\ns: const f32[4]\ny = nn.batch_norm(x, s, m, m, s)"
    )
    before = Outline.of(graph)
    for name in ("m", "s"):
        graph.value(name).data = np.zeros(4, np.float32)
    (change,) = found(graph, before)
    assert change.what == "set" and sorted(change.constants) == ["m", "s"]


def test_equal_numbers_are_no_change() -> None:
    graph = graph_of(TEXT)
    before = Outline.of(graph)
    graph.value("w").data = np.array([1, 2, 3, 4], np.float32)
    assert found(graph, before) == []


def test_an_output_that_another_value_gives_is_a_change() -> None:
    graph = graph_of(TEXT)
    before = Outline.of(graph)
    graph.set_outputs([graph.value("b")], graph.output_names)
    graph.drop_dead()
    (change,) = found(graph, before)
    assert change.removed == ["c"] and not can_undo(change, before, Outline.of(graph))


@pytest.mark.parametrize("kept", [0, 1, 2, 3])
def test_any_number_of_changes_can_be_undone(kept: int) -> None:
    graph = graph_of(TEXT)
    before = Outline.of(graph)
    quantized(graph, "x")
    graph.value("w").data = np.array([9, 9, 9, 9], np.float32)
    quantized(graph, "a")
    after = Outline.of(graph)
    every = changes(before, after)
    assert [c.subject for c in every] == ["x", "w", "a"]
    assert all(can_undo(c, before, after) for c in every)
    copy = graph.clone()  # the names hold in a clone too
    undo(copy, every[kept:], before)
    copy.verify()
    left = found(copy, before)
    assert [c.subject for c in left] == ["x", "w", "a"][:kept]


def test_a_graph_with_all_undone_is_what_it_was() -> None:
    graph = graph_of(TEXT)
    text, before = print_graph(graph), Outline.of(graph)
    quantized(graph, "a")
    undo(graph, found(graph, before), before)
    assert print_graph(graph) == text


def test_a_constant_that_is_gone_comes_back() -> None:
    graph = graph_of(TEXT)
    before = Outline.of(graph)
    other = graph.constant(np.ones(4, np.float32), "one")
    graph.set_operand(graph.value("b").producer, "b", other)
    graph.drop_dead()
    (change,) = found(graph, before)
    assert change.removed == ["v"] and can_undo(change, before, Outline.of(graph))
    undo(graph, [change], before)
    assert found(graph, before) == []


def test_a_change_of_the_element_type_cannot_be_undone() -> None:
    graph = graph_of(TEXT)
    before = Outline.of(graph)
    half = graph.constant(np.ones(4, np.float16), "half")
    graph.set_operand(graph.value("b").producer, "b", half)
    (change,) = found(graph, before)
    assert not can_undo(change, before, Outline.of(graph))


def test_a_weight_its_scale_and_the_bias_are_one_change_and_other_scales_are_not() -> None:
    graph = graph_of(
        "x: f32[1, 4]\ns: const f32[] = 0.5\nw: const f32[4, 4]\nt: const f32[4]\n"
        "b: const f32[4]\nq = q.qdq(x, s, none)\nv = q.qdq(w, t, none, axis=0)\n"
        "y = nn.linear(q, v, b)"
    )
    before = Outline.of(graph)
    for name in "swtb":
        value = graph.value(name)
        value.data = np.full_like(value.data, 2)
    assert sorted(sorted(c.constants) for c in found(graph, before)) == [["b", "t", "w"], ["s"]]
