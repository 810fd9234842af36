"""What a `rewrite` block makes of a graph."""

import numpy as np
import pytest

from sparqc.errors import PatternError, SparqcError
from sparqc.ir.graph import Array, Origin, TensorType
from sparqc.ir.text.print import print_graph
from sparqc.match.match import Matcher
from sparqc.rewrite.apply import apply
from tests.match.sketches import TABLE, book_of, graph_of, lines, run


def rule(match, rewrite, head="rule r on fx, onnx"):
    lines_ = [f"{head}:", "    match:", *(f"        {m}" for m in match.splitlines())]
    lines_ += ["    rewrite:", *(f"        {r}" for r in rewrite.splitlines())]
    return "\n".join(lines_) + "\n"


CONV = "x: f32[1, 4, 8, 8]\nw: const f32[4, 4, 1, 1]\nb: const f32[4]\ns: const f32[4]\n"


# -- names, types, attributes --------------------------------------------------------------------


def test_an_operator_takes_the_place_of_another_with_its_name_and_type():
    graph = graph_of("x: f32[batch, 4]\na = nn.neg(x)\ny = nn.relu(a)\nz = nn.exp(y)")
    assert run(graph, rule("a = nn.neg(x)\ny = nn.relu(a)", "y = nn.tanh(x)")) == ["r"]
    assert lines(graph) == ["y = nn.tanh(x)", "z = nn.exp(y)"]
    assert graph.value("y").type == TensorType("f32", ("batch", 4))


def test_like_carries_name_attributes_and_origin():
    graph = graph_of(CONV + "c = nn.conv(x, w, b, pads=[1, 1, 1, 1])\ny = nn.neg(c)\nz = nn.exp(y)")
    graph.value("c").producer.origin = Origin("layer1", "model.py:3", ("old.spq:1 older",))
    run(graph, rule("c = nn.conv(x, w, b)\ny = nn.neg(c)", "y = nn.conv(x, w) like c"))
    assert lines(graph) == ["c = nn.conv(x, w)", "z = nn.exp(c)"]
    node = graph.value("c").producer
    assert node.attributes["pads"] == (1, 1, 1, 1)
    assert node.origin == Origin("layer1", "model.py:3", ("old.spq:1 older", "test.spq:1 r"))


def test_attributes_are_written_carried_or_the_default():
    graph = graph_of(
        "x: f32[1, 2, 3, 3]\nw: const f32[4, 2, 3, 3]\n"
        "c = nn.conv(x, w, pads=[1, 1, 1, 1], strides=[3, 3])\ny = nn.neg(c)"
    )
    block = "c = nn.conv(x, w, strides=s)\ny = nn.neg(c)"
    run(graph, rule(block, "y = nn.conv(x, w, strides=[s[0] * 2, 1], pads=[0, 0, 0, 0]) like c"))
    attributes = graph.value("c").producer.attributes
    assert attributes["strides"] == (6, 1)
    assert attributes["pads"] == (0, 0, 0, 0)
    assert attributes["groups"] == 1


def test_without_like_attributes_are_the_defaults():
    graph = graph_of("x: f32[2, 3]\na = nn.softmax(x, axis=0)\ny = nn.neg(a)")
    run(graph, rule("a = nn.softmax(x)\ny = nn.neg(a)", "y = nn.softmax(x)"))
    default = TABLE.require("nn.softmax").attributes["axis"]
    assert graph.value("y").producer.attributes["axis"] == default


def test_the_name_of_a_value_that_lives_on_is_not_taken():
    graph = graph_of("x: f32[4]\na = nn.exp(x)\ny = nn.relu(a)\nz = nn.neg(a)\nreturn y, z")
    run(graph, rule("a = shared nn.exp(x)\ny = nn.relu(a)", "y = nn.tanh(x) like a"))
    assert lines(graph) == ["a = nn.exp(x)", "y = nn.tanh(x)", "z = nn.neg(a)"]


