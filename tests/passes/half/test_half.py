"""The float remainder in FP16: one type for each value, a Cast where two meet, and what stays."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from sparqc.declared.targets import profile
from sparqc.errors import UsageError
from sparqc.ir.levels.execute import open_runner
from sparqc.ir.onnx.adapter import read_onnx, write_onnx
from sparqc.ir.text.parse import parse_statements
from sparqc.ir.vocabulary.table import default_table
from sparqc.lang.parse.parser import parse_text
from sparqc.passes.half.half import HalfConversion
from sparqc.pipeline.action import Action
from sparqc.pipeline.catalogue import make
from sparqc.pipeline.library import rulebook
from sparqc.rewrite.context import Context

TABLE = default_table()


def context_for(target="tensorrt-11", precision="fp16", example=()):
    return Context(
        TABLE, rulebook(), profile(target), Action(), precision=precision, precision_asked=True,
        example=example,
    )  # fmt: skip


def half(graph, context=None, **options):
    """The graph behind the pass (of text, or read from a model), and what the pass did."""
    if isinstance(graph, str):
        graph = parse_statements(graph, TABLE, "onnx")
    context = context or context_for()
    graph, _ = context.action.pass_(make("half", options), graph, context)
    graph.verify()
    onnx.checker.check_model(write_onnx(graph, TABLE), full_check=True)
    return graph, context.facts.get(HalfConversion)


def types(graph):
    """The type of each value that an operator gives, by its name."""
    return {v.name: v.type.dtype for n in graph.nodes for v in n.outputs}


def casts(graph):
    return [
        f"{n.operands['x'].name} to {n.attributes['to']}" for n in graph.nodes if n.op == "nn.cast"
    ]


def reasons(facts):
    return {kept.value: kept.reason for kept in facts.kept}


QUANTIZED = """
x: f32[batch, 16, 4, 4]
w: const i8[16, 16, 3, 3]
b: const f32[16]
s: const f32[] = 0.05
t: const f32[] = 0.04
z: const i8[] = 0
q = q.quantize(x, s, z)
d = q.dequantize(q, s, z)
u = q.dequantize(w, t, z)
c = nn.conv(d, u, b, pads=[1, 1, 1, 1])
r = nn.relu(c)
p = q.quantize(r, s, z)
e = q.dequantize(p, s, z)
g = nn.global_average_pool(e)
y = nn.sigmoid(g)
"""


def test_a_quantizer_has_the_type_of_its_float_side():
    graph, _ = half(QUANTIZED)
    assert casts(graph) == ["y to f32"]  # the input is quantized in its own type
    found = types(graph)
    assert {found[n] for n in "ducrgye"} == {"f16"}
    for node in graph.nodes:
        if node.op in ("q.quantize", "q.dequantize"):
            side = node.operands["x"] if node.op == "q.quantize" else node.output
            assert node.operands["scale"].type.dtype == side.type.dtype


def test_scales_of_both_types_are_one_number():
    """A Q in FP32 and its DQ in FP16 would else requantize."""
    graph, _ = half(QUANTIZED)
    scales = {
        float(n.operands["scale"].data)
        for n in graph.nodes
        if n.op.startswith("q.") and n.output.name in ("q", "d", "p", "e")
    }
    assert scales == {float(np.float16(0.05))}


def test_biases_and_weights_are_converted_where_they_stand():
    graph, _ = half(QUANTIZED)
    assert graph.value("b").data.dtype == np.float16
    assert graph.value("w").data.dtype == np.int8


def test_nothing_happens_in_fp32():
    graph, facts = half(QUANTIZED, context_for(precision="fp32"))
    assert casts(graph) == []
    assert set(types(graph).values()) == {"f32", "i8"}
    assert facts is None


def test_the_numbers_are_those_of_fp32_within_the_tolerance_of_fp16():
    x = np.random.default_rng(0).standard_normal((2, 16, 4, 4), np.float32)
    (before,), _ = open_runner(parse_statements(QUANTIZED, TABLE, "onnx"), TABLE).run([x])
    (after,), _ = open_runner(half(QUANTIZED)[0], TABLE).run([x])
    np.testing.assert_allclose(after, before, rtol=0, atol=2e-3)


def test_a_kernel_with_a_tiny_scale_stays_in_fp32_between_its_quantizers():
    graph, facts = half(QUANTIZED.replace("t: const f32[] = 0.04", "t: const f32[] = 1e-6"))
    found = types(graph)
    assert [found[n] for n in "ducr"] == ["f32"] * 4
    assert found["e"] == found["g"] == "f16"  # the pair behind it changes the type, without a Cast
    assert casts(graph) == ["y to f32"]
    assert reasons(facts)["c"] == "a scale of u is 1e-06, which FP16 does not hold"
    assert reasons(facts)["r"].startswith("one kernel with c: ")


def test_a_dequantized_value_read_in_two_types_is_dequantized_twice():
    graph, _ = half("""
