"""What a `match` block means: one test for each sentence of the language reference."""

import pytest

from sparqc.errors import PatternError
from sparqc.match.match import Matcher
from tests.match.sketches import TABLE, book_of, graph_of, matches, names, pattern


def test_a_statement_binds_its_result_and_its_operands():
    graph = graph_of("x: f32[4]\ny = nn.relu(x)")
    (match,) = matches(graph, "y = nn.relu(a)")
    assert names(match) == {"y": "y", "a": "x"}
    assert [node.op for node in match.nodes] == ["nn.relu"]


def test_the_root_is_the_value_that_nothing_else_in_the_block_reads():
    graph = graph_of("x: f32[4]\na = nn.neg(x)\ny = nn.relu(a)\nz = nn.exp(y)")
    (match,) = matches(graph, "a = nn.neg(x)\ny = nn.relu(a)")
    assert match.root.output.name == "y"
    assert [node.output.name for node in match.nodes] == ["y", "a"]


@pytest.mark.parametrize(
    ("block", "what"),
    [
        ("y = nn.relu(x)\nz = nn.neg(x)", "has 'y' and 'z'"),
        ("y = nn.relu(y)", "has no value"),
        ("a = nn.relu(b)\nb = nn.neg(a)\ny = nn.exp(x)", "'a' is no part of 'y'"),
        ("a = nn.relu(x)\na = nn.neg(x)\ny = nn.exp(a)", "'a' is defined twice"),
        ("y = maybe nn.relu()", "needs an operand to stand for it"),
    ],
)
def test_a_block_without_one_root_is_refused(block, what):
    matcher, rule = pattern(block)
    with pytest.raises(PatternError, match=what):
        matcher.roots(rule)


# -- names ---------------------------------------------------------------------------------------


def test_a_name_used_twice_is_one_value():
    graph = graph_of("x: f32[4]\nz: f32[4]\na = nn.mul(x, x)\nb = nn.mul(x, z)")
    assert [m.root.output.name for m in matches(graph, "y = nn.mul(u, u)")] == ["a"]


def test_two_names_may_be_one_value():
    graph = graph_of("x: f32[4]\na = nn.sub(x, x)")
    assert names(matches(graph, "y = nn.sub(u, v)")[0]) == {"y": "a", "u": "x", "v": "x"}


def test_an_underscore_binds_nothing():
    graph = graph_of("x: f32[4]\nz: f32[4]\na = nn.sub(x, z)")
    assert names(matches(graph, "y = nn.sub(_, _)")[0]) == {"y": "a"}


def test_a_value_read_by_two_statements_is_matched_once():
    graph = graph_of("x: f32[4]\na = nn.exp(x)\nb = nn.neg(a)\nc = nn.mul(a, b)")
    (match,) = matches(graph, "e = nn.exp(x)\ny = nn.mul(e, nn.neg(e))")
    assert [node.output.name for node in match.nodes] == ["c", "a", "b"]


# -- operands ------------------------------------------------------------------------------------


def test_operands_are_closed():
    text = "x: f32[1, 4, 8, 8]\nw: const f32[4, 4, 1, 1]\nb: const f32[4]\nc = nn.conv(x, w, b)"
    graph = graph_of(text)
    assert matches(graph, "y = nn.conv(x, w)") == []
    assert len(matches(graph, "y = nn.conv(x, w, ...)")) == 1
    assert names(matches(graph, "y = nn.conv(x, *rest)")[0])["rest"] == ("w", "b")


def test_an_optional_operand_may_be_absent():
    graph = graph_of("x: f32[1, 4, 8, 8]\nw: const f32[4, 4, 1, 1]\nc = nn.conv(x, w)")
    assert matches(graph, "y = nn.conv(x, w, b)") == []
    (match,) = matches(graph, "y = nn.conv(x, w, b?)")
    assert match.bindings["b"] is None
    assert names(matches(graph, "y = nn.conv(x, *rest)")[0])["rest"] == ("w",)


def test_an_absent_operand_in_the_middle_keeps_its_place():
    graph = graph_of("x: f32[4]\nm: const f32[] = 6.0\nc = nn.clip(x, none, m)")
    (match,) = matches(graph, "y = nn.clip(x, low?, high?)")
    assert names(match) == {"y": "c", "x": "x", "low": None, "high": "m"}
    assert names(matches(graph, "y = nn.clip(x, *rest)")[0])["rest"] == (None, "m")


