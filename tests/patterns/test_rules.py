"""Every rule that ships: it is well formed, it fires in its examples, and it keeps its word."""

import pytest

from sparqc.declared.natives import natives
from sparqc.ir.vocabulary.table import default_table
from sparqc.lang.ast import RuleDecl
from sparqc.lang.check.checks import check_file
from sparqc.lang.format.formatter import format_file
from sparqc.lang.parse.parser import parse_text
from sparqc.pipeline.catalogue import passes
from sparqc.pipeline.installed import installed
from sparqc.pipeline.library import rulebook
from sparqc.tools.rules.examples.result import run_example

TABLE = default_table()
FILES = [f for f in installed() if f.path.startswith("patterns/")]
RULES = [d for f in FILES for d in f.declarations if isinstance(d, RuleDecl)]
EXAMPLES = [
    pytest.param(rule, level, example, id=f"{rule.name}-{level}-{index}")
    for rule in RULES
    for index, example in enumerate(rule.examples)
    for level in rule.levels
]


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


@pytest.mark.parametrize(("rule", "level", "example"), EXAMPLES)
def test_the_examples_of_the_rules_hold_and_so_does_their_word_on_numbers(rule, level, example):
    found = run_example(rule, example, level, rulebook())
    assert not found.fault and not found.unmeasured, str(found.error)