x: f32[2, 8]
s: const f32[] = 0.05
z: const i8[] = 0
q = q.quantize(x, s, z)
d = q.dequantize(q, s, z)
w: const f32[8, 8]
a = nn.log_softmax(d)
b = nn.matmul(d, w)
c = nn.matmul(a, w)
y = nn.add(b, c)
""")
    read = [graph.value("a").producer.operands["x"], graph.value("b").producer.operands["a"]]
    assert [v.type.dtype for v in read] == ["f32", "f16"]
    assert all(v.producer.op == "q.dequantize" for v in read)


# -- what stays in FP32 ------------------------------------------------------------------------

NORMALIZED = """
x: f32[batch, 7, 64]
w: const f32[64, 64]
e: const f32[] = 1e-12
g: const f32[64]
a = nn.matmul(x, w)
m = nn.reduce_mean(a, axes=[-1], keepdims=true)
d = nn.sub(a, m)
p = nn.pow(d, 2.0)
v = nn.reduce_mean(p, axes=[-1], keepdims=true)
f = nn.add(v, e)
r = nn.sqrt(f)
n = nn.div(d, r)
s = nn.mul(n, g)
y = nn.matmul(s, w)
"""


def test_a_normalization_that_is_written_out_is_one_region():
    graph, facts = half(NORMALIZED)
    assert casts(graph) == ["x to f16", "a to f32", "n to f16", "y to f32"]
    assert [types(graph)[n] for n in "mdpvfrn"] == ["f32"] * 7
    assert set(reasons(facts)) == set("mdpvfrn")
    assert len(set(reasons(facts).values())) == 1


def test_squares_that_overflow_do_not():
    """The values reach 300, their squares 90000."""
    x = np.random.default_rng(0).standard_normal((2, 7, 64)).astype(np.float32)
    text = NORMALIZED.replace("a = nn.matmul(x, w)", "a = nn.mul(x, 100.0)")
    graph = parse_statements(text, TABLE, "onnx")
    rng = np.random.default_rng(1)
    for name, shape in (("w", (64, 64)), ("g", (64,))):
        graph.value(name).data = rng.standard_normal(shape).astype(np.float32) / 8
    (before,), _ = open_runner(graph, TABLE).run([x])
    (after,), _ = open_runner(half(graph)[0], TABLE).run([x])
    np.testing.assert_allclose(after, before, atol=2e-2 * np.abs(before).max())


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("y = nn.reduce_sum(a, axes=[-1], keepdims=true)", "sum"),
        ("y = nn.exp(a)", "11.1"),
        ("y = nn.log_softmax(a)", "logarithm"),
        ("y = nn.reduce_l2(a, axes=[-1], keepdims=true)", "sum"),
        ("y = nn.add(a, 1e-7)", "1e-07"),
        ("y = nn.mul(a, 100000.0)", "1e+05"),
        ('y = nn.scatter_elements(a, i, a, axis=1, reduction="add")', "sum"),
        ('y = nn.scatter_elements(a, i, a, axis=1, reduction="mul")', "product"),
        ('y = onnx.ScatterND(a, i, a, reduction="add")', "sum"),
    ],
)
def test_operators_that_leave_the_range(line, word):
    graph, facts = half(f"x: f32[2, 8]\ni: i64[2, 8]\na = nn.tanh(x)\n{line}\n")
    assert word in reasons(facts)["y"]
    assert types(graph)["y"] == "f32"


def test_a_precision_of_one_target_is_for_that_target_alone():
    text = "x: f32[2, 8]\na = nn.tanh(x)\ny = nn.gelu(a)\n"
    own = 'precision gelu on onnx for tensorrt-10 keeps fp32:\n    "seen in a build"\n    match:\n'
    for target, type_ in (("tensorrt-10", "f32"), ("tensorrt-11", "f16")):
        context = context_for(target)
        context.rules.add_file(parse_text(f"{own}        y = nn.gelu(x)\n", "own.spq"))
        assert types(half(text, context)[0])["y"] == type_


def test_a_precision_is_left_out_by_its_name():
    text = "x: f32[2, 8]\na = nn.tanh(x)\nb = nn.exp(a)\ny = nn.tanh(b)\n"
    context = context_for()
    context.rules.leave_out(["exponential"])
    assert types(half(text)[0])["b"] == "f32"
    assert types(half(text, context)[0])["b"] == "f16"


@pytest.mark.parametrize("op", ["nn.softmax", "nn.layer_norm", "nn.relu", "nn.gelu"])
def test_operators_that_need_no_fp32(op):
    """What TensorRT computes in FP32 inside, whatever the type outside, needs no Cast."""
    g = "g, " if op == "nn.layer_norm" else ""
    b = "g" if g else ""
    operands = f"a, {g}{b}" if g else "a"
    attributes = ", normalized_shape=[8], axis=-1" if g else ""
    graph, facts = half(
        f"x: f32[2, 8]\ng: const f32[8]\na = nn.tanh(x)\nc = {op}({operands}{attributes})\n"
        "y = nn.tanh(c)\n"
    )
    assert not facts.kept
    assert types(graph)["c"] == "f16"


def test_values_that_are_large_on_the_example_inputs():
    text = """
