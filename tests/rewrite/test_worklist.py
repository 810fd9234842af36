"""Rewriting to a fixed point: what is applied, in which order, and what stops it."""

import numpy as np
import pytest

from sparqc.errors import SparqcError
from sparqc.ir.graph import Array
from sparqc.rewrite.worklist import rewrite
from tests.match.sketches import book_of, context_of, graph_of, lines, run

CLEANUP = """
rule drop_identity:
    match:
        y = nn.identity(x)
    rewrite:
        y = x

rule double_negation:
    match:
        y = nn.neg(nn.neg(x))
    rewrite:
        y = x
"""


def chain(*ops, inputs="x: f32[4]"):
    """A chain of unary operators over x."""
    text = [inputs]
    last = "x"
    for number, op in enumerate(ops):
        text.append(f"v{number} = {op}({last})")
        last = f"v{number}"
    return graph_of("\n".join(text))


def test_rules_are_applied_until_none_matches():
    graph = chain(
        "nn.neg", "nn.identity", "nn.identity", "nn.neg", "nn.exp", "nn.identity", "nn.abs"
    )
    assert sorted(run(graph, CLEANUP)) == ["double_negation"] + ["drop_identity"] * 3
    assert lines(graph) == ["v4 = nn.exp(x)", "v6 = nn.abs(v4)"]


def test_a_rewrite_makes_the_next_one_possible_up_and_down_the_graph():
    # Each pair encloses the next; taking the innermost away brings the next together.
    graph = chain(*["nn.neg"] * 40, "nn.exp")
    assert len(run(graph, CLEANUP)) == 20
    assert lines(graph) == ["v40 = nn.exp(x)"]


def test_nothing_to_do_is_no_change():
    graph = chain("nn.exp", "nn.abs")
    assert run(graph, CLEANUP) == []
    assert run(graph, "") == []


def test_the_longest_match_at_a_root_goes_first():
    text = """
rule a_short:
    match:
        y = nn.relu(x)
    rewrite:
        y = nn.abs(x)

rule long:
    match:
        y = nn.relu(nn.exp(x))
    rewrite:
        y = nn.tanh(x)
"""
    graph = chain("nn.exp", "nn.relu", "nn.sqrt")
    assert run(graph, text) == ["long"]
    assert lines(graph) == ["v1 = nn.tanh(x)", "v2 = nn.sqrt(v1)"]


def test_between_matches_of_one_length_the_name_decides():
    text = "".join(
        f"rule {name}:\n    match:\n        y = nn.relu(x)\n    rewrite:\n        y = {op}(x)\n"
        for name, op in [("b", "nn.abs"), ("a", "nn.tanh")]
    )
    graph = chain("nn.relu", "nn.sqrt")
    assert run(graph, text) == ["a"]


def test_a_maybe_at_the_root_takes_the_whole_block_once():
    text = """
rule block:
    match:
        e = nn.exp(x)
        y = maybe nn.relu(e)
    rewrite:
        y = maybe nn.relu(nn.tanh(x))
"""
    graph = chain("nn.exp", "nn.relu", "nn.exp", "nn.abs")
    assert run(graph, text) == ["block", "block"]
    assert [line.split(" = ")[1].split("(")[0] for line in lines(graph)] == [
        "nn.tanh", "nn.relu", "nn.tanh", "nn.abs"
    ]  # fmt: skip


def test_a_condition_on_readers_is_asked_again_when_one_is_gone():
    # `w` has two readers until the identity behind the second Linear has made it dead.
    text = """
rule only_reader:
    match:
        y = nn.linear(x, w: const)
    where:
        w.readers == 1      else "shared"
    rewrite:
        y = nn.exp(x)

rule same:
    match:
        y = nn.sub(nn.neg(a), nn.neg(a))
    rewrite:
        y = nn.abs(a)

rule drop:
    match:
        y = nn.mul(a, 0)
    rewrite:
        y = @zero()
"""
    graph = graph_of(
        "x: f32[8, 8]\nw: const f32[8, 8]\na = nn.linear(x, w)\nb = nn.linear(a, w)\n"
        "c = nn.mul(b, 0.0)\nd = nn.add(c, a)"
    )
    applied = run(graph, text, zero=lambda: np.zeros((8, 8), np.float32))
    assert applied == ["drop", "only_reader"]


