"""The ONNX graph after surgery: weights as the target wants them, a DQ for each reader."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparqc.declared.targets import profile
from sparqc.ir.constants import constant_value
from sparqc.ir.levels.execute import open_runner
from sparqc.ir.text.parse import parse_statements
from sparqc.ir.vocabulary.table import default_table
from sparqc.pipeline.action import Action
from sparqc.pipeline.catalogue import make
from sparqc.pipeline.library import rulebook
from sparqc.rewrite.context import Context

TABLE = default_table()

TWO_READERS = """
x: f32[1, 16, 4, 4]
w: const f32[16, 16, 3, 3]
s: const f32[] = 0.05
t: const f32[] = 0.04
z: const i8[] = 0
q = q.quantize(x, s, z)
d = q.dequantize(q, s, z)
v = q.quantize(w, t, z)
u = q.dequantize(v, t, z)
a = nn.conv(d, u, none, pads=[1, 1, 1, 1])
b = nn.conv(d, u, none, pads=[1, 1, 1, 1])
y = nn.concat(a, b, d, axis=1)
"""


def surgery(text, target="tensorrt-11"):
    graph = parse_statements(text, TABLE, "onnx")
    context = Context(TABLE, rulebook(), profile(target), Action())
    graph, _ = context.action.pass_(make("surgery"), graph, context)
    graph.verify()
    return graph


def test_each_reader_has_a_dequantizer_of_its_own():
    graph = surgery(TWO_READERS)
    dequantizers = [n for n in graph.nodes if n.op == "q.dequantize"]
    assert [len(n.output.readers) for n in dequantizers] == [1] * 5  # three of x, two of w
    codes = {n.operands["x"] for n in dequantizers if n.operands["x"].is_const}
    assert len(codes) == 2  # an initializer for each convolution


@pytest.mark.parametrize(
    ("target", "form"), [("tensorrt-11", "codes"), ("tensorrt-8.6", "floats behind a Q/DQ pair")]
)
def test_weights_are_stored_in_the_form_of_the_target(target, form):
    graph = surgery(TWO_READERS, target)
    weights = [n.operands["w"].producer.operands["x"] for n in graph.nodes if n.op == "nn.conv"]
    if form == "codes":
        assert all(w.data.dtype == np.int8 for w in weights)
    else:
        assert all(w.producer.op == "q.quantize" for w in weights)


@pytest.mark.parametrize("target", ["tensorrt-11", "tensorrt-8.6"])
def test_the_numbers_stay_to_the_bit(target):
    x = np.random.default_rng(0).standard_normal((1, 16, 4, 4), np.float32)
    (before,), _ = open_runner(parse_statements(TWO_READERS, TABLE, "onnx"), TABLE).run([x])
    (after,), _ = open_runner(surgery(TWO_READERS, target), TABLE).run([x])
    np.testing.assert_array_equal(before, after)


def test_each_reader_of_a_float_weight_has_a_copy_of_its_own():
    graph = surgery(TWO_READERS, "tensorrt-8.6")
    pairs = [n.operands["w"].producer.operands["x"] for n in graph.nodes if n.op == "nn.conv"]
    weights = [pair.producer.operands["x"] for pair in pairs]
    assert len({*pairs, *weights}) == 4
    assert np.array_equal(weights[0].data, weights[1].data)
    assert all(len(v.readers) == 1 for v in (*pairs, *weights))


def test_a_float_reader_keeps_the_float_weight():
    text = TWO_READERS.replace("y = nn.concat", "e = nn.relu(w)\ny = nn.concat")
    graph = surgery(text, "tensorrt-8.6")
    (relu,) = (n for n in graph.nodes if n.op == "nn.relu")
    assert relu.operands["x"].readers == (relu,)


TURNED = """
x: f32[4, 16]
w: const i8[32, 16]
s: const f32[] = 0.05
t: const f32[32]
z: const i8[] = 0
q = q.quantize(x, s, z)
d = q.dequantize(q, s, z)
u = q.dequantize(w, t, z, axis=0)
m = nn.transpose(u, perm=[1, 0])
y = nn.matmul(d, m)
"""


def test_what_a_check_cures_exactly_is_cured():
    graph = surgery(TURNED.replace("t, z, axis", "t, none, axis"))
    assert [n.op for n in graph.nodes if n.op != "q.dequantize"] == ["q.quantize", "nn.matmul"]


def test_an_output_keeps_its_dequantizer():
    graph = surgery(
        "x: f32[4]\ns: const f32[] = 0.05\nq = q.quantize(x, s)\nd = q.dequantize(q, s)\n"
        "y = nn.mul(d, d)\nreturn d, y"
    )
    assert [n.op for n in graph.nodes].count("q.dequantize") == 2
    assert graph.outputs[0].name == "d"


STORED = """
x: f32[1, 4, 4, 4]
w: const i8[2, 4, 1, 1] = [[[[127]], [[0]], [[-3]], [[0]]], [[[0]], [[1]], [[0]], [[-127]]]]
b: const i32[2] = [1000, -7]
s: const f32[] = 0.05
t: const f32[2] = [0.013, 0.007]
z: const i8[] = 0
q = q.quantize(x, s, z)
d = q.dequantize(q, s, z)
u = q.dequantize(w, t, axis=0)
v = q.dequantize(b, t, axis=0)
y = nn.conv(d, u, v)
"""


def test_stored_codes_become_floats_behind_a_pair_where_the_target_reads_no_codes():
    graph = surgery(STORED, "tensorrt-8.6")
    (conv,) = (n for n in graph.nodes if n.op == "nn.conv")
    quantize = conv.operands["w"].producer.operands["x"].producer
    assert quantize.op == "q.quantize"
    before = parse_statements(STORED, TABLE, "onnx").value("w").data
    assert np.array_equal(constant_value(quantize.output, TABLE), before)


def test_stored_codes_stay_where_the_target_reads_them():
    graph = surgery(STORED)
    assert graph.value("w").data.dtype == np.int8


@pytest.mark.parametrize("target", ["tensorrt-11", "tensorrt-8.6"])
def test_a_bias_in_wide_codes_becomes_floats(target):
    graph = surgery(STORED, target)
    (conv,) = (n for n in graph.nodes if n.op == "nn.conv")
    np.testing.assert_allclose(conv.operands["b"].data, [13.0, -0.049], rtol=1e-6)
    assert conv.operands["b"].type.dtype == "f32"


@settings(deadline=None)
@given(st.floats(2.0**-126, 2.0**100, width=32), st.integers(-128, 127))
def test_codes_survive_as_floats(scale, code):
    text = STORED.replace("[0.013, 0.007]", repr([scale, scale])).replace(
        "[[[[127]]", f"[[[[{code}]]"
    )
    graph = surgery(text, "tensorrt-8.6")
    (conv,) = (n for n in graph.nodes if n.op == "nn.conv")
    codes = constant_value(conv.operands["w"].producer.operands["x"], TABLE)
    assert codes[0, 0, 0, 0] == code
