"""What every adapter keeps: one suite, run on FX and on ONNX."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparqc.ir.fx.adapter import read_fx, write_fx
from sparqc.ir.graph import Graph, Node, Origin, TensorType, Value
from sparqc.ir.levels.execute import open_runner
from sparqc.ir.levels.infer import infer_types
from sparqc.ir.onnx.adapter import read_onnx, write_onnx
from sparqc.ir.text.print import parse_statements, print_graph
from sparqc.ir.types import Level
from sparqc.ir.vocabulary.table import default_table

TABLE = default_table()
LEVELS: list[Level] = ["fx", "onnx"]
pytestmark = pytest.mark.parametrize("level", LEVELS)

RESIDUAL = """
    x: f32[batch, 4, 8, 8]
    w: const f32[4, 4, 3, 3]
    b: const f32[4]
    v: const f32[4, 4, 1, 1]
    conv = nn.conv(x, w, b, pads=[1, 1, 1, 1])
    relu = nn.relu(conv)
    conv_1 = nn.conv(relu, v)
    add = nn.add(x, conv_1)
    relu_1 = nn.relu(add)
    return relu_1 as output
"""
QUANTIZED = """
    x: f32[batch, 8]
    w: const f32[6, 8]
    b: const f32[6]
    m: const bool[6, 8]
    s: const f32[] = 0.05
    c: const f32[6] = [0.01, 0.02, 0.03, 0.01, 0.02, 0.03]
    qdq = q.qdq(x, s)
    mask = sparse.mask(w, m)
    qdq_1 = q.qdq(mask, c, axis=0, low=-127)
    linear = nn.linear(qdq, qdq_1, b)
    return linear as output
"""
SHAPES = """
    x: f32[batch, 6, 4]
    flatten = nn.flatten(x)
    split, split_1 = nn.split(flatten, sizes=[8, 16], axis=1)
    concat = nn.concat(split_1, split, axis=1)
    unsqueeze = nn.unsqueeze(concat, axes=[1])
    transpose = nn.transpose(unsqueeze, perm=[0, 2, 1])
    softmax = nn.softmax(transpose, axis=-2)
    reduce_mean = nn.reduce_mean(softmax, axes=[1], keepdims=false)
    return concat as first, reduce_mean as second