def test_values_between_get_the_name_and_the_type_of_their_operator():
    graph = graph_of("x: f32[4, 6]\ny = nn.silu(x)\nz = nn.neg(y)")
    run(graph, rule("y = nn.silu(x)", "s = nn.sigmoid(x)\ny = nn.mul(x, s)"))
    assert lines(graph) == ["sigmoid = nn.sigmoid(x)", "y = nn.mul(x, sigmoid)", "z = nn.neg(y)"]
    assert graph.value("sigmoid").type == TensorType("f32", (4, 6))


def test_calls_may_stand_inside_calls():
    graph = graph_of("x: f32[4]\ny = nn.silu(x)")
    run(graph, rule("y = nn.silu(x)", "y = nn.mul(x, nn.sigmoid(x))"))
    assert lines(graph) == ["sigmoid = nn.sigmoid(x)", "y = nn.mul(x, sigmoid)"]


# -- constants -----------------------------------------------------------------------------------


def double(w: Array) -> Array:
    return w * 2


def test_a_constant_takes_the_name_of_the_one_in_whose_place_it_stands():
    graph = graph_of(CONV + "c = nn.conv(x, w, b)\ny = nn.neg(c)")
    old = graph.value("w").data
    run(
        graph,
        rule("c = nn.conv(x, w: const, b)\ny = nn.neg(c)", "y = nn.conv(x, @double(w), b) like c"),
        double=double,
    )
    assert lines(graph) == ["c = nn.conv(x, w, b)"]
    np.testing.assert_array_equal(graph.value("w").data, old * 2)
    assert {v.name for v in graph.constants} == {"b", "s", "w"}


def test_a_constant_beside_one_that_lives_on_gets_a_name_of_its_own():
    graph = graph_of(
        CONV + "c = nn.conv(x, w, b)\ny = nn.neg(c)\nd = nn.conv(x, w, b)\nreturn y, d"
    )
    run(
        graph,
        rule("c = nn.conv(x, w: const, b)\ny = nn.neg(c)", "y = nn.conv(x, @double(w), b) like c"),
        double=double,
    )
    assert lines(graph) == ["c = nn.conv(x, w_1, b)", "d = nn.conv(x, w, b)"]


def test_a_constant_where_there_was_none_is_named_after_the_module():
    graph = graph_of(CONV + "c = nn.conv(x, w)\ny = nn.neg(c)")
    graph.value("c").producer.origin = Origin("layer1")
    text = rule("c = nn.conv(x, w: const)\ny = nn.neg(c)", "y = nn.conv(x, w, @bias(w)) like c")
    run(graph, text, bias=lambda w: np.zeros(4, np.float32))
    assert lines(graph) == ["c = nn.conv(x, w, layer1.b)"]


def test_several_results_of_one_native():
    def both(w: Array, b: Array) -> tuple[Array, Array]:
        return w + 1, b + 2

    graph = graph_of(CONV + "c = nn.conv(x, w, b)\ny = nn.neg(c)")
    run(
        graph,
        rule(
            "c = nn.conv(x, w: const, b: const)\ny = nn.neg(c)",
            "w2, b2 = @both(w, b)\ny = nn.conv(x, w2, b2) like c",
        ),
        both=both,
    )
    assert lines(graph) == ["c = nn.conv(x, w, b)"]


def test_a_constant_used_twice_is_there_once():
    graph = graph_of("x: f32[4]\nk: const f32[4]\ny = nn.mul(x, k)")
    text = rule("y = nn.mul(x, k: const)", "d = @double(k)\ny = nn.sub(nn.add(x, d), d)")
    run(graph, text, double=double)
    assert len(list(graph.constants)) == 1


def test_numbers_become_constants_of_the_type_beside_them():
    graph = graph_of("x: f16[4]\ny = nn.neg(x)")
    run(graph, rule("y = nn.neg(x)", "y = nn.mul(x, -1)"))
    (constant,) = graph.constants
    assert constant.type == TensorType("f16", ()) and constant.data == -1


