"""Conditions and sentences: what can be asked of a match, and what happens with the unknown."""

import re
from typing import Any

import numpy as np
import pytest

from sparqc.declared.natives import describe
from sparqc.errors import PatternError, SparqcError
from sparqc.ir.graph import Array, Value
from sparqc.lang.ast import Template
from sparqc.lang.parse.parser import parse_text
from sparqc.match.evaluate import evaluate, failing, render
from sparqc.match.match import Matcher
from sparqc.match.terms import Symbol, Undetermined, attributes_equal, equal, show
from tests.match.sketches import TABLE, graph_of, pattern

GRAPH = """
x: f32[batch, 3, 8, h]
w: const f32[16, 3, 3, 3]
b: const f32[16]
c = nn.conv(x, w, b, strides=[2, 2], groups=1)
d = nn.relu(c)
e = nn.neg(c)
s = nn.add(d, e)
return s, d
"""


def holds(condition: str, block: str = "c = shared nn.conv(x, w, b?)\ny = nn.relu(c)", **natives):
    """None where the condition holds for the match at `d`, else the reason why it does not."""
    matcher, rule = pattern(block, where=condition, **natives)
    graph = graph_of(GRAPH)
    (match,) = matcher.matches(rule, graph.value("d").producer)
    failed = failing(rule.where, match, matcher)
    return failed[1] if failed else None


@pytest.mark.parametrize(
    "condition",
    [
        "w.shape == [16, 3, 3, 3]", "w.shape[0] == 16", "w.shape[-1] == 3", "w.rank == 4",
        'w.dtype == "f32"', 'w.dtype in ["f32", "f16"]', "w.is_const", "not x.is_const",
        "w.is_stored", "not x.is_stored", "not c.is_stored",
        "x.is_input", "not c.is_input", "y.is_output", "not c.is_output",
        "c.readers == 2", "y.readers == 2", 'w.name == "w"',
        "c.strides == [2, 2]", "c.groups == 1", "c.groups == 1.0", "c.strides[1] == 2",
        "w.shape[1] + 2 * 3 - 1 == 8", "w.shape[0] // 3 == 5", "w.shape[0] / 32 == 0.5",
        "w.shape[0] % 16 == 0", "-w.shape[1] < 0 and 3 <= w.shape[1]", "1 < 2 or y.readers > 9",
        "x.shape[1] == w.shape[1]", "x.shape == x.shape", "x.shape[0] == c.shape[0]",
        "w.size == 432", "w.size == 3 * w.K * w.area", "b.size == 16",
        'x.shape[0] == "batch"', "b != none", "b", "not (b == none)",
        "y.depth > c.depth and c.depth > x.depth",
    ],
)  # fmt: skip
def test_conditions_that_hold(condition):
    assert holds(condition) is None


@pytest.mark.parametrize(
    "condition",
    [
        "w.shape[0] == 15", "w.shape == [16, 3, 3]", "not w.is_const", "b == none", "false",
        "c.groups", "c.strides == 2", "w.dtype in []", 'x.shape[0] == "other"', "c.zoom == 1",
    ],
)  # fmt: skip
def test_conditions_that_do_not_hold(condition):
    expected = "not met: " + condition
    if condition == "c.groups":
        assert holds(condition) is None  # 1 is true
    else:
        assert holds(condition) == expected


@pytest.mark.parametrize(
    ("condition", "reason"),
    [
        ("x.shape[0] % 2 == 0", "unknown dimension 'batch'"),
        ("x.shape[0] > 0", "unknown dimension 'batch'"),
        ("x.shape[0] == 4", "unknown dimension 'batch'"),
        ("x.shape[0] != 4", "unknown dimension 'batch'"),
        ("x.shape[0] == x.shape[3]", "unknown dimension 'batch'"),
        ("not x.shape[0] == 4", "unknown dimension 'batch'"),
        ("x.shape[0] in [1, 2]", "unknown dimension 'batch'"),
        ("x.shape == [4, 3, 8, 8]", "unknown dimension 'h'"),
        ("w.shape[9] == 1", "[16, 3, 3, 3] has no entry 9"),
        ("w.shape[0] / (w.shape[1] - 3) > 1", "a division by zero"),
        ("c.zoom > 1", "c.zoom is absent"),
        ("x.size > 0", "unknown dimension 'batch'"),
        ("-c.zoom[0] > 1", "c.zoom[0] is absent"),
        ("w.shape[c.zoom] > 1", "c.zoom is absent"),
    ],
)
def test_what_depends_on_the_unknown_does_not_hold(condition, reason):
    assert reason in holds(condition)