x: f32[2, 8]
a = nn.mul(x, 200.0)
b = nn.mul(a, a)
c = nn.tanh(b)
d = nn.tanh(c)
y = nn.tanh(d)
"""
    example = [np.full((2, 8), 2.0, np.float32)]
    graph, facts = half(text, context_for(example=example))
    assert reasons(facts)["b"] == "b reaches 1.6e+05 on the inputs that were tried"
    assert [types(graph)[n] for n in "abcd"] == ["f32", "f32", "f32", "f16"]
    (after,), _ = open_runner(graph, TABLE).run(example)
    assert np.isfinite(after).all()


def test_positions_are_computed_in_fp32():
    graph, facts = half("""
i: i64[7]
f: const f32[1, 8]
p = nn.cast(i, to="f32")
a: const i64[1] = [1]
u = nn.unsqueeze(p, axes=[1])
t = nn.mul(u, f)
s = nn.sin(t)
h = nn.tanh(s)
y = nn.tanh(h)
""")
    assert [types(graph)[n] for n in "puts"] == ["f32"] * 4
    assert types(graph)["h"] == "f16"
    assert "integers" in reasons(facts)["t"]


@pytest.mark.parametrize(
    "moved", ["nn.tile(t, r)", "nn.gather(t, j)", "nn.split(t, sizes=[7])", "nn.flatten(t)"]
)
def test_positions_stay_in_fp32_whatever_moves_them(moved):
    graph, facts = half(f"""
i: i64[7]
r: const i64[2] = [1, 2]
j: const i64[1] = [3]
p = nn.cast(i, to="f32")
t = nn.unsqueeze(p, axes=[1])
m = {moved}
u = nn.mul(m, 0.01)
s = nn.sin(u)
y = nn.tanh(s)
""")
    assert [types(graph)[n] for n in "ptmus"] == ["f32"] * 5
    assert "integers" in reasons(facts)["u"]


def test_a_mask_of_integers_is_cast_once():
    """Not from integers to FP32, and on to FP16."""
    graph, _ = half('i: i64[7]\nx: f32[7]\np = nn.cast(i, to="f32")\ny = nn.mul(x, p)\n')
    assert casts(graph) == ["i to f32"]  # both sides of the product are FP32 then
    graph, _ = half(
        'i: i64[7]\nx: f32[7]\np = nn.cast(i, to="f32")\na = nn.tanh(x)\nb = nn.mul(a, p)\n'
        "c = nn.tanh(b)\ny = nn.tanh(c)\n"
    )
    assert "i to f16" in casts(graph)


def test_an_operator_between_two_in_fp32_follows_them():
    graph, facts = half("""
x: f32[2, 8]
a = nn.tanh(x)
e = nn.exp(a)
f = nn.transpose(e, perm=[1, 0])
g = nn.exp(f)
y = nn.tanh(g)
""")
    assert casts(graph).count("e to f16") == 0
    assert reasons(facts)["f"] == "FP32 on both sides: it saves a Cast"


def test_what_a_person_keeps():
    graph, facts = half(QUANTIZED, keep=["nn.sigmoid"])
    assert types(graph)["y"] == "f32"
    assert reasons(facts)["y"] == "half{keep=nn.sigmoid} asks for it"
    with pytest.raises(UsageError, match="no operator"):
        half(QUANTIZED, keep=["nn.conv_transpose"])


# -- constants ---------------------------------------------------------------------------------

LOWEST = -3.4028234663852886e38


def test_masks_are_clamped_where_the_softmax_takes_them():
    graph, facts = half(f"""