def test_the_values_of_a_variadic_operand_are_operands_of_their_own():
    graph = graph_of("x: f32[4]\nz: f32[4]\nc = nn.concat(x, z, x, axis=0)")
    assert names(matches(graph, "y = nn.concat(*xs)")[0])["xs"] == ("x", "z", "x")
    assert names(matches(graph, "y = nn.concat(a, *xs)")[0])["xs"] == ("z", "x")
    assert len(matches(graph, "y = nn.concat(a, b, a)")) == 1
    assert matches(graph, "y = nn.concat(a, b)") == []


def test_every_operand_order_that_means_the_same_is_tried():
    graph = graph_of("x: f32[4]\nz: f32[4]\na = nn.exp(z)\nb = nn.add(x, a)")
    assert names(matches(graph, "y = nn.add(nn.exp(u), v)")[0]) == {"y": "b", "u": "z", "v": "x"}
    graph = graph_of("x: f32[4]\nz: f32[4]\na = nn.exp(z)\nb = nn.sub(x, a)")
    assert matches(graph, "y = nn.sub(nn.exp(u), v)") == []


def test_ordered_takes_operands_as_they_stand():
    graph = graph_of("x: f32[4]\nz: f32[4]\na = nn.exp(z)\nb = nn.add(x, a)")
    assert matches(graph, "y = ordered nn.add(nn.exp(u), v)") == []
    assert len(matches(graph, "y = ordered nn.add(v, nn.exp(u))")) == 1


def test_backtracking_finds_the_order_that_fits_two_levels_down():
    # Both operands are an Add with an Exp; only one order of each leads to the shared value.
    graph = graph_of(
        "x: f32[4]\nz: f32[4]\na = nn.exp(x)\nb = nn.add(z, a)\nc = nn.add(a, x)\nd = nn.add(b, c)"
    )
    block = "e = nn.exp(u)\ny = nn.add(nn.add(e, u), nn.add(e, v))"
    (match,) = matches(graph, block)
    assert names(match) == {"y": "d", "e": "a", "u": "x", "v": "z"}


def test_a_number_is_a_constant_filled_with_it():
    text = "x: f32[2]\n{}\ny = nn.add(x, k)"
    for constant, number, count in [
        ("k: const f32[] = 3.0", "3.0", 1),
        ("k: const f32[] = 3.0", "3", 1),
        ("k: const f32[2] = [3.0, 3.0]", "3", 1),
        ("k: const f32[2] = [3.0, 4.0]", "3", 0),
        ("k: const f32[] = 0.1", "0.1", 1),  # as a float32
        ("k: const f32[] = 0.1", "0.2", 0),
        ("k: const f32[] = -1.5", "-1.5", 1),
        ("k: f32[2]", "3", 0),
    ]:
        found = matches(graph_of(text.format(constant)), f"y = nn.add(x, {number})")
        assert len(found) == count, (constant, number)


def test_a_number_is_compared_in_the_dtype_of_the_constant():
    graph = graph_of("x: i64[2]\nk: const i64[] = 3\ny = nn.add(x, k)")
    assert len(matches(graph, "y = nn.add(x, 3)")) == 1
    assert len(matches(graph, "y = nn.add(x, 3.0)")) == 1
    assert matches(graph, "y = nn.add(x, 3.5)") == []


# -- constraints ---------------------------------------------------------------------------------


def test_const_means_a_constant_expression():
    graph = graph_of(
        "x: f32[8, 8]\nw: const f32[8, 8]\nm: const bool[8, 8]\nk = sparse.mask(w, m)\n"
        "y = nn.linear(x, k)\nz = nn.linear(x, y)"
    )
    (match,) = matches(graph, "y = nn.linear(x, w: const)")
    assert names(match) == {"y": "y", "x": "x", "w": "k"}


def test_a_constraint_asks_for_types():
    graph = graph_of("x: f32[4]\nz: f16[4]\na = nn.relu(x)\nb = nn.relu(z)")
    assert [m.root.output.name for m in matches(graph, "y = nn.relu(x: f16)")] == ["b"]
    assert len(matches(graph, "y = nn.relu(x: f16|f32)")) == 2