"""
GRAPHS = {"residual": RESIDUAL, "quantized": QUANTIZED, "shapes": SHAPES}


def parsed(text: str, level: Level) -> Graph:
    graph = parse_statements(text, TABLE, level)
    graph.verify()
    return graph


def round_trip(graph: Graph) -> Graph:
    """Written by the adapter of its level, and read again."""
    if graph.level == "fx":
        return read_fx(write_fx(graph, TABLE), TABLE, name=graph.name)
    return read_onnx(write_onnx(graph, TABLE), TABLE)


def batch_of(graph: Graph, size: int = 3) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    shapes = [[size if isinstance(d, str) else d for d in v.shape or ()] for v in graph.inputs]
    return [rng.standard_normal(shape).astype(np.float32) for shape in shapes]


def run(graph: Graph) -> list[np.ndarray]:
    return open_runner(graph, TABLE).run(batch_of(graph))[0]


def ops(graph: Graph) -> list[str]:
    return [node.op for node in graph.nodes]


# -- reading and writing -------------------------------------------------------------------------


@pytest.mark.parametrize("name", GRAPHS)
def test_what_was_written_is_read_as_it_was(level, name):
    graph = round_trip(parsed(GRAPHS[name], level))  # outputs have the names of the level now
    again = round_trip(graph)
    again.verify()
    assert print_graph(again) == print_graph(graph)


@pytest.mark.parametrize("name", ["residual", "shapes"])
def test_every_line_survives_but_the_names_of_outputs(level, name):
    graph = parsed(GRAPHS[name], level)
    again = round_trip(graph)
    again.set_outputs(again.outputs, graph.output_names)
    for value, old in zip(again.outputs, graph.outputs, strict=True):
        again.rename(value, old.name)
    assert print_graph(again) == print_graph(graph)


@pytest.mark.parametrize("name", GRAPHS)
def test_outputs_are_the_same_to_the_bit(level, name):
    graph = parsed(GRAPHS[name], level)
    for before, after in zip(run(graph), run(round_trip(graph)), strict=True):
        assert before.tobytes() == after.tobytes()


def test_quantizers_come_back(level):
    again = round_trip(parsed(QUANTIZED, level))
    pair = ["q.qdq"] if level == "fx" else ["q.quantize", "q.dequantize"]
    assert sorted(ops(again)) == sorted(
        [*pair, *pair, "sparse.mask" if level == "fx" else "nn.mul", "nn.linear"]
    )


def test_constants_survive_by_content(level):
    graph = parsed(RESIDUAL, level)
    again = round_trip(graph)
    for constant in graph.constants:
        assert np.array_equal(again.value(constant.name).data, constant.data)
        assert again.value(constant.name).type == constant.type


def test_a_shared_constant_stays_one(level):
    text = "x: f32[1, 4]\nw: const f32[4, 4]\na = nn.linear(x, w)\ny = nn.linear(a, w)"
    again = round_trip(parsed(text, level))
    (weight,) = again.constants
    assert len(weight.readers) == 2


def test_names_of_inputs_and_outputs_are_stable(level):
    again = round_trip(parsed(SHAPES, level))
    assert [v.name for v in again.inputs] == ["x"]
    if level == "onnx":
        assert again.output_names == ["first", "second"]
    assert len(again.outputs) == 2


def test_two_readings_give_the_same_text(level):
    graph = parsed(RESIDUAL, level)
    assert print_graph(round_trip(graph)) == print_graph(round_trip(graph))


def test_where_a_node_comes_from_survives(level):
    graph = parsed("x: f32[2]\nrelu = nn.relu(x)  # stem.act model.py:3 by mine", level)
    (node,) = round_trip(graph).nodes
    assert node.origin == Origin("stem.act", "model.py:3", ("mine",))


@pytest.mark.parametrize("operands", ["x, relu", "relu, x"])
def test_operands_that_commute_have_one_order(level, operands):
    text = f"x: f32[2]\nrelu = nn.relu(x)\nadd = nn.add({operands})"
    *_, add = round_trip(parsed(text, level)).nodes
    assert [v.name for v in add.operands.values()] == ["x", "relu"]


def test_constants_stand_last_where_operands_commute(level):
    *_, mul = round_trip(parsed("x: f32[2]\nc: const f32[2]\nmul = nn.mul(c, x)", level)).nodes
    assert [v.name for v in mul.operands.values()] == ["x", "c"]


def test_operators_outside_the_table_pass_through(level):
    op, slot, more = {
        "fx": ("aten.heaviside.default", "self", ""),
        "onnx": ("onnx.Mod", "A", ", fmod=1"),
    }[level]
    graph = parsed(f"x: f32[2, 3]\nrelu = nn.relu(x)\nodd = {op}(relu, x{more})", level)
    again = round_trip(graph)
    assert ops(again) == ["nn.relu", op]
    assert list(again.nodes)[1].operands[slot].name == "relu"
    for before, after in zip(run(graph), run(again), strict=True):
        assert np.array_equal(before, after, equal_nan=True)


def test_an_operand_that_is_absent_stays_absent(level):
    text = "x: f32[2]\nhigh: const f32[] = 6.0\nclip = nn.clip(x, none, high)"
    (clip,) = round_trip(parsed(text, level)).nodes
    assert clip.operands["min"] is None
    assert clip.operands["max"].data == 6


# -- types ---------------------------------------------------------------------------------------

TYPED = [
    ("x: f32[n, 3, 8, 8]\nw: const f32[5, 3, 3, 3]\ny = nn.conv(x, w)", ("n", 5, 6, 6)),
    ("x: f32[n, 3, 8, 8]\nw: const f32[6, 1, 3, 3]\n"
     "y = nn.conv(x, w, groups=3, strides=[2, 2])", ("n", 6, 3, 3)),
    ("x: f32[n, 8]\nw: const f32[5, 8]\ny = nn.linear(x, w)", ("n", 5)),
    ("x: f32[n, 7, 8]\nw: const f32[5, 8]\ny = nn.linear(x, w)", ("n", 7, 5)),
    ("a: f32[n, 2, 3, 4]\nb: f32[n, 2, 4, 5]\ny = nn.matmul(a, b)", ("n", 2, 3, 5)),
    ("a: f32[n, 1, 4]\nb: f32[3, 4]\ny = nn.add(a, b)", ("n", 3, 4)),
    ("x: f32[n, 3, 8, 8]\ny = nn.max_pool(x, kernel_shape=[2, 2], strides=[2, 2], "
     "pads=[0, 0, 0, 0])", ("n", 3, 4, 4)),
    ("x: f32[n, 3, 8, 8]\ny = nn.global_average_pool(x)", ("n", 3, 1, 1)),
    ("x: f32[n, 3, 8, 8]\ny = nn.reduce_mean(x, axes=[2, 3], keepdims=false)", ("n", 3)),
    ("x: f32[n, 3, 8]\ny = nn.flatten(x, axis=1)", ("n", 24)),
    ("x: f32[n, 3, 8]\ny = nn.transpose(x, perm=[1, 0, 2])", (3, "n", 8)),
    ("a: f32[n, 3]\nb: f32[n, 4]\ny = nn.concat(a, b, axis=1)", ("n", 7)),
    ("x: f32[n, 8]\ny = nn.slice(x, starts=[2], ends=[8], axes=[1], steps=[2])", ("n", 3)),
    ("x: f32[n, 3]\ny = nn.unsqueeze(x, axes=[1])", ("n", 1, 3)),
    ("x: f32[n, 3]\ny = nn.softmax(x, axis=1)", ("n", 3)),
    ("x: f32[n, 3]\ns: const f32[] = 0.1\ny = q.qdq(x, s)", ("n", 3)),
]  # fmt: skip


@pytest.mark.parametrize(("text", "shape"), TYPED)
def test_types_are_inferred(level, text, shape):
    graph = parse_statements(text, TABLE, level)
    assert graph.value("y").type == TensorType("f32", shape)


def test_the_type_of_a_cast(level):
    graph = parse_statements('x: f32[n]\ny = nn.cast(x, to="i64")', TABLE, level)
    assert graph.value("y").type == TensorType("i64", ("n",))


@pytest.mark.parametrize("text", ["y = nn.relu(x)", "x: f32[2]\nw: const f32[3, 3]\n"
                                  "y = nn.matmul(x, w)"])  # fmt: skip
def test_what_cannot_be_told_stays_unknown(level, text):
    assert parse_statements(text, TABLE, level).value("y").type == TensorType()


# -- changing ------------------------------------------------------------------------------------


def test_a_node_can_be_put_in_place_of_another(level):
    graph = parsed(RESIDUAL, level)
    old = graph.value("relu").producer
    new = graph.create("nn.neg", {"x": old.operands["x"]}, types=[old.output.type], before=old)
    graph.replace(old.output, new.output)
    graph.erase(old)
    graph.verify()
    again = round_trip(graph)
    assert ops(again) == ["nn.conv", "nn.neg", "nn.conv", "nn.add", "nn.relu"]
    assert run(again)[0].tobytes() == run(graph)[0].tobytes()


def test_the_output_of_a_graph_can_be_replaced(level):
    graph = parsed(RESIDUAL, level)
    graph.replace(graph.value("relu_1"), graph.value("add"))
    graph.drop_dead()
    graph.verify()
    again = round_trip(graph)
    assert ops(again)[-1] == "nn.add"
    if level == "onnx":
        assert again.output_names == ["output"]


def test_an_input_can_be_an_output(level):
    graph = parsed("x: f32[2]\ny = nn.relu(x)\nreturn y, x as same", level)
    (y, same) = run(graph)
    assert np.array_equal(same, batch_of(graph)[0])
    assert np.array_equal(y, np.maximum(same, 0))


def test_a_constant_can_be_exchanged(level):
    graph = parsed(RESIDUAL, level)
    conv = graph.value("conv").producer
    graph.set_operand(conv, "w", graph.constant(np.zeros((4, 4, 3, 3), np.float32), "zeros"))
    graph.set_operand(conv, "b", None)
    graph.drop_dead()
    graph.verify()
    assert "w" not in graph
    (y,) = run(round_trip(graph))
    assert np.array_equal(y, np.maximum(batch_of(graph)[0], 0))


def test_what_is_dead_is_dropped(level):
    graph = parsed(RESIDUAL, level)
    graph.replace(graph.value("conv_1"), graph.value("x"))
    assert graph.drop_dead() == 3
    graph.verify()
    assert [c.name for c in graph.constants] == []
    assert ops(graph) == ["nn.add", "nn.relu"]


def test_order_is_restored(level):
    graph = parsed(RESIDUAL, level)
    first, *_, last = graph.nodes
    graph.move_before(last, first)
    with pytest.raises(ValueError, match="before it is defined"):
        graph.verify()
    graph.sort()
    graph.verify()
    assert run(graph)[0].tobytes() == run(parsed(RESIDUAL, level))[0].tobytes()


# -- any sequence of changes ---------------------------------------------------------------------


@given(st.data())
@settings(max_examples=40)
def test_any_sequence_of_changes_leaves_a_whole_graph(level, data):
    graph = parsed(RESIDUAL, level)
    for _ in range(data.draw(st.integers(1, 12))):
        data.draw(st.sampled_from(CHANGES))(graph, data)
        graph.verify()
    again = round_trip(graph)
    again.verify()
    for before, after in zip(run(graph), run(again), strict=True):
        assert before.tobytes() == after.tobytes()


def _values(graph: Graph, before: Node | None = None) -> list[Value]:
    """The activations defined in front of a node: all have one type in this graph."""
    found = list(graph.inputs)
    for node in graph.nodes:
        if node is before:
            break
        found += node.outputs
    return found


def _node(graph: Graph, data: st.DataObject) -> Node | None:
    nodes = list(graph.nodes)
    return data.draw(st.sampled_from(nodes)) if nodes else None


def _insert(graph: Graph, data: st.DataObject) -> None:
    anchor = _node(graph, data)
    value = data.draw(st.sampled_from(_values(graph, anchor)))
    op = data.draw(st.sampled_from(["nn.neg", "nn.tanh", "nn.add"]))
    slots = ("a", "b") if op == "nn.add" else ("x",)
    node = graph.create(op, dict.fromkeys(slots, value), before=anchor)
    infer_types(graph, node, TABLE)
    assert node.output.type == value.type


def _replace(graph: Graph, data: st.DataObject) -> None:
    node = _node(graph, data)
    if node is not None:
        new = data.draw(st.sampled_from(_values(graph, node)))
        graph.replace(node.output, new)


def _erase(graph: Graph, data: st.DataObject) -> None:
    node = _node(graph, data)
    if node is not None and not node.output.readers and not node.output.is_output:
        graph.erase(node)


def _rewire(graph: Graph, data: st.DataObject) -> None:
    node = _node(graph, data)
    if node is not None:
        slot = data.draw(st.sampled_from([s for s in node.operands if s in ("x", "a")]))
        graph.set_operand(node, slot, data.draw(st.sampled_from(_values(graph, node))))


def _rename(graph: Graph, data: st.DataObject) -> None:
    node = _node(graph, data)
    if node is not None:
        graph.rename(node.output, graph.fresh(data.draw(st.sampled_from(["a", "conv", "x.1"]))))


def _drop(graph: Graph, _: st.DataObject) -> None:
    graph.drop_dead()


def _move(graph: Graph, data: st.DataObject) -> None:
    nodes = list(graph.nodes)
    if len(nodes) > 1:
        node, anchor = data.draw(st.lists(st.sampled_from(nodes), min_size=2, max_size=2))
        if node is not anchor:
            graph.move_before(node, anchor)
            graph.sort()


CHANGES = [_insert, _replace, _erase, _rewire, _rename, _drop, _move]