x: f32[2, 4, 4]
k: bool[2, 4, 4]
o: const f32[] = 0.0
l: const f32[] = {LOWEST}
m = nn.where(k, o, l)
a = nn.tanh(x)
b = nn.add(a, m)
y = nn.softmax(b)
""")
    assert len(facts.clamped) == 1
    assert not facts.kept
    assert graph.value(facts.clamped[0]).data == np.float16(-32752)
    x = np.random.default_rng(0).standard_normal((2, 4, 4), np.float32)
    keep = np.tril(np.ones((2, 4, 4), bool))
    keep[0, 0] = False  # a row that is masked whole stays finite, as in FP32
    (y,), _ = open_runner(graph, TABLE).run([x, keep])
    np.testing.assert_allclose(y.sum(-1), 1, atol=2e-3)
    assert y[1, 0, 0] == 1


def test_infinity_is_kept_as_it_is():
    graph, facts = half(
        "x: f32[2, 4]\nm: const f32[4] = [0.0, -inf, 0.0, 0.0]\nb = nn.add(x, m)\n"
        "y = nn.softmax(b)\n"
    )
    assert not facts.clamped
    assert np.isneginf(graph.value("m").data[1])


def test_the_bounds_of_a_clip():
    graph, facts = half(
        f"x: f32[4]\na = nn.tanh(x)\nb = nn.clip(a, 0.0, {-LOWEST})\ny = nn.tanh(b)\n"
    )
    assert not facts.kept
    assert graph.value(facts.clamped[0]).data == np.float16(65504)


def test_a_large_number_that_is_no_bound_keeps_its_operator():
    _, facts = half("x: f32[4]\na = nn.tanh(x)\nb = nn.mul(a, 1000000.0)\ny = nn.relu(b)\n")
    assert not facts.clamped
    assert "1e+06" in reasons(facts)["b"]


def test_a_small_bias_is_no_reason():
    """Other than an epsilon, which is one number and may be all that there is."""
    _, facts = half("x: f32[2, 2]\nb: const f32[2] = [2e-6, 1e-6]\na = nn.tanh(x)\n"
                    "c = nn.add(a, b)\ny = nn.tanh(c)\n")  # fmt: skip
    assert not facts.kept


def test_small_numbers_among_others_are_no_reason():
    graph, facts = half(
        "x: f32[2]\nw: const f32[2] = [1.0, 1e-7]\nb = nn.mul(x, w)\ny = nn.tanh(b)\n"
    )
    assert not facts.kept
    assert graph.value("w").data.dtype == np.float16


# -- operators with types of their own ---------------------------------------------------------


def test_the_factors_of_a_resize_stay_fp32():
    graph, _ = half(
        'x: f32[1, 2, 4, 4]\na = nn.tanh(x)\ny = nn.resize(a, scales=[2.0, 2.0], mode="nearest")\n'
    )
    assert types(graph)["y"] == "f16"
    (y,), _ = open_runner(graph, TABLE).run([np.ones((1, 2, 4, 4), np.float32)])
    assert y.shape == (1, 2, 8, 8)


def test_a_constant_that_is_written_in_another_layout():
    graph, _ = half("x: f32[2, 4, 3]\ns: const f32[4]\na = nn.tanh(x)\ny = nn.prelu(a, s)\n")
    assert types(graph)["y"] == graph.value("s").type.dtype == "f16"


def test_casts_of_the_model_that_change_nothing_go():
    graph, _ = half(
        'x: f32[4]\na = nn.tanh(x)\nh = nn.cast(a, to="f16")\nf = nn.cast(h, to="f32")\n'
        "y = nn.tanh(f)\n"
    )
    assert casts(graph) == ["a to f16", "y to f32"]  # the one of the model, and one at the end


def model(nodes, inputs, outputs, opset=20, initializers=(), domains=()):
    graph = helper.make_graph(nodes, "g", inputs, outputs, initializers)
    imports = [helper.make_opsetid("", opset), *(helper.make_opsetid(d, 1) for d in domains)]
    return read_onnx(helper.make_model(graph, opset_imports=imports, ir_version=10), TABLE)


def info(name, dtype=TensorProto.FLOAT, shape=(2, 4)):
    return helper.make_tensor_value_info(name, dtype, shape)


def test_an_operator_of_another_domain_is_a_barrier_in_fp32():
    nodes = [
        helper.make_node("Tanh", ["x"], ["a"]),
        helper.make_node("Softmax", ["a"], ["b"]),
        helper.make_node("Own", ["b"], ["c"], domain="acme"),
        helper.make_node("Tanh", ["c"], ["d"]),
        helper.make_node("Tanh", ["d"], ["y"]),
    ]
    graph, context = model(nodes, [info("x")], [info("y")], domains=["acme"]), context_for()
    context.action.pass_(make("half"), graph, context)
    assert graph.value("c").producer.operands["i0"].type.dtype == "f32"
    assert "not known" in reasons(context.facts[HalfConversion])["c"]
    assert "not known" in reasons(context.facts[HalfConversion])["d"]


def test_subgraphs_are_left_as_they_are():
    branch = helper.make_graph([helper.make_node("Relu", ["a"], ["r"])], "b", [], [info("r")])
    nodes = [
        helper.make_node("Tanh", ["x"], ["a"]),
        helper.make_node("If", ["k"], ["b"], then_branch=branch, else_branch=branch),
        helper.make_node("Tanh", ["b"], ["y"]),
    ]
    graph, facts = half(model(nodes, [info("x"), info("k", TensorProto.BOOL, ())], [info("y")]))
    assert reasons(facts)["b"] == "its subgraphs are left as they are"
    (y,), _ = open_runner(graph, TABLE).run([np.ones((2, 4), np.float32), np.array(True)])
    np.testing.assert_allclose(y, np.tanh(np.tanh(1.0)), atol=1e-3)


def test_an_operator_without_a_form_in_fp16():
    nodes = [
        helper.make_node("Range", ["s", "l", "d"], ["r"]),
        helper.make_node("Mul", ["x", "r"], ["m"]),
        helper.make_node("Tanh", ["m"], ["t"]),
        helper.make_node("Tanh", ["t"], ["y"]),
    ]
    numbers = [
        helper.make_tensor(n, TensorProto.FLOAT, (), [v])
        for n, v in zip("sld", (0, 4, 1), strict=True)
    ]
    graph, facts = half(model(nodes, [info("x")], [info("y")], initializers=numbers))
    assert reasons(facts)["r"] == "Range gives no FP16 in opset 20"
    assert types(graph)["y"] == "f16"


def test_a_constant_of_shape_is_filled_in_fp16():
    fill = helper.make_tensor("v", TensorProto.FLOAT, (1,), [LOWEST])
    nodes = [
        helper.make_node("Tanh", ["x"], ["a"]),
        helper.make_node("Shape", ["a"], ["s"]),
        helper.make_node("ConstantOfShape", ["s"], ["f"], value=fill),
        helper.make_node("Where", ["k", "a", "f"], ["w"]),
        helper.make_node("Softmax", ["w"], ["y"]),
    ]
    graph, facts = half(model(nodes, [info("x"), info("k", TensorProto.BOOL)], [info("y")]))
    assert facts.clamped == ("f",)
    assert types(graph)["f"] == types(graph)["w"] == "f16"


def test_calibration_batches_are_looked_at_for_large_values():
    """What the example inputs show is one batch; a detector's boxes are large on few images."""
    text = """
x: f32[2, 8]
a = nn.mul(x, 200.0)
b = nn.mul(a, a)
y = nn.tanh(b)
"""
    small = np.full((2, 8), 0.1, np.float32)
    context = context_for(example=[small])
    assert half(text, context)[1].kept == ()
    context = context_for(example=[small])
    context.calibration = lambda: iter([[small], [small * 20]])
    assert reasons(half(text, context)[1])["b"].startswith("b reaches 1.6e+05 on the inputs")


def test_every_pass_word_is_kept():
    """`--check pass` knows what FP16 costs."""
    x = np.random.default_rng(0).standard_normal((2, 16, 4, 4), np.float32)
    context = context_for(example=[x])
    context.action = Action(check="pass")
    graph = parse_statements(QUANTIZED, TABLE, "onnx")
    context.action.pass_(make("half"), graph, context)
    ((name, drift),) = context.action.drift
    assert name == "half"
    assert 0 < drift.relative < 1e-2


def test_small_weights_are_a_reason_and_small_biases_are_none():
    text = "x: f32[2, 8]\nw: const f32[8, 8]\nb: const f32[8]\na = nn.tanh(x)\n{}\nd = nn.tanh(c)\n"
    for line, kept in (("c = nn.linear(a, w, b)", "b"), ("c = nn.matmul(a, w)", "w")):
        graph = parse_statements(text.format(line) + "y = nn.tanh(d)\n", TABLE, "onnx")
        small = graph.value(kept)
        small.data = np.full(small.shape, 1e-6, np.float32)
        _, facts = half(graph)
        assert ("c" in reasons(facts)) == (kept == "w")