@pytest.mark.parametrize(
    ("dims", "bound"),
    [
        ("[2, 3, 5]", {}),
        ("[n, 3, k]", {"n": 2, "k": 5}),
        ("[n, ...]", {"n": 2}),
        ("[..., k]", {"k": 5}),
        ("[n, ..., k]", {"n": 2, "k": 5}),
        ("[...]", {}),
        ("[_, _, _]", {}),
        ("[n, m, k, ...]", {"n": 2, "m": 3, "k": 5}),
        ("[n, n, k]", None),
        ("[2, 3]", None),
        ("[2, 3, 5, ..., 5]", None),
        ("[2, 4, 5]", None),
        ("[]", None),
    ],
)
def test_a_constraint_asks_for_sizes_and_binds_them(dims, bound):
    found = matches(graph_of("x: f32[2, 3, 5]\ny = nn.relu(x)"), f"y = nn.relu(x: {dims})")
    if bound is None:
        assert found == []
    else:
        assert names(found[0]) == {"y": "y", "x": "x", **bound}


def test_a_size_bound_twice_must_be_the_same():
    graph = graph_of(
        "x: f32[b, 3]\nz: f32[b, 4]\np = nn.relu(x)\nq = nn.relu(z)\nc = nn.concat(p, q, axis=1)"
    )
    block = "y = nn.concat(nn.relu(u: [n, {}]), nn.relu(v: [n, {}]))"
    (match,) = matches(graph, block.format("s", "t"))
    assert (match.bindings["n"], match.bindings["s"], match.bindings["t"]) == ("b", 3, 4)
    assert matches(graph, block.format("s", "s")) == []


def test_a_symbolic_size_is_no_number():
    graph = graph_of("x: f32[batch, 3]\ny = nn.relu(x)")
    assert matches(graph, "y = nn.relu(x: [1, 3])") == []


def test_without_a_known_shape_sizes_do_not_match():
    graph = graph_of("y = nn.relu(x)")
    assert matches(graph, "y = nn.relu(x: [...])") == []
    assert len(matches(graph, "y = nn.relu(x)")) == 1


# -- attributes ----------------------------------------------------------------------------------


def test_attributes_are_open_and_compared_by_value():
    text = "x: f32[1, 4, 8, 8]\nw: const f32[4, 4, 3, 3]\nc = nn.conv(x, w, none, strides=[2, 2])"
    graph = graph_of(text)
    assert len(matches(graph, "y = nn.conv(x, w)")) == 1
    assert len(matches(graph, "y = nn.conv(x, w, strides=[2, 2], groups=1)")) == 1
    assert len(matches(graph, "y = nn.conv(x, w, groups=1.0)")) == 1
    assert matches(graph, "y = nn.conv(x, w, strides=[1, 2])") == []
    assert matches(graph, "y = nn.conv(x, w, strides=2)") == []


def test_a_float_attribute_is_compared_in_single_precision():
    text = "x: f32[1, 4]\ns: const f32[4]\ny = nn.batch_norm(x, s, s, s, s, epsilon=1e-3)"
    graph = graph_of(text)
    node = graph.value("y").producer
    node.attributes["epsilon"] = 0.0010000000474974513  # what ONNX gives back
    assert len(matches(graph, "y = nn.batch_norm(x, ..., epsilon=0.001)")) == 1
    assert matches(graph, "y = nn.batch_norm(x, ..., epsilon=0.002)") == []


def test_an_attribute_is_bound_and_must_be_the_same_the_second_time():
    text = "x: f32[2, 3]\na = nn.concat(x, x, axis={})\nb = nn.concat(a, a, axis={})"
    block = "a = nn.concat(x, x, axis=k)\ny = nn.concat(a, a, axis=k)"
    assert matches(graph_of(text.format(1, 1)), block)[0].bindings["k"] == 1
    assert matches(graph_of(text.format(0, 1)), block) == []


# -- several outputs -----------------------------------------------------------------------------


