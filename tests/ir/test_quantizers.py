"""What runs in INT8 on a graph with Q/DQ, and the names of quantizers."""

import pytest

from sparqc.ir.quantizers import (
    CONVERSIONS,
    DEQUANTIZERS,
    QUANTIZERS,
    ROUNDERS,
    onnx_conversions,
    reads_codes_only,
    runs_in_int8,
)
from sparqc.ir.text.parse import parse_statements
from sparqc.ir.vocabulary.table import default_table
from sparqc.ir.weighted import stored_array

TABLE = default_table()
GRAPH = """
x: f32[2, 16, 4, 4]
long: i16[2, 16, 4, 4]
i: const i64[4] = [2, 16, 4, 4]
w: const i8[16, 16, 1, 1] = {weight}
v: const f32[16, 16, 1, 1] = {weight}
b: const f32[16] = {bias}
s: const f32[] = 0.05
z: const i8[] = 0
q = q.quantize(x, s, z)
d = q.dequantize(q, s, z)
u = q.dequantize(w, s, z)
t = nn.identity(u)
wide = q.dequantize(long, s)
coded = nn.conv(d, u, b)
bare = nn.conv(x, u, b)
words = nn.conv(wide, u, b)
floats = nn.conv(d, v, b)
behind = nn.conv(d, t, b)
pool = nn.max_pool(d, kernel_shape=[2, 2])
sum = nn.add(d, d)
half = nn.add(d, bare)
clip = nn.clip(d, s, s)
y = nn.add(coded, bare)
"""


@pytest.fixture(scope="module")
def graph():
    weight = str([[[[k % 3]] for k in range(16)] for _ in range(16)])
    return parse_statements(GRAPH.format(weight=weight, bias=[0.0] * 16), TABLE, "onnx")


@pytest.mark.parametrize(
    ("name", "int8"),
    [
        ("coded", True),
        ("bare", False),
        ("floats", False),
        ("behind", False),
        ("pool", False),
        ("words", False),
    ],
)
def test_an_operator_runs_in_int8_with_codes_on_both_sides(graph, name, int8):
    assert runs_in_int8(graph.value(name).producer) is int8


@pytest.mark.parametrize(
    ("name", "only"),
    [("coded", True), ("bare", False), ("floats", False), ("pool", True), ("sum", True),
     ("half", False), ("clip", True), ("y", False)],
)  # fmt: skip
def test_constants_beside_the_weight_are_no_codes_and_do_not_count(graph, name, only):
    assert reads_codes_only(graph.value(name).producer, TABLE) is only


def test_a_stored_array_is_the_codes_or_the_floats(graph):
    assert stored_array(graph.value("u"), TABLE).dtype == "int8"
    assert stored_array(graph.value("v"), TABLE).dtype == "float32"
    assert stored_array(graph.value("d"), TABLE) is None


def test_the_names_are_rows_of_the_table_and_the_types_are_those_of_onnx():
    assert {name for name in TABLE.names if name.startswith("q.")} == QUANTIZERS
    assert ROUNDERS | DEQUANTIZERS == QUANTIZERS and CONVERSIONS < QUANTIZERS
    assert onnx_conversions() == {
        "QuantizeLinear": "q.quantize",
        "DequantizeLinear": "q.dequantize",
    }