def test_lists_of_integers_become_shapes():
    graph = graph_of("x: f32[2, 3]\ny = nn.neg(x)\n")
    graph.value("y").type = TensorType("f32", (2, 3))
    run(graph, rule("y = nn.neg(x)", "y = nn.reshape(x, [2, 3])"))
    (constant,) = graph.constants
    assert constant.type.dtype == "i64" and constant.data.tolist() == [2, 3]


def test_a_constant_may_be_replaced_for_all_its_readers():
    graph = graph_of(CONV + "c = nn.conv(x, w, b)\nd = nn.conv(c, w, b)")
    match = "y = nn.conv(x: [1, 4, 8, 8], w: const, b)"
    text = rule(match, "w = @double(w)")
    matcher = Matcher(book := book_of(text, double=double), TABLE)
    r = book.find("r")
    old = graph.value("w").data
    apply(r, matcher.first(r, graph.value("c").producer), matcher)
    graph.verify()
    assert lines(graph) == ["c = nn.conv(x, w, b)", "d = nn.conv(c, w, b)"]
    np.testing.assert_array_equal(graph.value("w").data, 2 * old)


# -- values that are there already ---------------------------------------------------------------


def test_a_value_may_be_replaced_by_one_that_is_there():
    graph = graph_of("x: f32[4]\na = nn.exp(x)\ny = nn.identity(a)\nz = nn.neg(y)")
    assert run(graph, rule("y = nn.identity(x)", "y = x")) == ["r"]
    assert lines(graph) == ["a = nn.exp(x)", "z = nn.neg(a)"]


def test_an_output_that_would_be_an_input_gets_an_identity():
    graph = graph_of("x: f32[4]\na = nn.neg(x)\ny = nn.neg(a)\nz = nn.exp(y)\nreturn y, z")
    assert run(graph, rule("a = nn.neg(x)\ny = nn.neg(a)", "y = x")) == ["r"]
    assert lines(graph) == ["y = nn.identity(x)", "z = nn.exp(x)"]
    assert [v.name for v in graph.outputs] == graph.output_names == ["y", "z"]


def test_that_identity_is_not_removed_again_for_ever():
    graph = graph_of("x: f32[4]\ny = nn.identity(x)\nz = nn.exp(y)\nreturn y, z")
    assert run(graph, rule("y = nn.identity(x)", "y = x")) == ["r"]
    assert lines(graph) == ["y = nn.identity(x)", "z = nn.exp(x)"]
    assert run(graph, rule("y = nn.identity(x)", "y = x")) == []


def test_an_output_that_would_be_a_constant_gets_an_identity():
    graph = graph_of("x: f32[4]\nk: const f32[4]\na = nn.sub(x, x)\ny = nn.add(a, k)")
    run(graph, rule("a = nn.sub(x, x)\ny = nn.add(a, k: const)", "y = k"))
    assert lines(graph) == ["y = nn.identity(k)"]


def test_output_names_survive():
    graph = graph_of("x: f32[4]\na = nn.exp(x)\ny = nn.identity(a)\nreturn y as result, a")
    run(graph, rule("y = nn.identity(x)", "y = x"))
    assert graph.output_names == ["result", "a"]
    assert [v.name for v in graph.outputs] == ["a", "a"]


def test_a_new_node_may_read_what_it_replaces():
    graph = graph_of("x: f32[4]\ny = nn.neg(x)\nz = nn.exp(y)")
    book = book_of(rule("y = nn.neg(x)", "y = nn.relu(y)"))
    r, matcher = book.find("r"), Matcher(book, TABLE)
    apply(r, matcher.first(r, graph.value("y").producer), matcher)
    graph.verify()
    assert lines(graph) == ["y = nn.neg(x)", "y_1 = nn.relu(y)", "z = nn.exp(y_1)"]