def test_rules_may_use_families_at_their_root():
    text = """
rule tanh:
    match:
        y = act(nn.exp(x))
    rewrite:
        y = nn.tanh(x)

op act(x):
    y = {nn.relu, nn.abs}(x)
"""
    graph = chain("nn.exp", "nn.relu", "nn.exp", "nn.abs")
    assert run(graph, text) == ["tanh", "tanh"]


# -- what never ends -----------------------------------------------------------------------------

UNDO = """
rule forth:
    match:
        y = nn.relu(x)
    rewrite:
        y = nn.abs(x)

rule back:
    match:
        y = nn.abs(x)
    rewrite:
        y = nn.relu(x)
"""

GROW = """
rule grow:
    match:
        y = nn.relu(x)
    rewrite:
        y = nn.relu(nn.exp(x))
"""


def test_rules_that_undo_each_other_are_named():
    with pytest.raises(SparqcError, match="the rules back, forth go round in a circle: 2 app") as e:
        run(chain("nn.relu", "nn.exp"), UNDO)
    assert e.value.span.file == "test.spq"
    assert "refuse that in its `where`" in e.value.hint


def test_a_rule_that_matches_its_own_result_runs_out_of_fuel():
    with pytest.raises(SparqcError, match="the rule grow would feed itself: 53 times in a row"):
        run(chain("nn.relu", "nn.exp"), GROW)


def test_fuel_can_be_given():
    book = book_of(GROW)
    with pytest.raises(SparqcError, match="after 5 applications"):
        rewrite(chain("nn.relu"), book.rules(), context_of(book), limit=5)


def test_the_circle_is_found_in_a_large_graph_too():
    graph = chain(*["nn.exp", "nn.sqrt"] * 500, "nn.relu", "nn.exp")
    with pytest.raises(SparqcError, match="the rules back, forth go round in a circle"):
        run(graph, UNDO)


def test_other_numbers_in_a_constant_are_no_circle():
    text = """
rule halve:
    match:
        y = nn.mul(x, k: const)
    where:
        @above(k)
    rewrite:
        y = nn.mul(x, @half(k)) like y
"""
    graph = graph_of("x: f32[4]\nk: const f32[] = 1e30\ny = nn.mul(x, k)")

    def above(k: Array) -> bool:
        return bool(k > 1e-30)

    def half(k: Array) -> Array:
        return k / 2

    assert len(run(graph, text, above=above, half=half)) == 200


# -- the work ------------------------------------------------------------------------------------


def count_visits(size):
    """How many nodes are looked at while a chain with identities between is cleaned up."""
    looks = 0

    def look(x) -> bool:
        nonlocal looks
        looks += 1
        return True

    text = """
rule drop:
    match:
        y = nn.identity(x)
    where:
        @look(x)
    rewrite:
        y = x

rule never:
    match:
        y = nn.exp(x)
    where:
        @look(x)
        false
    rewrite:
        y = x
"""
    run(chain(*["nn.exp", "nn.identity"] * size, "nn.exp"), text, look=look)
    return looks


def test_the_work_grows_with_the_graph():
    small, large = count_visits(50), count_visits(200)
    assert large <= 4.2 * small
    assert large <= 200 * 8


def test_what_is_moved_along_a_long_chain_does_not_feed_itself():
    chain = "".join(f"v{i + 1} = nn.relu(v{i})\n" for i in range(80))
    graph = graph_of(f"x: f32[2, 3]\nv0 = nn.transpose(x, perm=[1, 0])\n{chain}y = nn.neg(v80)")
    moves = "rule moves:\n    match:\n        t = nn.transpose(x, perm=p)\n        y = nn.relu(t)\n"
    moves += "    rewrite:\n        y = nn.transpose(nn.relu(x), perm=p)\n"
    assert run(graph, moves) == ["moves"] * 80
