"""The element types of graph inputs and outputs."""

import numpy as np
import onnx
import pytest

from sparqc.declared.targets import profile
from sparqc.errors import SparqcError, UsageError
from sparqc.ir.boundary import BoundaryTypes, decode, encode, ends_of
from sparqc.ir.levels.execute import open_runner
from sparqc.ir.onnx.adapter import write_onnx
from sparqc.ir.text.parse import parse_statements
from sparqc.ir.vocabulary.table import default_table
from sparqc.passes.boundary import BoundaryEnds
from sparqc.pipeline.action import Action
from sparqc.pipeline.catalogue import make
from sparqc.pipeline.library import rulebook
from sparqc.rewrite.context import Context

TABLE = default_table()

CODED = """
x: f32[batch, 16]
ids: i64[batch]
s: const f32[] = 0.05
z: const i8[] = 0
t: const f32[16, 16]
q = q.quantize(x, s, z)
d = q.dequantize(q, s, z)
e = q.dequantize(q, s, z)
g = nn.gather(t, ids, axis=0)
r = nn.relu(d)
a = nn.add(e, g)
p = q.quantize(r, s, z)
y = q.dequantize(p, s, z)
"""


def context_for(io, precision="fp32", calibration=None):
    return Context(
        TABLE, rulebook(), profile("tensorrt-11"), Action(), boundary=BoundaryTypes.parse(io),
        precision=precision, calibration=calibration,
    )  # fmt: skip


def changed(io, text=CODED, outputs=("a", "y"), **options):
    """The graph behind the pass (and behind `half`), and the context."""
    graph = parse_statements(text, TABLE, "onnx")
    values = [graph.value(name) for name in outputs]
    graph.set_outputs(values, [f"{v.name}.out" if v.is_input else v.name for v in values])
    context = context_for(io, **options)
    for name in ("boundary", "half"):
        graph, _ = context.action.pass_(make(name), graph, context)
    graph.verify()
    onnx.checker.check_model(write_onnx(graph, TABLE), full_check=True)
    return graph, context


def ends(graph):
    given = {v.name: v.type.dtype for v in graph.inputs}
    return given | {n: v.type.dtype for n, v in zip(graph.output_names, graph.outputs, strict=True)}


def run(graph, context, batch):
    given = encode(batch, ends_of(graph), context.scales)
    outputs, _ = open_runner(graph, TABLE).run(given)
    return decode(outputs, graph.output_names, context.scales)


def batch():
    rng = np.random.default_rng(0)
    return [rng.standard_normal((3, 16), np.float32), np.array([0, 5, 15])]


@pytest.mark.parametrize(
    ("io", "precision", "types"),
    [
        ("float", "fp32", {"x": "f32", "ids": "i64", "a": "f32", "y": "f32"}),
        ("float", "fp16", {"x": "f32", "ids": "i64", "a": "f32", "y": "f32"}),
        ("fp16", "fp32", {"x": "f16", "ids": "i64", "a": "f16", "y": "f16"}),
        ("fp16", "fp16", {"x": "f16", "ids": "i64", "a": "f16", "y": "f16"}),
        ("int8", "fp16", {"x": "i8", "ids": "i64", "a": "f32", "y": "i8"}),
        ("int8,y=float", "fp32", {"x": "i8", "ids": "i64", "a": "f32", "y": "f32"}),
        ("y=fp16", "fp16", {"x": "f32", "ids": "i64", "a": "f32", "y": "f16"}),
    ],
)
def test_types(io, precision, types):
    graph, context = changed(io, precision=precision)
    assert ends(graph) == types
    before, _ = open_runner(changed("float")[0], TABLE).run(batch())
    for x, y in zip(before, run(graph, context, batch()), strict=True):
        np.testing.assert_allclose(y, x, atol=0.051)  # one step of the codes, and some rounding