def test_an_operand_may_be_replaced_for_all_its_readers():
    graph = graph_of("x: f32[4]\na = nn.exp(x)\nb = nn.tanh(a)\ny = nn.mul(a, b)")
    book = book_of(rule("y = nn.mul(u, nn.tanh(v))", "u = nn.relu(u)"))
    r, matcher = book.find("r"), Matcher(book, TABLE)
    apply(r, matcher.first(r, graph.value("y").producer), matcher)
    graph.verify()
    assert lines(graph) == [
        "a = nn.exp(x)", "a_1 = nn.relu(a)", "b = nn.tanh(a_1)", "y = nn.mul(a_1, b)"
    ]  # fmt: skip


def test_an_inner_value_may_be_replaced():
    graph = graph_of("x: f32[4]\na = nn.exp(x)\nb = nn.tanh(a)\ny = nn.mul(a, b)")
    run(graph, rule("a = nn.exp(x)\ny = nn.mul(a, nn.tanh(a))", "a = nn.relu(x)"))
    assert lines(graph) == ["a = nn.relu(x)", "b = nn.tanh(a)", "y = nn.mul(a, b)"]


def test_a_rewrite_that_would_read_its_own_result_is_refused():
    graph = graph_of("x: f32[4]\na = nn.exp(x)\ny = nn.neg(a)")
    before = print_graph(graph)
    with pytest.raises(PatternError, match="would read its own result"):
        run(graph, rule("a = nn.exp(x)\ny = nn.neg(a)", "a = nn.relu(y)"))
    assert print_graph(graph) == before
    graph.verify()


def test_several_outputs_are_replaced_one_by_one():
    graph = graph_of(
        "x: f32[6]\na, b = nn.split(x, sizes=[2, 4], axis=0)\nc = nn.exp(a)\nd = nn.exp(b)"
    )
    block = "u, v = nn.split(x, sizes=s, axis=0)"
    run(
        graph,
        rule(
            block,
            "u = nn.slice(x, starts=[0], ends=[s[0]], axes=[0], steps=[1])\n"
            "v = nn.slice(x, starts=[s[0]], ends=[s[0] + s[1]], axes=[0], steps=[1])",
        ),
    )
    assert lines(graph) == [
        "a = nn.slice(x)", "b = nn.slice(x)", "c = nn.exp(a)", "d = nn.exp(b)"
    ]  # fmt: skip
    assert graph.value("b").shape == (4,)
    assert graph.value("b").producer.attributes["ends"] == (6,)


def test_a_node_of_several_outputs_may_be_built():
    graph = graph_of(
        "x: f32[6]\na, b = nn.split(x, sizes=[2, 4], axis=0)\nc = nn.exp(a)\nd = nn.exp(b)"
    )
    text = rule("u, v = nn.split(x, sizes=[2, 4])", "v, u = nn.split(x, sizes=[4, 2]) like u")
    run(graph, text)
    assert lines(graph) == ["a, b = nn.split(x)", "c = nn.exp(b)", "d = nn.exp(a)"]


# -- maybe, rest, families -----------------------------------------------------------------------

TAIL = """
op tail(x):
    y = {nn.relu, nn.clip}(x, ...)
op tail(x):
    y = nn.mul(x, nn.sigmoid(x))
"""


@pytest.mark.parametrize(
    ("tail", "after"),
    [
        ("", ["y = nn.tanh(x)"]),
        ("z = nn.relu(y)", ["tanh = nn.tanh(x)", "z = nn.relu(tanh)"]),
        (
            "z = nn.clip(y, 0.0, 6.0)",
            ["tanh = nn.tanh(x)", "z = nn.clip(tanh, clip.min, clip.max)"],
        ),
        (
            "s = nn.sigmoid(y)\nz = nn.mul(y, s)",
            ["tanh = nn.tanh(x)", "s = nn.sigmoid(tanh)", "z = nn.mul(tanh, s)"],
        ),
    ],
)
def test_maybe_builds_what_was_taken(tail, after):
    graph = graph_of(f"x: f32[4]\na = nn.exp(x)\ny = nn.neg(a)\n{tail}")
    text = rule(
        "a = nn.exp(x)\nn = nn.neg(a)\ny = maybe tail(n)", "h = nn.tanh(x)\ny = maybe tail(h)"
    )
    assert run(graph, text + TAIL) == ["r"]
    for constant, name in zip(graph.constants, ("clip.min", "clip.max"), strict=False):
        graph.rename(constant, name)
    assert lines(graph) == after


