"""What fusions say of other fusions, and knobs: how the rulebook hands them out."""

import pytest

from sparqc.declared.knobs import knob, parse_knobs
from sparqc.errors import PatternError, UsageError
from sparqc.ir.text.print import parse_statements
from sparqc.ir.vocabulary.table import default_table
from sparqc.lang.parse.parser import parse_text
from sparqc.match.cover import cover
from sparqc.match.evaluate import failing
from sparqc.match.match import Matcher
from sparqc.match.rulebook import RuleBook

FUSIONS = """
fusion conv on onnx:
    "A convolution."
    match:
        y = nn.conv(x, w: const)
    int8:
        x per tensor
        w per channel
        w.shape[0] >= 16  else "too few channels"
    sparse w:
        y.groups == 1  else "grouped"

fusion conv_relu on onnx:
    "A convolution and its ReLU."
    like conv
    match:
        y = nn.conv(x, w: const)
        z = nn.relu(y)
    int8:
        knob.attention == "int8"  else "the knob says {knob.attention}"
    pays:
        w.shape[0] >= 128
"""


def book() -> RuleBook:
    return RuleBook(parse_text(FUSIONS).declarations)


def test_a_fusion_that_is_like_another_has_its_lines_in_front_of_its_own():
    conv, conv_relu = book().fusions()
    assert conv_relu.int8 == conv.int8
    assert conv_relu.int8_where[:1] == conv.int8_where
    assert len(conv_relu.int8_where) == 2
    assert (conv_relu.sparse, conv_relu.sparse_where) == ("w", conv.sparse_where)
    assert (len(conv_relu.pays), conv.pays) == (1, ())
    assert book().find("conv_relu") == conv_relu


CASE = """
fusion wide_conv on onnx:
    "A case of conv."
    like conv
    where:
        w.shape[0] >= 64  else "narrow"
    int8:
        w per tensor
"""


def test_a_fusion_without_a_match_is_a_case_of_the_other_and_counts_in_its_place():
    text = FUSIONS.replace("w per channel", 'w per channel  else float_weight "{w.name} is float"')
    rules = RuleBook(parse_text(text + CASE).declarations)
    conv, wide = rules.find("conv"), rules.find("wide_conv")
    assert (wide.match, wide.replaces, len(wide.where)) == (conv.match, ("conv",), 1)
    (data, weight), said = wide.int8, conv.int8[1].reason
    assert (data, weight.granularity, weight.reason) == (conv.int8[0], "tensor", said)
    graph = parse_statements(
        "x: f32[1, 16, 8, 8]\nv: const f32[64, 16, 1, 1]\nw: const f32[16, 64, 1, 1]\n"
        "y = nn.conv(nn.conv(x, v), w)",
        default_table(),
        "onnx",
    )
    chosen = cover(graph, Matcher(rules, rules.table), rules.fusions())
    assert [match.decl.name for match in chosen] == ["conv", "wide_conv"]


def test_the_order_of_the_declarations_changes_nothing():
    assert RuleBook(reversed(parse_text(FUSIONS).declarations)).fusions() == book().fusions()


def test_a_fusion_like_no_other_is_an_error_that_shows_where():
    declarations = parse_text(FUSIONS.replace("like conv\n", "like con\n"), "my.spq").declarations
    with pytest.raises(PatternError, match=r"my\.spq:13:8: like: there is no fusion 'con'"):
        RuleBook(declarations).fusions()


@pytest.mark.parametrize(("value", "reason"), [("float", "the knob says float"), ("int8", None)])
def test_a_condition_asks_what_a_knob_is_set_to(value, reason):
    rules = book()
    rules.turn("attention", value)
    graph = parse_statements(
        "x: f32[1, 16, 8, 8]\nw: const f32[16, 16, 1, 1]\nz = nn.relu(nn.conv(x, w))",
        default_table(),
        "onnx",
    )
    matcher = Matcher(rules, rules.table)
    fusion = rules.find("conv_relu")
    match = matcher.first(fusion, graph.outputs[0].producer)
    missed = failing(fusion.int8_where, match, matcher)
    assert (missed and missed[1]) == reason


def test_a_knob_has_its_default_until_it_is_turned():
    rules = book()
    assert rules.knobs["attention"] == knob("attention").default == "float"
    rules.turn("attention", "int8")
    assert rules.knobs["attention"] == "int8"
    assert book().knobs["attention"] == "float"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("atention=int8", "there is no knob 'atention'"),
        ("attention=int9", "the knob 'attention' has no value 'int9'"),
        ("attention", "'attention' sets no knob"),
        ("batch=-1", "the knob 'batch' is 0 or more, not '-1'"),
        ("multiprocessors=0", "the knob 'multiprocessors' is 1 or more, not '0'"),
        ("l2_cache=nan", "the knob 'l2_cache' is a finite number, not 'nan'"),
        ("batch=inf", "the knob 'batch' is a finite number, not 'inf'"),
    ],
)
def test_wrong_knobs_are_refused(words, message):
    with pytest.raises(UsageError, match=message):
        parse_knobs(words)


def test_knobs_are_read_from_words():
    assert parse_knobs("attention = int8,") == {"attention": "int8"}