def test_several_targets_are_the_outputs_of_one_operator():
    graph = graph_of("x: f32[6]\na, b = nn.split(x, sizes=[2, 4], axis=0)\nc = nn.exp(a)")
    (match,) = matches(graph, "u, v = nn.split(x)")
    assert names(match) == {"u": "a", "v": "b", "x": "x"}
    assert matches(graph, "u, v, w = nn.split(x)") == []
    assert names(matches(graph, "u = nn.split(x)")[0]) == {"u": "a", "x": "x"}


def test_an_output_that_a_statement_reads_must_be_that_output():
    graph = graph_of(
        "x: f32[4]\na, b = nn.split(x, sizes=[2, 2], axis=0)\nc = nn.sub(a, b)\nd = nn.sub(b, a)"
    )
    found = matches(graph, "u, v = shared nn.split(x)\ny = nn.sub(v, u)")
    assert [m.root.output.name for m in found] == ["d"]


# -- families and spellings ----------------------------------------------------------------------

SILU = "op nn.silu(x):\n    y = nn.mul(x, nn.sigmoid(x))\n"
FAMILY = "op activation(x):\n    y = {nn.relu, nn.clip, nn.silu}(x, ...)\n" + SILU


def test_braces_match_any_of_the_operators():
    graph = graph_of("x: f32[4]\na = nn.relu(x)\nb = nn.tanh(a)\nc = nn.exp(b)")
    found = matches(graph, "y = {nn.relu, nn.tanh}(x)")
    assert [m.root.output.name for m in found] == ["a", "b"]


def test_a_spelling_stands_for_its_operator():
    graph = graph_of("x: f32[4]\ns = nn.sigmoid(x)\ny = nn.mul(s, x)\nz = nn.exp(y)")
    (match,) = matches(graph, "z = nn.exp(nn.silu(a))", spellings=SILU)
    assert names(match) == {"z": "z", "a": "x"}
    assert [node.output.name for node in match.nodes] == ["z", "y", "s"]
    assert match.operators_of(graph.value("y"))[0].op == "nn.mul"


def test_the_operator_itself_matches_beside_its_spellings():
    graph = graph_of("x: f32[4]\ny = nn.silu(x)", level="onnx")
    assert len(matches(graph, "y = nn.silu(a)", spellings=SILU)) == 1


def test_a_family_matches_its_members_and_their_spellings():
    graph = graph_of(
        "x: f32[4]\na = nn.relu(x)\nb = nn.clip(a, 0.0, 6.0)\ns = nn.sigmoid(b)\nc = nn.mul(b, s)\n"
        "d = nn.tanh(c)"
    )
    found = matches(graph, "y = activation(x)", spellings=FAMILY)
    assert [m.root.output.name for m in found] == ["a", "b", "c"]
    matcher, rule = pattern("y = activation(x)", spellings=FAMILY)
    assert matcher.roots(rule) == {"nn.relu", "nn.clip", "nn.silu", "nn.mul"}


def test_what_a_spelling_matches_inside_is_read_nowhere_else():
    graph = graph_of("x: f32[4]\ns = nn.sigmoid(x)\ny = nn.mul(s, x)\nz = nn.exp(s)")
    assert matches(graph, "y = nn.silu(a)", spellings=SILU) == []


def test_a_trait_matches_every_operator_that_has_it_and_their_spellings():
    graph = graph_of("x: f32[4]\na = nn.neg(x)\nb = nn.mul(x, nn.sigmoid(x))\nc = nn.softmax(x)")
    silu = "op nn.silu(x):\n    y = nn.mul(x, nn.sigmoid(x))"
    found = matches(graph, "y = elementwise(u)", spellings=silu)
    assert [(m.root.output.name, len(m.nodes)) for m in found] == [
        ("a", 1),
        ("sigmoid", 1),
        ("b", 2),
    ]


def test_a_trait_is_one_of_several_heads_and_binds_attributes():
    graph = graph_of(
        "x: f32[4, 6]\na = nn.transpose(x, perm=[1, 0])\nb = nn.relu(x)\nc = nn.exp(x)"
    )
    found = matches(graph, "y = {moves, nn.relu}(u, perm=p)")
    assert [names(m) for m in found] == [{"y": "a", "u": "x", "p": (1, 0)}]
    assert [m.root.output.name for m in matches(graph, "y = {moves, nn.relu}(u)")] == ["a", "b"]