PRODUCT = """
op product(x, w, b?):
    y = nn.linear(x, w, b?)
op product(x, w, b):
    y = nn.add(nn.matmul(x, w), b)
"""


@pytest.mark.parametrize(
    ("product", "after"),
    [
        ("y = nn.linear(x, w)", ["y = nn.linear(x, w)"]),
        ("y = nn.linear(x, w, b)", ["y = nn.linear(x, w, b)"]),
        (
            "l = nn.matmul(x, w)\ny = nn.add(b, l)",
            ["l = nn.matmul(x, w)", "y = nn.add(b, l)"],
        ),
    ],
)
def test_a_family_is_built_again_as_it_was_matched(product, after):
    given = "x: f32[2, 4]\nw: const f32[4, 4]\nb: const f32[4]\n"
    graph = graph_of(f"{given}{product}\nz = nn.neg(y)")
    old = graph.value("w").data
    text = rule(
        "p = product(x, w: const, b?: const)\ny = nn.neg(p)", "y = product(x, @double(w), b)"
    )
    assert run(graph, text + PRODUCT, double=double) == ["r"]
    assert lines(graph) == after
    np.testing.assert_array_equal(graph.value("w").data, 2 * old)


def test_maybe_as_an_operand():
    text = "x: f32[2, 8]\nw: const f32[4, 8]\nm: const bool[4, 8]\n{}y = nn.linear(x, {})\n"
    text += "z = nn.neg(y)"
    r = rule(
        "k = maybe sparse.mask(w: const, m: const)\nl = nn.linear(x, k)\ny = nn.neg(l)",
        "y = nn.linear(x, maybe sparse.mask(@double(w), m)) like l",
    )
    graph = graph_of(text.format("k = sparse.mask(w, m)\n", "k"))
    run(graph, r, double=double)
    assert lines(graph) == ["k = sparse.mask(w, m)", "y = nn.linear(x, k)"]
    graph = graph_of(text.format("", "w"))
    run(graph, r, double=double)
    assert lines(graph) == ["y = nn.linear(x, w)"]


def test_the_remaining_operands_are_passed_on():
    graph = graph_of("x: f32[4]\nz: f32[4]\nc = nn.concat(x, z, x, axis=0)\ny = nn.neg(c)")
    block = "c = nn.concat(a, *xs, axis=k)\ny = nn.neg(c)"
    run(graph, rule(block, "y = nn.concat(a, *xs, axis=k)"))
    assert lines(graph) == ["y = nn.concat(x, z, x)"]


def test_raw_operators_may_be_built():
    graph = graph_of("x: f32[4]\ny = nn.neg(x)")
    run(graph, rule("y = nn.neg(x)", "y = onnx.Sinh(x)"))
    assert lines(graph) == ["y = onnx.Sinh(x)"]
    assert graph.value("y").producer.origin.rules == ("test.spq:1 r",)


# -- all or nothing ------------------------------------------------------------------------------


def test_a_native_that_refuses_leaves_the_graph_as_it_was():
    def refuse(w: Array) -> Array:
        raise SparqcError("no variance")

    graph = graph_of(CONV + "c = nn.conv(x, w, b)\ny = nn.neg(c)")
    graph.value("y").producer.origin = Origin("layer1.bn", "model.py:9")
    before, values = print_graph(graph), set(graph._values)
    text = rule(
        "c = nn.conv(x, w: const, b)\ny = nn.neg(c)",
        "d = nn.conv(x, @double(w), b) like c\ny = nn.conv(d, @refuse(w), b)",
    )
    with pytest.raises(SparqcError, match=r"r at y \(layer1.bn model.py:9\): no variance"):
        run(graph, text, double=double, refuse=refuse)
    assert print_graph(graph) == before
    assert set(graph._values) == values
    graph.verify()


