"""Models that are FP16 as they come: FP32 in between, and FP16 again at the end."""

from collections import Counter

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper
from onnx.numpy_helper import from_array
from torch import nn

import sparqc
from sparqc.declared.targets import profile
from sparqc.ir.levels.execute import open_runner
from sparqc.ir.onnx.adapter import read_onnx, write_onnx
from sparqc.ir.text.parse import parse_statements
from sparqc.ir.vocabulary.table import default_table
from sparqc.passes.adopt.adopted import Adoption
from sparqc.passes.half.half import HalfConversion
from sparqc.passes.half.widened import Widened
from sparqc.passes.half.widening import widen
from sparqc.pipeline.action import Action
from sparqc.pipeline.catalogue import make
from sparqc.pipeline.library import rulebook
from sparqc.rewrite.context import Context

TABLE = default_table()

HALF = """
x: f16[1, 8, 6, 6]
w: const f16[8, 8, 3, 3]
a = nn.conv(x, w, pads=[1, 1, 1, 1])
b = nn.cast(a, to="f32")
e = nn.exp(b)
h = nn.cast(e, to="f16")
y = nn.relu(h)
"""


def graph_of(text):
    return parse_statements(text, TABLE, "onnx")


def widened(graph):
    """What the pass makes of a graph (or text), and what it noted."""
    graph = graph_of(graph) if isinstance(graph, str) else graph
    context = Context(TABLE, rulebook(), profile("tensorrt-11"), Action())
    graph, _ = context.action.pass_(make("widen", {}), graph, context)
    graph.verify()
    onnx.checker.check_model(write_onnx(graph, TABLE), full_check=True)
    return graph, context.facts.get(Widened)


def types(graph):
    return {v.name: v.type.dtype for v in graph.values if v.type.dtype.startswith("f")}


def casts(graph):
    return [
        f"{n.operands['x'].name} to {n.attributes['to']}" for n in graph.nodes if n.op == "nn.cast"
    ]


def test_inputs_and_outputs_keep_their_types_and_all_between_is_fp32():
    graph, noted = widened(HALF)
    assert casts(graph) == ["x to f32", "y to f16"]  # those of the model are gone
    assert {n for n, t in types(graph).items() if t == "f16"} == {"x", "y.f16"}
    assert graph.value("w").data.dtype == np.float32
    assert noted.half == {"a", "h", "y"} and noted.full == {"b", "e"}


def test_numbers_are_those_of_fp16():
    before, (after, _) = graph_of(HALF), widened(HALF)
    x = np.random.default_rng(0).standard_normal((1, 8, 6, 6)).astype(np.float16)
    rng = np.random.default_rng(1)
    w = (rng.standard_normal((8, 8, 3, 3)) / 20).astype(np.float16)
    before.value("w").data, after.value("w").data = w, w.astype(np.float32)
    (one,), _ = open_runner(before, TABLE).run([x])
    (two,), _ = open_runner(after, TABLE).run([x])
    assert one.dtype == two.dtype == np.float16
    np.testing.assert_allclose(two.astype(np.float32), one.astype(np.float32), rtol=2e-2)


def test_a_model_in_fp32_stays_as_it_is():
    graph = graph_of("x: f32[4]\ny = nn.relu(x)\n")
    assert widened(graph) == (graph, None)


def test_what_only_hands_fp16_on_does_not_make_the_rest_somebodys_choice():
    """FP16 inputs and outputs say nothing of what computes between them."""
    graph, noted = widened(
        'x: f16[2, 3]\nt = nn.transpose(x, perm=[1, 0])\nf = nn.cast(t, to="f32")\n'
        'y = nn.tanh(f)\nz = nn.cast(y, to="f16")\n'
    )
    assert noted.full == frozenset()
    assert casts(graph) == ["x to f32", "y to f16"]


def model_of(*nodes, inputs=(), constants=()):
    """A model of nodes that end in `y`; it reads `x` in FP16."""
    shape = [3, 3]
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT16, shape) for n in "xy"]
    graph = helper.make_graph(nodes, "main", [ends[0], *inputs], [ends[1]], constants)
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10)


def test_operators_outside_onnx_read_and_give_what_they_did():
    model = model_of(
        helper.make_node("Relu", ["x"], ["a"]),
        helper.make_node("QuickGelu", ["a"], ["b"], domain="com.microsoft"),
        helper.make_node("Tanh", ["b"], ["y"]),
    )
    model.graph.value_info.append(helper.make_tensor_value_info("b", TensorProto.FLOAT16, [3, 3]))
    graph = read_onnx(model, TABLE)
    noted = widen(graph, TABLE)
    found = types(graph)
    assert found["b"] == "f16" and found["a"] == found["y"] == "f32"
    assert casts(graph) == ["x to f32", "a to f16", "b to f32", "y to f16"]
    assert noted.half == {"a", "y"}