def test_operands_of_a_family_are_the_parameters_of_its_spelling():
    spelling = "op conv(x, w, b?):\n    y = maybe nn.batch_norm(nn.conv(x, w, b?), ...)\n"
    text = "x: f32[1, 4, 8, 8]\nw: const f32[4, 4, 1, 1]\ns: const f32[4]\nc = nn.conv(x, w)\n"
    plain = graph_of(text + "r = nn.relu(c)")
    (match,) = matches(plain, "y = nn.relu(conv(a, k: const, b?: const))", spellings=spelling)
    assert names(match) == {"y": "r", "a": "x", "k": "w", "b": None}
    normal = graph_of(text + "n = nn.batch_norm(c, s, s, s, s)\nr = nn.relu(n)")
    (match,) = matches(normal, "y = nn.relu(conv(a, k: const, b?: const))", spellings=spelling)
    assert [node.op for node in match.nodes] == ["nn.relu", "nn.batch_norm", "nn.conv"]


def test_an_open_family_passes_on_what_it_leaves_open():
    spelling = "op layer(x, w, ...):\n    y = {nn.conv, nn.linear}(x, w, ...)\n"
    graph = graph_of("x: f32[2, 8]\nw: const f32[4, 8]\nb: const f32[4]\ny = nn.linear(x, w, b)")
    (match,) = matches(graph, "y = layer(x, w: const, b?: const)", spellings=spelling)
    assert names(match)["b"] == "b"
    assert matches(graph, "y = weighted(x, w: const)", spellings=spelling) == []


def test_attributes_of_a_spelling_are_looked_up_on_all_its_operators():
    spelling = "op conv(x, w):\n    y = maybe nn.batch_norm(nn.conv(x, w), ...)\n"
    graph = graph_of(
        "x: f32[1, 4, 8, 8]\nw: const f32[4, 2, 1, 1]\ns: const f32[4]\n"
        "c = nn.conv(x, w, none, groups=2)\nn = nn.batch_norm(c, s, s, s, s)"
    )
    block = "y = conv(x, w, groups=g)"
    found = matches(graph, block, spellings=spelling, where="y.groups == 2 and g == 2")
    assert {m.root.output.name for m in found} == {"n", "c"}


def test_conditions_and_parameters_of_a_spelling_hold_inside_it():
    spelling = "op shifted(x, k: const):\n    y = nn.add(x, k)\n    where:\n        k.rank == 0\n"
    text = "x: f32[4]\nk: {}\ny = nn.add(x, k)"
    for constant, count in [("const f32[] = 1.0", 1), ("const f32[4]", 0), ("f32[]", 0)]:
        found = matches(graph_of(text.format(constant)), "y = shifted(a, b)", spellings=spelling)
        assert len(found) == count


def test_a_spelling_that_contains_itself_ends():
    cyclic = "op a(x):\n    y = b(x)\nop b(x):\n    y = a(x)\nop b(x):\n    y = nn.relu(x)\n"
    graph = graph_of("x: f32[4]\ny = nn.relu(x)")
    assert len(matches(graph, "y = a(x)", spellings=cyclic)) == 1


def test_a_spelling_that_goes_on_for_ever_is_an_error():
    endless = "op chain(x):\n    y = nn.relu(chain(x))\n"
    graph = graph_of("x0: f32[4]\n" + "\n".join(f"x{i + 1} = nn.relu(x{i})" for i in range(60)))
    with pytest.raises(PatternError, match="must not contain itself"):
        matches(graph, "y = chain(x)", spellings=endless)


# -- maybe ---------------------------------------------------------------------------------------


def test_maybe_matches_the_longest_first_and_records_it():
    graph = graph_of("x: f32[4]\na = nn.exp(x)\ny = nn.relu(a)")
    matcher, rule = pattern("e = nn.exp(x)\ny = maybe nn.relu(e)")
    (match,) = matcher.matches(rule, graph.value("y").producer)
    assert names(match) == {"y": "y", "e": "a", "x": "x"}
    assert match.taken == {"nn.relu"}
    (match,) = matcher.matches(rule, graph.value("a").producer)
    assert names(match) == {"y": "a", "e": "a", "x": "x"}
    assert match.taken == frozenset()


def test_a_maybe_inside_gives_both_matches():
    graph = graph_of("x: f32[4]\na = nn.neg(x)\ny = nn.exp(a)")
    found = matches(graph, "y = nn.exp(maybe nn.neg(u))")
    assert [names(m)["u"] for m in found] == ["x", "a"]