@pytest.mark.parametrize(
    ("rewrite", "message"),
    [
        ("y = nn.relux(x)", "did you mean 'nn.relu'"),
        ("y = nn.relu(x, x)", "nn.relu takes 1 operands, not 2"),
        ("y = nn.add(x)", "nn.add needs the operand 'b'"),
        ("y = nn.softmax(x, axes=1)", "no attribute 'axes'"),
        ("y = nn.concat(x, x)", "needs the attribute 'axis'"),
        ("y = none", "'y' is replaced by an absent value"),
        ("y = nn.relu(@f(x))", "x is not constant"),
        ('y = nn.add(x, "a")', "is no operand"),
        ("y, z = @two(1)", "2 names for 3 values"),
        ("y, z = @one(1)", "2 names for one value"),
        ("y, z = nn.relu(x)", "2 names for 1 values"),
        ("y = nn.concat(*x, axis=0)", "'x' is no list of operands"),
        ("y = nn.mul(x, x.shape[0] + 1)", "unknown dimension 'batch'"),
    ],
)
def test_mistakes_are_errors_and_leave_the_graph_as_it_was(rewrite, message):
    natives = {"f": double, "two": lambda n: (1, 2, 3), "one": lambda n: 5}
    graph = graph_of("x: f32[batch, 4]\ny = nn.neg(x)")
    before = print_graph(graph)
    with pytest.raises(SparqcError, match=message):
        run(graph, rule("y = nn.neg(x)", rewrite), **natives)
    assert print_graph(graph) == before
    graph.verify()


def test_operators_that_nobody_reads_any_more_are_removed_and_others_stay():
    graph = graph_of(
        "x: f32[4]\nk: const f32[4]\na = nn.mul(x, k)\nb = nn.exp(a)\ny = nn.sub(b, b)"
    )
    run(graph, rule("y = nn.sub(a, a)", "y = nn.mul(a, 0)"))
    assert "b = nn.exp(a)" in lines(graph)
    graph = graph_of(
        "x: f32[4]\nk: const f32[4]\na = nn.mul(x, k)\nb = nn.exp(a)\ny = nn.sub(b, b)"
    )
    run(graph, rule("y = nn.sub(a, a)", "y = @zeros()"), zeros=lambda: np.zeros(4, np.float32))
    assert lines(graph) == ["y = nn.identity(y_1)"]


def test_a_change_says_what_it_did():
    graph = graph_of("x: f32[4]\na = nn.neg(x)\ny = nn.relu(a)\nz = nn.exp(y)")
    book = book_of(rule("a = nn.neg(x)\ny = nn.relu(a)", "y = nn.tanh(x)"))
    r, matcher = book.find("r"), Matcher(book, TABLE)
    change = apply(r, matcher.first(r, graph.value("y").producer), matcher)
    assert change.before == ("y", "a")
    assert change.after == ("y",)
    assert [n.op for n in change.created] == ["nn.tanh"]
    assert [v.name for v in change.touched] == ["y", "x"]


def test_it_works_on_fx_too():
    graph = graph_of("x: f32[batch, 4]\na = nn.neg(x)\ny = nn.relu(a)\nz = nn.exp(y)", "fx")
    run(graph, rule("a = nn.neg(x)\ny = nn.relu(a)", "y = nn.mul(nn.tanh(x), 2)"))
    assert [line.split(" = ")[1].split("(")[0] for line in lines(graph)] == [
        "nn.tanh", "nn.mul", "nn.exp"
    ]  # fmt: skip


# -- for each reader -----------------------------------------------------------------------------