def test_in_fp16_no_cast_is_left():
    graph, _ = changed("fp16", precision="fp16")
    assert not [n for n in graph.nodes if n.op == "nn.cast"]


def test_codes_are_what_the_quantizer_gave():
    graph, context = changed("int8")
    assert context.scales == {"x": pytest.approx(0.05), "y": pytest.approx(0.05)}
    assert [n.op for n in graph.nodes].count("q.quantize") == 1  # the one of the input is gone
    before, _ = open_runner(changed("float")[0], TABLE).run(batch())
    for x, y in zip(before, run(graph, context, batch()), strict=True):
        np.testing.assert_array_equal(y, x)


def test_the_scale_that_is_reported_is_the_one_in_the_file():
    graph, context = changed("int8", precision="fp16")
    scale = graph.value("x").readers[0].operands["scale"]
    assert scale.type.dtype == "f16"
    assert context.scales["x"] == float(scale.data)


def test_a_float_output_is_quantized_where_it_is_asked_for_by_name():
    graph, context = changed("a=int8", calibration=lambda: [batch()])
    assert ends(graph)["a"] == "i8"
    (expected, _), _ = open_runner(changed("float")[0], TABLE).run(batch())
    assert context.scales["a"] == pytest.approx(np.abs(expected).max() / 127)
    np.testing.assert_allclose(
        run(graph, context, batch())[0], expected, atol=context.scales["a"] / 1.99
    )


def test_without_calibration_data_that_is_an_error():
    with pytest.raises(SparqcError, match="no calibration data"):
        changed("a=int8")


def test_what_is_not_int8_says_why():
    _, context = changed("int8")
    notes = {end.name: end.note for end in context.facts[BoundaryEnds].ends if end.note}
    assert notes == {"a": "it ends in float; ask for a=int8"}


FLOAT_READER = "x: f32[4]\ns: const f32[] = 0.1\nz: const i8[] = 0\nq = q.quantize(x, s, z)\n"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("x: f32[4]\ny = nn.tanh(x)\n", "no operator reads it in INT8"),
        (
            FLOAT_READER + "d = q.dequantize(q, s, z)\nt = nn.tanh(x)\ny = nn.add(d, t)\n",
            "an operator reads it in float as well",
        ),
        (
            FLOAT_READER
            + "u: const f32[] = 0.2\np = q.quantize(x, u, z)\nd = q.dequantize(q, s, z)\n"
            "e = q.dequantize(p, u, z)\ny = nn.add(d, e)\n",
            "its quantizers do not have one scale",
        ),
    ],
)
def test_inputs_that_cannot_be_codes(text, reason):
    graph, context = changed("int8", text, ("y",))
    assert ends(graph)["x"] == "f32"
    assert context.facts[BoundaryEnds].ends[0].note == reason
    with pytest.raises(UsageError, match=reason):
        changed("x=int8", text, ("y",))


def test_an_input_that_is_an_output_too():
    graph, context = changed("fp16", "x: f32[4]\ny = nn.tanh(x)\n", ("y", "x"), precision="fp16")
    y, x = run(graph, context, [np.full(4, 0.5, np.float32)])
    np.testing.assert_array_equal(x, np.full(4, 0.5))
    np.testing.assert_allclose(y, np.tanh(0.5), atol=1e-3)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("fp61", "did you mean 'fp16'"),
        ("x=", "NAME="),
        ("=fp16", "NAME="),
        ("", "NAME="),
        ("fp16,,", "NAME="),
    ],
)
def test_words_that_mean_nothing(text, words):
    with pytest.raises(UsageError) as error:
        BoundaryTypes.parse(text)
    assert words in str(error.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [("z=fp16", "no input or output has that name"), ("ids=fp16", "it is i64")],
)
def test_names_that_cannot_be_meant(text, words):
    graph = parse_statements(CODED, TABLE, "onnx")
    with pytest.raises(UsageError, match=words):
        BoundaryTypes.parse(text).check(graph)
