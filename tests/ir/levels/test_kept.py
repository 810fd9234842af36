"""Runners are kept while a graph stays as it is, and only then."""

import gc
import weakref

import numpy as np
import pytest
import torch

from sparqc.ir.fx.write import write_fx
from sparqc.ir.graph import TensorType
from sparqc.ir.levels.execute import open_runner
from sparqc.ir.text.parse import parse_statements
from sparqc.ir.vocabulary.table import default_table

TABLE = default_table()
TEXT = """
x: f32[batch, 4]
w: const f32[4]
y = nn.mul(x, w)
z = nn.leaky_relu(y, alpha=0.5)
"""
X = np.array([[1, -1, 2, -2]], np.float32)


def graph(level):
    made = parse_statements(TEXT, TABLE, level)
    made.value("w").data = np.array([1, 2, 3, 4], np.float32)
    made.set_outputs([made.value("z")])
    return made


def run(g):
    return open_runner(g, TABLE).run([X])[0]


@pytest.mark.parametrize("level", ["fx", "onnx"])
def test_the_same_graph_has_the_same_runner(level):
    g = graph(level)
    assert open_runner(g, TABLE) is open_runner(g, TABLE)
    assert open_runner(g, TABLE, optimize="all") is not open_runner(g, TABLE)
    assert open_runner(g.clone(), TABLE) is not open_runner(g, TABLE)
    assert open_runner(g, TABLE, shared=False) is not open_runner(g, TABLE, shared=False)


def other_weight(g):
    g.value("w").data = np.array([2, 2, 2, 2], np.float32)


def weight_in_place(g):
    g.value("w").data[:] = 2


def other_attribute(g):
    g.value("z").producer.attributes["alpha"] = 0.25


def other_output(g):
    g.set_outputs([g.value("y")])


def other_operand(g):
    g.set_operand(g.value("y").producer, "b", g.constant(np.array(3, np.float32), "three"))


def another_input(g):
    g.add_input("unread", TensorType("f32", (1,)))


def new_names(g):
    g.rename(g.inputs[0], "image")


@pytest.mark.parametrize("level", ["fx", "onnx"])
@pytest.mark.parametrize("change", [other_weight, weight_in_place, other_attribute, other_output,
                                    other_operand])  # fmt: skip
def test_every_change_is_seen(level, change):
    g, never_run = graph(level), graph(level)
    run(g)
    change(g), change(never_run)
    assert np.array_equal(run(g)[0], run(never_run)[0])
    assert not np.array_equal(run(g)[0], run(graph(level))[0])


@pytest.mark.parametrize("level", ["fx", "onnx"])
@pytest.mark.parametrize("change", [another_input, new_names])
def test_changes_of_the_border_give_another_runner(level, change):
    g = graph(level)
    before = open_runner(g, TABLE)
    before.run([X])
    change(g)
    batch = [X] if len(g.inputs) == 1 else [X, np.zeros(1, np.float32)]
    assert open_runner(g, TABLE) is not before
    assert np.array_equal(open_runner(g, TABLE).run(batch)[0][0], run(graph(level))[0])


MASKED = """
x: f32[batch, 512]
w: const f32[1, 512]
mask: const f32[1, 512]
m = sparse.mask(w, mask)
y = nn.linear(x, m)
"""


def test_training_of_the_written_module_is_seen_through_masks():
    g = parse_statements(MASKED, TABLE, "fx")
    g.value("mask").data = np.tile(np.float32([1, 0]), 256)[None]
    x, module = np.ones((1, 512), np.float32), write_fx(g, TABLE)
    runner = open_runner(g, TABLE)
    (before,), _ = runner.run([x])
    with torch.no_grad():
        module.get_parameter("w").add_(1)
    again = open_runner(g, TABLE)
    assert again is runner
    (after,), _ = again.run([x])
    assert np.allclose(after, before + 256, atol=1e-3)


@pytest.mark.parametrize("level", ["fx", "onnx"])
def test_nothing_stays_when_the_graph_is_gone(level):
    g = graph(level)
    run(g)
    runner, owner = weakref.ref(g.kept.runner), weakref.ref(g)
    del g
    gc.collect()
    assert runner() is None and owner() is None


@pytest.mark.parametrize("level", ["fx", "onnx"])
def test_a_change_of_structure_lets_the_runner_go_at_once(level):
    g = graph(level)
    run(g)
    g.create("nn.relu", {"x": g.value("z")}, types=[g.value("z").type])
    assert g.kept is None
