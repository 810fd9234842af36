"""A rule from Python is the value that a pattern file gives."""

import pytest

from sparqc.errors import PatternError
from sparqc.lang.ast import Bind, CallPattern, MatchStatement, RuleDecl
from sparqc.lang.parse.decorator import RuleBuilder, rule
from sparqc.lang.parse.parser import parse_text


def parsed(text: str) -> RuleDecl:
    (declaration,) = parse_text(text).declarations
    assert isinstance(declaration, RuleDecl)
    return declaration


def test_the_smallest_rule() -> None:
    @rule(on=("onnx",))
    def drop_double_neg(p: RuleBuilder) -> None:
        """Two negations are none."""
        p.match("y = nn.neg(nn.neg(x))")
        p.rewrite("y = x")

    assert drop_double_neg == parsed("""\
rule drop_double_neg on onnx preserves exact:
    "Two negations are none."
    match:
        y = nn.neg(nn.neg(x))
    rewrite:
        y = x
""")


def test_every_part_of_a_rule() -> None:
    @rule("fold", on=("onnx", "fx"), target="gpu-8.6", preserves="close", decreases="depth")
    def some_function(p: RuleBuilder) -> None:
        """A description
        of two lines."""
        p.source("a document, §1")
        p.match("c = nn.conv(x, w: const, b?: const)", "y = nn.neg(c)")
        p.where("w.readers == 1", 'the weight {w.name} is "shared"')
        p.where("b is not none")
        p.rewrite("w2 = @double(w)")
        p.rewrite("y = nn.conv(x, w2, b) like c")
        p.example(
            """
            x: f32[1]
              deeper
            """,
            after="return x",
        )
        p.example("return x", rejects="no")

    assert some_function == parsed("""\
rule fold on fx, onnx for gpu-8.6 preserves close decreases depth:
    "A description of two lines."
    source "a document, §1"
    match:
        c = nn.conv(x, w: const, b?: const)
        y = nn.neg(c)
    where:
        w.readers == 1  else "the weight {w.name} is \\"shared\\""
        b is not none
    rewrite:
        w2 = @double(w)
        y = nn.conv(x, w2, b) like c
    example:
        before:
            x: f32[1]
              deeper
        after:
            return x
    example:
        before:
            return x
        rejects "no"
""")


def test_names_that_are_computed_and_values_instead_of_text() -> None:
    def without(op: str) -> RuleDecl:
        @rule(f"drop_{op}")
        def drop(p: RuleBuilder) -> None:
            """One that changes nothing."""
            p.match(MatchStatement(("y",), CallPattern((f"nn.{op}",), (Bind("x"),))))
            p.rewrite("y = x")

        return drop

    assert [without(op).name for op in ("identity", "dropout")] == ["drop_identity", "drop_dropout"]
    assert (
        without("identity").match
        == parsed("""\
rule r:
    match:
        y = nn.identity(x)
    rewrite:
        y = x
""").match
    )


def test_a_wrong_line_names_the_function_and_the_line() -> None:
    with pytest.raises(PatternError) as caught:

        @rule()
        def broken(p: RuleBuilder) -> None:
            p.match("y = nn.neg(x")

    assert caught.value.span is not None
    assert caught.value.span.file.endswith("test_rule_decorator.py")
    assert caught.value.span.text == "y = nn.neg(x"
    assert caught.value.message == "something is missing at the end of this line"


def test_a_rule_needs_its_parts_and_known_words() -> None:
    with pytest.raises(PatternError, match="empty matches nothing"):

        @rule()
        def empty(p: RuleBuilder) -> None:
            p.rewrite("y = x")

    with pytest.raises(PatternError, match="`preserves most` does not exist"):

        @rule(preserves="most")
        def careless(p: RuleBuilder) -> None:
            p.match("y = nn.neg(x)")
            p.rewrite("y = x")