def test_names_of_an_untaken_maybe_are_absent():
    graph = graph_of("x: f32[4]\ny = nn.exp(x)")
    (match,) = matches(graph, "e = nn.exp(x)\ny = maybe nn.add(e, r)")
    assert names(match) == {"y": "y", "e": "y", "x": "x", "r": None}


def test_maybe_alone_needs_an_operator():
    graph = graph_of("x: f32[4]\ny = nn.relu(x)\nz = nn.exp(y)")
    assert [m.root.output.name for m in matches(graph, "y = maybe nn.relu(x)")] == ["y"]


def test_taken_names_the_family_and_the_operator():
    graph = graph_of("x: f32[4]\ne = nn.exp(x)\ny = nn.clip(e, 0.0, 6.0)")
    match = matches(graph, "e = nn.exp(x)\ny = maybe activation(e)", spellings=FAMILY)[-1]
    assert match.taken == {"activation", "nn.clip"}
    assert match.taken_call("activation").nodes[0].output.name == "y"


# -- inside and outside --------------------------------------------------------------------------


def test_matched_operators_are_read_inside_the_match_only():
    text = "x: f32[4]\na = nn.exp(x)\ny = nn.relu(a)\n"
    block = "a = nn.exp(x)\ny = nn.relu(a)"
    assert len(matches(graph_of(text), block)) == 1
    assert matches(graph_of(text + "z = nn.neg(a)"), block) == []
    assert matches(graph_of(text + "return y, a"), block) == []
    assert len(matches(graph_of(text + "z = nn.neg(y)\nreturn y, z"), block)) == 1


def test_shared_lets_one_operator_be_read_outside():
    text = "x: f32[4]\na = nn.exp(x)\ny = nn.relu(a)\nz = nn.neg(a)\nreturn y, z, a"
    assert len(matches(graph_of(text), "a = shared nn.exp(x)\ny = nn.relu(a)")) == 1


def test_the_other_outputs_of_a_matched_operator_count_too():
    graph = graph_of(
        "x: f32[4]\na, b = nn.split(x, sizes=[2, 2], axis=0)\ny = nn.relu(a)\nz = nn.neg(b)"
    )
    assert matches(graph, "a = nn.split(x)\ny = nn.relu(a)") == []


# -- order of the results ------------------------------------------------------------------------


def test_most_operators_come_first():
    graph = graph_of("x: f32[4]\na = nn.neg(x)\nb = nn.exp(a)\nc = nn.add(b, a)")
    matcher, rule = pattern("y = nn.add(maybe nn.exp(maybe nn.neg(u)), v)")
    found = list(matcher.matches(rule, graph.value("c").producer))
    sizes = [len(m.nodes) for m in found]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] == 3  # `a` is read twice, but both times inside the match


def test_matches_that_are_the_same_are_given_once():
    graph = graph_of("x: f32[4]\ny = nn.add(x, x)")
    assert len(matches(graph, "y = nn.add(u, v)")) == 1


def test_operand_order_does_not_change_the_order_of_the_results():
    texts = ["nn.add(p, q)", "nn.add(q, p)"]
    results = []
    for text in texts:
        graph = graph_of(f"x: f32[4]\np = nn.exp(x)\nq = nn.neg(x)\ny = {text}")
        results.append([names(m) for m in matches(graph, "y = nn.add(u, v)")])
    assert results[0] == results[1]
    assert len(results[0]) == 2


def test_a_declaration_for_another_level_has_no_spellings_here():
    book = book_of(
        "op act(x) on fx:\n    y = nn.relu(x)\nop act(x) on onnx:\n    y = nn.tanh(x)\n"
        "rule r:\n    match:\n        y = act(x)\n    rewrite:\n        y = x\n"
    )
    graph = graph_of("x: f32[4]\na = nn.relu(x)\nb = nn.tanh(a)", level="onnx")
    matcher, rule = Matcher(book, TABLE), book.find("r")
    found = [n.output.name for n in graph.nodes if matcher.first(rule, n)]
    assert found == ["b"]
    assert matcher.roots(rule) == {"nn.relu", "nn.tanh"}
