"""The rules that ship, on a few graphs of their own match blocks; `sparqc rules test` runs more."""

import pytest

from sparqc.pipeline.installed import installed
from sparqc.tools.rules.examples.result import book_of, target_for, wanted_knobs
from sparqc.tools.rules.trials.run import rules_of
from sparqc.tools.rules.trials.trial import Trial, try_rule
from tests.patterns.planted_faults import FAULTS

RULES = [
    pytest.param(file, rule, id=rule.name)
    for file in installed()
    if file.path.startswith("patterns/")
    for rule in rules_of(file)
]


@pytest.mark.parametrize(("file", "rule"), RULES)
def test_every_rule_keeps_its_word_on_graphs_of_its_own(file, rule):
    book = book_of(file)
    for name, value in wanted_knobs(rule):
        book.turn(name, value)
    level = rule.levels[-1]
    tally = try_rule(Trial(rule, level, book, target_for(rule)), 5, 0, mutates=False)
    assert not tally.fault, f"{tally.fault}\n{tally.graph}"
    assert tally.fired == 5


@pytest.mark.parametrize("fault", FAULTS[2:16:4], ids=lambda f: f.rule)
def test_faults_that_are_planted_are_found(fault):
    assert fault.is_found(30)