@pytest.mark.parametrize(
    ("condition", "holding"),
    [
        ("x.shape[0] > 0 or w.rank == 4", True),
        ("w.rank == 4 or x.shape[0] > 0", True),
        ("x.shape[0] > 0 and w.rank == 5", False),
        ("not (x.shape[0] > 0 and w.rank == 5)", True),
        ("x.shape == [4, 5, 8, 8]", False),
        ("x.shape != [4, 5, 8, 8]", True),
        ("x.shape[0] in [1, 2] or true", True),
    ],
)
def test_the_unknown_counts_only_where_it_decides(condition, holding):
    assert (holds(condition) is None) == holding


def test_an_unknown_shape_is_not_equal_to_another_unknown_shape():
    matcher, rule = pattern("y = nn.add(a, b)", where='a.shape == b.shape else "shapes"')
    graph = graph_of("y = nn.add(a, b)")
    failed = [
        failing(rule.where, m, matcher) for m in matcher.matches(rule, graph.value("y").producer)
    ]
    assert {reason for _, reason in failed} == {
        "shapes (unknown shape of a)", "shapes (unknown shape of b)"
    }  # fmt: skip


def test_free_dimensions_may_be_given_for_sizes_and_for_nothing_else():
    matcher, rule = pattern("y = nn.relu(c)", where='c.size == 16384 else "{c.size} of {c.shape}"')
    graph = graph_of("x: f32[batch, 16, 8, h]\nc = nn.neg(x)\nd = nn.relu(c)\nreturn d")
    (match,) = matcher.matches(rule, graph.value("d").producer)

    def reason(**sizes):
        failed = failing(rule.where, match, matcher, sizes=sizes)
        return failed[1] if failed else None

    assert reason(batch=8, h=16) is None
    assert reason(batch=1, h=16) == "2048 of [batch, 16, 8, h]"
    assert reason(batch=8) == "? of [batch, 16, 8, h] (unknown dimension 'h')"
    assert failing(rule.where, match, matcher, unknown_holds=True) is None


def test_names_may_be_given_beside_those_of_the_match():
    matcher, rule = pattern("y = nn.relu(c)", where="width == 2")
    (match,) = matcher.matches(rule, graph_of(GRAPH).value("d").producer)
    assert failing(rule.where, match, matcher, {"width": 2}) is None
    assert failing(rule.where, match, matcher, {"width": 1}) is not None


def test_a_property_of_an_absent_operand_is_none():
    matcher, rule = pattern("y = nn.conv(x, w, b?)", where="b.shape == none and b.shape[0] == none")
    graph = graph_of("x: f32[1, 4, 8, 8]\nw: const f32[4, 4, 1, 1]\ny = nn.conv(x, w)")
    assert matcher.first(rule, graph.value("y").producer) is not None


def test_the_first_condition_that_fails_gives_the_reason():
    reason = holds('w.rank == 4 else "one"\nw.rank == 5 else "two {w.rank} of {w.shape}"\nfalse')
    assert reason == "two 4 of [16, 3, 3, 3]"


def test_a_reason_with_an_unknown_in_it():
    assert holds('x.shape[0] == 2 else "batch {x.shape}"') == (
        "batch [batch, 3, 8, h] (unknown dimension 'batch')"
    )


# -- natives -------------------------------------------------------------------------------------


def test_natives_get_what_their_annotations_ask_for():
    seen = []

    def look(
        w: Array, c: Value, strides: tuple[int, ...], b: Array | None, none: Array | None
    ) -> bool:
        seen.append((w.shape, c.name, strides, b.shape, none))
        return True

    assert holds("@look(w, c, c.strides, b, c.zoom)", look=look) is None
    assert seen == [((16, 3, 3, 3), "c", (2, 2), (16,), None)]