OWN = rule("y = nn.neg(x)", "y = nn.neg(x) for each reader")


def test_each_reader_gets_one_of_its_own_in_front_of_it():
    graph = graph_of("x: f32[4]\ny = nn.neg(x)\na = nn.exp(y)\nb = nn.relu(y)\nreturn a, b")
    assert run(graph, OWN) == ["r"]
    assert lines(graph) == [
        "y = nn.neg(x)", "a = nn.exp(y)", "y_1 = nn.neg(x)", "b = nn.relu(y_1)"
    ]  # fmt: skip


def test_each_is_like_the_one_that_was_there():
    graph = graph_of(
        "x: f32[2, 3]\ny = nn.softmax(x, axis=0)\na = nn.exp(y)\nb = nn.neg(y)\nreturn a, b"
    )
    graph.value("y").producer.origin = Origin("layer1")
    text = rule("y = nn.softmax(x)", "y = nn.softmax(nn.abs(x)) like y for each reader")
    run(graph, text)
    made = [n for n in graph.nodes if n.op == "nn.softmax"]
    assert [n.output.name for n in made] == ["y", "y_1"]
    assert [(n.attributes["axis"], n.origin.module) for n in made] == [(0, "layer1")] * 2
    assert [n.output.name for n in graph.nodes if n.op == "nn.abs"] == ["abs", "abs_1"]


def test_an_output_counts_as_a_reader_and_keeps_its_name():
    graph = graph_of("x: f32[4]\ny = nn.neg(x)\na = nn.exp(y)\nreturn a, y")
    run(graph, OWN)
    assert lines(graph) == ["y = nn.neg(x)", "y_1 = nn.neg(x)", "a = nn.exp(y_1)"]
    assert [v.name for v in graph.outputs] == ["a", "y"]


def test_a_reader_that_reads_it_twice_is_one_reader():
    graph = graph_of("x: f32[4]\ny = nn.neg(x)\na = nn.mul(y, y)")
    assert run(graph, OWN) == []
    graph = graph_of(
        "x: f32[4]\ny = nn.neg(x)\na = nn.mul(y, y)\nb = nn.concat(y, x, y, axis=0)\nreturn a, b"
    )
    run(graph, OWN)
    assert lines(graph)[1::2] == ["a = nn.mul(y, y)", "b = nn.concat(y_1, x, y_1)"]


def test_each_has_operators_and_constants_of_its_own():
    graph = graph_of(
        "x: f32[4]\ns: const f32[4]\ny = nn.mul(x, s)\na = nn.exp(y)\nb = nn.relu(y)\nreturn a, b"
    )
    rewrite = "y = nn.mul(nn.abs(x), @same(s)) for each reader"
    run(graph, rule("y = nn.mul(x, s: const)", rewrite), same=same)
    assert [n.op for n in graph.nodes] == [
        "nn.abs", "nn.mul", "nn.exp", "nn.abs", "nn.mul", "nn.relu"
    ]  # fmt: skip
    first, second = (n.operands["b"] for n in graph.nodes if n.op == "nn.mul")
    assert first is not second
    np.testing.assert_array_equal(first.data, second.data)


def same(w: Array) -> Array:
    return w


def test_what_fails_for_a_later_reader_leaves_the_graph_as_it_was():
    calls = []

    def second_fails(w: Array) -> Array:
        calls.append(w)
        if len(calls) > 1:
            raise SparqcError("no more")
        return w

    graph = graph_of(
        "x: f32[4]\ns: const f32[4]\ny = nn.mul(x, s)\na = nn.exp(y)\nb = nn.relu(y)\nreturn a, b"
    )
    before = print_graph(graph)
    with pytest.raises(SparqcError, match="no more"):
        run(
            graph,
            rule("y = nn.mul(x, s: const)", "y = nn.mul(x, @second_fails(s)) for each reader"),
            second_fails=second_fails,
        )
    assert len(calls) == 2
    assert print_graph(graph) == before
