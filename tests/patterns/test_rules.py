"""Every rule that ships: it is well formed, it fires in its examples, and it keeps its word."""

import numpy as np
import pytest

from sparqc.declared.natives import natives
from sparqc.declared.targets import default_profile
from sparqc.ir.graph import Origin
from sparqc.ir.levels.execute import open_runner
from sparqc.ir.text.parse import parse_statements
from sparqc.ir.text.print import print_graph
from sparqc.ir.vocabulary.table import default_table
from sparqc.lang.ast import Binary, Field, Literal, Name, RuleDecl
from sparqc.lang.check.checks import check_file
from sparqc.lang.format.formatter import format_file
from sparqc.lang.parse.parser import parse_text
from sparqc.match.match import Matcher
from sparqc.pipeline.action import Action
from sparqc.pipeline.catalogue import passes
from sparqc.pipeline.library import installed, rulebook
from sparqc.rewrite.context import Context
from sparqc.rewrite.worklist import rewrite

TABLE = default_table()
FILES = [f for f in installed() if f.path.startswith("patterns/")]
RULES = [d for f in FILES for d in f.declarations if isinstance(d, RuleDecl)]
EXAMPLES = [
    pytest.param(rule, level, example, id=f"{rule.name}-{level}-{index}")
    for rule in RULES
    for index, example in enumerate(rule.examples)
    for level in rule.levels
]
#: The largest error that `preserves close` allows, over the largest output.
CLOSE = 1e-5


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.path)
def test_the_static_checks_find_nothing(file):
    passes()  # registers the natives
    others = [f for f in FILES if f is not file]
    assert [str(e) for e in check_file(file, TABLE, natives(), others)] == []


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.path)
def test_the_file_is_formatted(file):
    assert format_file(parse_text(file.text)) == file.text


@pytest.mark.parametrize("rule", RULES, ids=lambda r: r.name)
def test_every_rule_has_an_example_in_which_it_fires(rule):
    assert any(example.after is not None for example in rule.examples)


def context(rules):
    return Context(table=TABLE, rules=rules, target=default_profile(), action=Action())


def turned(rule):
    """Every declaration, with the knobs turned to what the conditions of a rule ask for."""
    book = rulebook()
    for condition in rule.where:
        match condition.expr:
            case Binary("==", Field(Name("knob"), name), Literal(value)):
                book.turn(name, value)
    return book


def apply(rule, graph):
    return rewrite(graph, [rule], context(turned(rule)))


def structure(graph):
    """The dump without what an example does not say: names of constants, their numbers, origins."""
    for number, value in enumerate(sorted(graph.constants, key=lambda v: order(graph, v))):
        graph.rename(value, f"const.{number}")
        if value.data.size:
            value.data = np.zeros_like(value.data)
    for node in graph.nodes:
        node.origin = Origin()
    graph.output_names = [f"output.{i}" for i in range(len(graph.outputs))]
    return print_graph(graph)


def order(graph, value):
    """The place where a constant is read first."""
    reads = [v for node in graph.nodes for v in node.inputs]
    return reads.index(value)


@pytest.mark.parametrize(("rule", "level", "example"), EXAMPLES)
def test_the_examples_of_the_rules(rule, level, example):
    graph = parse_statements(example.before, TABLE, level)
    graph.drop_dead()
    if example.rejects is not None:
        before = print_graph(graph)
        assert apply(rule, graph) == 0
        assert print_graph(graph) == before
        matcher = Matcher(rulebook(), TABLE)
        misses = [str(matcher.explain(rule, n)) for n in graph.nodes]
        assert any(example.rejects in miss for miss in misses), misses
        return
    assert apply(rule, graph) > 0, "the rule does not fire in its own example"
    graph.verify()
    wanted = parse_statements(example.after, TABLE, level)
    wanted.drop_dead()
    assert structure(graph) == structure(wanted)


@pytest.mark.parametrize(
    ("rule", "level", "example"), [p for p in EXAMPLES if p.values[2].after is not None]
)
def test_the_rules_keep_their_word_on_numbers(rule, level, example):
    graph = parse_statements(example.before, TABLE, level)
    generator = np.random.default_rng(0)
    batch = [random_input(v, generator) for v in graph.inputs]
    (before,), _ = open_runner(graph, TABLE).run(batch)
    apply(rule, graph)
    (after,), _ = open_runner(graph, TABLE).run(batch)
    if rule.preserves == "exact":
        np.testing.assert_array_equal(before, after)
    else:
        assert np.abs(before - after).max() <= CLOSE * np.abs(before).max()


def random_input(value, generator):
    shape = [d if isinstance(d, int) else 2 for d in value.shape]
    if value.type.dtype == "i8":
        return generator.integers(-127, 128, shape).astype(np.int8)
    return generator.standard_normal(shape, np.float32)