def test_natives_take_lists_of_values():
    def widths(xs: tuple[Value, ...]) -> int:
        return sum(x.shape[0] for x in xs)

    matcher, rule = pattern("y = nn.concat(*xs)", where="@widths(xs) == 5", widths=widths)
    graph = graph_of("x: f32[2]\nz: f32[3]\ny = nn.concat(x, z, axis=0)")
    assert matcher.first(rule, graph.value("y").producer) is not None


def test_an_absent_operand_is_called_as_the_rule_calls_it():
    def size(number: Array, node: Value) -> bool:
        return True

    block = "y = nn.linear(x, w, b?)"
    graph = graph_of("x: f32[1, 4]\nw: const f32[4, 4]\ny = nn.linear(x, w)")
    for condition in ("@size(b, y)", "@size(w, b)", "@size(y.scales, y)"):
        matcher, rule = pattern(block, where=condition, size=size)
        (match,) = matcher.matches(rule, graph.value("y").producer)
        _, reason = failing(rule.where, match, matcher)
        assert reason == f"{'y.scales' if 'scales' in condition else 'b'} is absent"


def test_an_operand_that_is_not_constant_is_no_array():
    def size(x: Array | None) -> int:
        return 0 if x is None else x.size

    assert "x is not constant" in holds("@size(x) == 0", size=size)


def test_a_native_may_refuse_with_a_reason():
    def refuse(w: Array) -> bool:
        raise SparqcError("these weights are damaged")

    assert holds('@refuse(w) else "no"', refuse=refuse) == "no (these weights are damaged)"


def test_a_native_that_fails_is_an_error_that_names_it_and_the_rule():
    def divide(w: Array) -> bool:
        return 1 / 0

    line = divide.__code__.co_firstlineno + 1
    with pytest.raises(
        SparqcError,
        match=rf"test.spq:6:9: r: @divide failed at .*test_evaluate.py:{line}: ZeroDivisionError",
    ):
        holds("@divide(w)", divide=divide)


def gives_text(w: Array) -> bool:
    return "yes"


def gives_truth(w: Array) -> int:
    return True


def gives_none(w: Array) -> Array:
    return None


def gives_number(w: Array) -> tuple[int, ...]:
    return 3


def gives_array(w: Array) -> str:
    return w


@pytest.mark.parametrize(
    ("native", "said"),
    [
        (gives_text, "gave str 'yes', and its annotation says bool"),
        (gives_truth, "gave bool True, and its annotation says int"),
        (gives_none, "gave NoneType None, and its annotation says .*ndarray"),
        (gives_number, r"gave int 3, and its annotation says tuple\[int, \.\.\.\]"),
        (gives_array, r"gave an array float32\[16, 3, 3, 3\], and its annotation says str"),
    ],
)
def test_a_native_that_gives_something_else_than_it_says(native, said):
    line = native.__code__.co_firstlineno
    with pytest.raises(
        SparqcError, match=rf"test.spq:6:9: r: @f \(.*test_evaluate.py:{line}\) {said}"
    ):
        holds("@f(w) == 1", f=native)


@pytest.mark.parametrize(
    ("annotation", "result"),
    [
        (bool, np.bool_(True)),
        (int, np.int64(1)),
        (float, 1),
        (float | None, None),
        (Array, np.float32(1)),
        (tuple[int, ...], [1]),
    ],
)
def test_a_native_may_give_what_numpy_has_for_it(annotation, result):
    def native(w: Array):
        return result

    native.__annotations__["return"] = annotation
    assert describe("f", native).gives(result)


def test_who_stops_a_native_is_told_which_one_it_was():
    def endless(w: Array) -> bool:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as stop:
        holds("@endless(w)", endless=endless)
    (note,) = stop.value.__notes__
    assert re.fullmatch(
        r"it was in @endless \(.*test_evaluate.py:\d+\), called by r \(test.spq:6:9\)", note
    )


def test_a_native_with_the_wrong_number_of_arguments():
    def two(a: Array, b: Array | None = None) -> bool:
        return True

    with pytest.raises(PatternError, match="r: @two takes 1-2 arguments, not 3"):
        holds("@two(w, b, w)", two=two)


