"""Every check that ships finds its fault, and nothing in a graph without faults."""

import pytest

from sparqc.engine.action import Action
from sparqc.ir.table import default_table
from sparqc.ir.text_parse import parse_statements
from sparqc.lang.ast import CheckDecl
from sparqc.library import installed, rulebook
from sparqc.passbase import Context
from sparqc.passes.check import findings_of
from sparqc.targets import profile

TABLE = default_table()
SHIPPED = {
    d.name.replace("_", "-")
    for file in installed()
    for d in file.declarations
    if file.path.startswith("patterns/") and isinstance(d, CheckDecl)
}

GOOD = """
x: f32[1, 2, 8, 8]
w: const i8[2, 2, 1, 1] = [[[[1]], [[-127]]], [[[3]], [[4]]]]
s: const f32[] = 0.05
t: const f32[2] = [0.1, 0.2]
z: const i8[] = 0
zw: const i8[2] = [0, 0]
q = q.quantize(x, s, z)
d = q.dequantize(q, s, z)
dw = q.dequantize(w, t, zw, axis=0)
c = nn.conv(d, dw)
y = nn.relu(c)
"""

#: check -> what is changed in the good graph, as (line that goes, lines that come) pairs
FAULTS = {
    "scale-not-normal": [("s: const f32[] = 0.05", "s: const f32[] = 0.0")],
    "scale-not-constant": [("s: const f32[] = 0.05", "s: f32[]")],
    "zero-point-not-zero": [
        ("z: const i8[] = 0", "z: const i8[] = 3"),
    ],
    "zero-point-not-constant": [("z: const i8[] = 0", "z: i8[]")],
    "weight-out-of-range": [("-127", "-128")],
    "not-int8": [("q = q.quantize(x, s, z)", "q: u8[1, 2, 8, 8]\nzu: const u8[] = 0"),
                 ("d = q.dequantize(q, s, z)", "d = q.dequantize(q, s, zu)")],
    "quantized-to-uint8": [("z: const i8[] = 0", "z: const u8[] = 0"),
                           ("q = q.quantize(x, s, z)", 'q = q.quantize(x, s, z, to="u8")')],
    "scales-not-along-axis": [("zw, axis=0)", "zw, axis=3)")],
    "weight-axis": [("zw, axis=0)", "zw, axis=1)")],
    "scale-type": [("x: f32[1, 2, 8, 8]", "x: f16[1, 2, 8, 8]")],
    "integer-operator": [
        ("y = nn.relu(c)", "e = nn.relu(c)\nu: const u8[] = 0\n"
         "f, g, h = onnx.DynamicQuantizeLinear(e)\ny = nn.cast(f, to=\"f32\")"),
    ],
    "dilated-pool": [
        ("y = nn.relu(c)", "y = nn.max_pool(c, kernel_shape=[2, 2], dilations=[2, 2])"),
    ],
    "pool-indices": [
        ("y = nn.relu(c)", "p, i = onnx.MaxPool(c, kernel_shape=[2, 2])\nj = nn.cast(i, to=\"f32\")"
         "\ny = nn.add(p, j)"),
    ],
    "training-batch-norm": [
        ("y = nn.relu(c)", "v: const f32[2] = [1.0, 1.0]\n"
         "y, m1, m2 = onnx.BatchNormalization(c, v, v, v, v, training_mode=1)"),
    ],
    "requantized": [
        ("d = q.dequantize(q, s, z)", "r = q.dequantize(q, s, z)\ns2: const f32[] = 0.07\n"
         "q2 = q.quantize(r, s2, z)\nd = q.dequantize(q2, s2, z)"),
    ],
    "half-quantized": [("c = nn.conv(d, dw)", "c = nn.conv(x, dw)")],
    "bare-weight": [("c = nn.conv(d, dw)", "v: const f32[2, 2, 1, 1]\nc = nn.conv(d, v)")],
    "residual-inputs": [
        ("y = nn.relu(c)", "qc = q.quantize(c, s, z)\ndc = q.dequantize(qc, s, z)\n"
         "qb = q.quantize(b, s, z)\ndb = q.dequantize(qb, s, z)\ny = nn.add(dc, db)"),
        ("x: f32[1, 2, 8, 8]", "x: f32[1, 2, 8, 8]\nb: f32[1, 2, 8, 8]"),
    ],
    "shared-dequantize": [("y = nn.relu(c)", "b = nn.relu(d)\ny = nn.concat(b, c, axis=1)")],
    "shared-weight": [
        ("c = nn.conv(d, dw)", "d2 = q.dequantize(q, s, z)\ndw2 = q.dequantize(w, t, zw, axis=0)\n"
         "c1 = nn.conv(d, dw)\nc2 = nn.conv(d2, dw2)\nc = nn.add(c1, c2)"),
    ],
    "computed-weight": [
        ("dw = q.dequantize(w, t, zw, axis=0)", "v: f32[2, 2, 1, 1]\n"
         "qv = q.quantize(v, t, zw, axis=0)\ndw = q.dequantize(qv, t, zw, axis=0)"),
    ],
    "moved-after-dequantize": [
        ("c = nn.conv(d, dw)", "m = nn.transpose(d, perm=[0, 1, 3, 2])\nc = nn.conv(m, dw)"),
    ],
    "quantized-output": [
        ("y = nn.relu(c)", "qc = q.quantize(c, s, z)\ny = q.dequantize(qc, s, z)"),
    ],
    "batch-norm-left": [
        ("y = nn.relu(c)", "v: const f32[2] = [1.0, 1.0]\n"
         "y = nn.batch_norm(c, v, v, v, v)"),
    ],
    "wide-codes": [
        ("c = nn.conv(d, dw)", "b: const i32[2] = [1000, 2]\ndb = q.dequantize(b, t, axis=0)\n"
         "c = nn.conv(d, dw, db)"),
    ],
}  # fmt: skip


def ids_of(text, target="tensorrt-11"):
    graph = parse_statements(text, TABLE, "onnx")
    context = Context(TABLE, rulebook(), profile(target), Action())
    return {finding.id for finding in findings_of(graph, context)}


def faulty(name):
    text = GOOD
    for old, new in FAULTS[name]:
        assert old in text
        text = text.replace(old, new)
    return text


def test_a_graph_without_faults_has_no_findings():
    assert ids_of(GOOD) == set()


@pytest.mark.parametrize("name", FAULTS)
def test_the_check_finds_its_fault(name):
    assert name in ids_of(faulty(name))


def test_weights_in_int8_are_an_error_for_tensorrt_8_alone():
    assert ids_of(GOOD, "tensorrt-8.6") == {"int8-weights"}


def test_scales_in_half_precision_are_an_error_for_tensorrt_8_alone():
    text = GOOD.replace("x: f32", "x: f16").replace("const f32", "const f16")
    assert ids_of(text) == set()
    assert ids_of(text, "tensorrt-8.6") == {"int8-weights", "half-scale"}


def test_every_check_is_tested():
    assert SHIPPED - FAULTS.keys() == {"int8-weights", "half-scale"}