def test_subgraphs_read_what_they_did():
    branch = helper.make_graph(
        [helper.make_node("Add", ["a", "a"], ["out"])], "branch", [],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT16, [3, 3])],
    )  # fmt: skip
    model = model_of(
        helper.make_node("Relu", ["x"], ["a"]),
        helper.make_node("If", ["c"], ["b"], then_branch=branch, else_branch=branch),
        helper.make_node("Tanh", ["b"], ["y"]),
        inputs=[helper.make_tensor_value_info("c", TensorProto.BOOL, [])],
    )
    graph = read_onnx(model, TABLE)
    widen(graph, TABLE)
    written = write_onnx(graph, TABLE)
    onnx.checker.check_model(written, full_check=True)
    x = np.arange(-4, 5, dtype=np.float16).reshape(3, 3)
    (found,) = onnxruntime.InferenceSession(written.SerializeToString()).run(
        None, {"x": x, "c": np.array(True)}
    )
    np.testing.assert_allclose(found, np.tanh(2 * np.maximum(x, 0)), rtol=2e-3)


@pytest.mark.parametrize(
    "node",
    [
        helper.make_node("EyeLike", ["m"], ["a"], dtype=TensorProto.FLOAT16),
        helper.make_node("ConstantOfShape", ["s"], ["a"], value=from_array(np.float16([2]))),
        helper.make_node("RandomNormal", [], ["a"], dtype=TensorProto.FLOAT16, shape=[3, 3]),
        helper.make_node("Bernoulli", ["m"], ["a"], dtype=TensorProto.FLOAT16),
        helper.make_node("CastLike", ["m", "x"], ["a"]),
    ],
    ids=lambda node: node.op_type,
)  # fmt: skip
def test_attributes_that_name_fp16_follow(node):
    model = model_of(
        node,
        helper.make_node("Add", ["a", "x"], ["y"]),
        inputs=[helper.make_tensor_value_info("m", TensorProto.FLOAT, [3, 3])],
        constants=[helper.make_tensor("s", TensorProto.INT64, [2], [3, 3])],
    )
    graph = read_onnx(model, TABLE)
    widen(graph, TABLE)
    onnx.checker.check_model(write_onnx(graph, TABLE), full_check=True)
    assert graph.outputs[0].type.dtype == "f16"
    assert {t for n, t in types(graph).items() if n == "a"} == {"f32"}


def test_a_model_that_overflows_in_fp16_stays_fp16():
    """Its infinities are what it computes with; FP32 would have numbers there."""
    net = nn.Sequential(nn.Linear(16, 16, bias=False))
    with torch.no_grad():
        net[0].weight.fill_(300)

    class Overflowing(nn.Module):
        def __init__(self):
            super().__init__()
            self.net, self.last = net.half(), nn.Linear(16, 16).half()

        def forward(self, x):
            return self.last(torch.sigmoid(self.net(x) * 300))

    x = torch.ones(2, 16).half()
    model = sparqc.compile(Overflowing().eval(), (x,), passes="float").model
    done = sparqc.compile(model, (x,), calibration=[(x,)], passes="widen, export, check")
    assert "gives another shape, or numbers where" in done.context.facts[Widened].refused
    kinds = Counter(n.op_type for n in done.model.graph.node)
    assert "Cast" not in kinds


class Mixed(nn.Module):
    """A residual block, and a softmax of its own that `half` keeps in FP32."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(16, 32, 3, padding=1), nn.Conv2d(32, 32, 3, padding=1)
        self.c = nn.Conv2d(32, 32, 3, padding=1)
        self.head = nn.Linear(32, 32)

    def forward(self, x):
        a = self.a(x).relu()
        e = torch.exp(-self.b(a).abs())
        y = self.c(e / e.sum(1, keepdim=True)) + a
        return self.head(y.mean((2, 3)))


@pytest.fixture(scope="module")
def own():
    torch.manual_seed(0)
    data = [(torch.randn(2, 16, 8, 8),) for _ in range(2)]
    return sparqc.compile(Mixed().eval(), data[0], calibration=data, passes="int8", float="fp16")


def kinds(model):
    return Counter(node.op_type for node in model.graph.node)


def test_an_own_file_is_compiled_again_to_what_it_was(own):
    assert kinds(own.model)["Cast"] >= 1  # it is mixed
    again = sparqc.compile(own.model, (torch.randn(2, 16, 8, 8),), passes="int8", float="fp16")
    assert kinds(again.model) == kinds(own.model)
    assert {c.kind for c in again.context.facts[Adoption].changes} == {"kept"}
    x = np.random.default_rng(0).standard_normal((2, 16, 8, 8)).astype(np.float32)
    one, two = (
        onnxruntime.InferenceSession(m.SerializeToString()).run(None, {"x": x})[0]
        for m in (own.model, again.model)
    )
    np.testing.assert_allclose(one, two, atol=5e-3 * np.abs(one).max())
    kept = {k.reason for k in again.context.facts[HalfConversion].kept}
    assert "it is FP32 in the model, whose other operators are FP16" in kept


@pytest.mark.parametrize("float_", ["fp32", "fp16"])
def test_float_is_what_is_asked_for(own, float_):
    """--float fp32 gives an FP16 file back in FP32."""
    again = sparqc.compile(own.model, (torch.randn(2, 16, 8, 8),), passes="int8", float=float_)
    scales = {n.input[1] for n in again.model.graph.node if n.op_type == "QuantizeLinear"}
    found = {t.data_type for t in again.model.graph.initializer if t.name in scales}
    wanted = {"fp32": TensorProto.FLOAT, "fp16": TensorProto.FLOAT16}[float_]
    assert wanted in found and (float_ == "fp16" or found == {wanted})