def test_an_unknown_native_is_an_error_with_a_hint():
    def sigma(w: Array) -> bool:
        return True

    with pytest.raises(PatternError, match="unknown function @sigmaa") as error:
        holds("@sigmaa(w)", sigma=sigma)
    assert "did you mean 'sigma'" in str(error.value)


# -- what makes no sense -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ("weight.rank == 1", "unknown name 'weight'"),
        ("w + 1 == 2", "w is no number"),
        ('c.groups.shape == 1', "1 is no value that has a 'shape'"),
        ("w.rank[0] == 1", "4 is no list"),
        ("1 in w.rank", "'in' needs a list, not 4"),
    ],
)  # fmt: skip
def test_nonsense_is_an_error_at_its_place(condition, message):
    with pytest.raises(PatternError, match=message) as error:
        holds(condition)
    assert error.value.span.line == 6


# -- values --------------------------------------------------------------------------------------


def test_sentences_show_shapes_names_and_numbers():
    source = (
        "check k on onnx grade note:\n    match:\n        c = shared nn.conv(x, w, b?, strides=s)\n"
        "        y = nn.relu(c)\n"
        '    message "{w.name}: {w.shape} on {x.shape}, {s}, {c.groups}, {w.is_const}, {b}, '
        '{y.zoom}"\n'
    )
    (check,) = parse_text(source).declarations
    graph = graph_of(GRAPH)
    matcher = Matcher(pattern("y = nn.relu(x)")[0].book, TABLE)
    match = matcher.first(check, graph.value("d").producer)
    assert render(check.message, match, matcher) == (
        "w: [16, 3, 3, 3] on [batch, 3, 8, h], [2, 2], 1, true, b, none"
    )
    assert render(Template("as it is"), match, matcher) == "as it is"


def test_expressions_may_see_further_names():
    matcher, rule = pattern("y = nn.relu(x)", where="k + 1 == 3")
    graph = graph_of("x: f32[2]\ny = nn.relu(x)")
    (match,) = matcher.matches(rule, graph.value("y").producer)
    assert evaluate(rule.where[0].expr, match, matcher, {"k": 2}) is True


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [
        (1, 1.0, True), (True, 1, True), ((2, 2), [2, 2], True), ((2,), (2, 2), False),
        (1e-5, float(np.float32(1e-5)), True), (1e-5, 2e-5, False), ("a", "a", True),
        ("1", 1, False), (None, None, True), (None, 0, False), (0.0, None, False),
        (np.array([1, 2]), np.array([1, 2]), True), (np.array([1, 2]), (1, 2), False),
        (float("inf"), float("inf"), True), (float("inf"), 1.0, False),
    ],
)  # fmt: skip
def test_attributes_are_compared_by_what_they_say(a: Any, b: Any, same: bool):
    assert attributes_equal(a, b) is same
    assert attributes_equal(b, a) is same


def test_one_difference_decides_whatever_is_unknown_beside_it():
    n, m = Symbol("n"), Symbol("m")
    assert equal((n, 1), (n, 1))
    assert not equal((n, 1), (m, 2))
    assert not equal((n, 1), (n,))
    assert not equal(n, None)
    for a, b in [((n, 1), (m, 1)), (n, 4), ((n,), (4,))]:
        with pytest.raises(Undetermined):
            equal(a, b)


@pytest.mark.parametrize(
    ("term", "text"),
    [
        (None, "none"), (True, "true"), (0.1, "0.1"), (np.float32(0.1), "0.1"), (7, "7"),
        ((1, Symbol("n"), "a"), "[1, n, a]"), (np.arange(3), "[0, 1, 2]"),
        (np.float32([[2.5]]), "2.5"), (np.zeros((3, 4)), "an array of [3, 4]"),
    ],
)  # fmt: skip
def test_terms_as_a_person_writes_them(term: Any, text: str):
    assert show(term) == text


def test_what_is_computed_from_constants_is_not_stored():
    matcher, rule = pattern("y = nn.neg(w)", where="w.is_const and not w.is_stored")
    graph = graph_of(
        "c: const i8[4]\ns: const f32[] = 0.5\nw = q.dequantize(c, s)\ny = nn.neg(w)\nreturn y"
    )
    assert matcher.first(rule, graph.value("y").producer)
