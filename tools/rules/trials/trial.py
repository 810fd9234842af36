"""One rule on one level, held to instances of its own match block."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from hypothesis import HealthCheck, Phase, Verbosity, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import HypothesisException

from sparqc.declared.targets import Profile
from sparqc.errors import SparqcError
from sparqc.ir.graph import Graph
from sparqc.ir.types import Level
from sparqc.lang.ast import Declaration, RuleDecl
from sparqc.match.match import Matcher
from sparqc.match.rulebook import RuleBook
from sparqc.pipeline.action import Action
from sparqc.rewrite.context import Context
from sparqc.rewrite.worklist import rewrite
from sparqc.tools.rules.trials.example_text import example_text
from sparqc.tools.rules.trials.graphs.build import Instance
from sparqc.tools.rules.trials.graphs.examples import fed, graphs_of
from sparqc.tools.rules.trials.graphs.instances import instances
from sparqc.tools.rules.trials.mutants import Mutant, mutants_of
from sparqc.tools.rules.trials.oracle import DoesNotRun, fault_of, run
from sparqc.tools.rules.trials.time_limit import TooLong, time_limit

#: Of the instances so many have to fire, or the rule is hardly tested.
LEAST_FIRED = 0.2
#: So long one instance may take, in seconds; on a machine that is busy, and loads torch first.
_LONGEST = 60.0
#: So often more instances are drawn where too few have fired.
_ROUNDS = 6


class Wrong(Exception):
    """An instance on which a rule broke its word."""


@dataclass
class Tally:
    """What became of one rule on one level."""

    rule: Declaration
    level: Level
    instances: int = 0
    fired: int = 0
    wrong: int = 0
    #: What went wrong, and the graph on which it did.
    fault: str = ""
    graph: str = ""
    killed: list[Mutant] = field(default_factory=list)
    survived: list[Mutant] = field(default_factory=list)

    @property
    def share(self) -> float:
        """How many of the instances fired."""
        return self.fired / self.instances if self.instances else 0.0


class Trial:
    """Runs a rule, and others in its place, on instances."""

    def __init__(self, rule: RuleDecl, level: Level, book: RuleBook, target: Profile) -> None:
        self.rule, self.level, self.book, self.target = rule, level, book, target
        self.matcher = Matcher(book, book.table, target.name)
        self.context = Context(book.table, book, target, Action())

    def fires(self, rule: RuleDecl, graph: Graph) -> bool:
        """Whether a rule matches anywhere in a graph."""
        return any(self.matcher.first(rule, node) is not None for node in graph.nodes)

    def rewritten(self, graph: Graph, rules: Sequence[RuleDecl]) -> Graph:
        """A copy of a graph on which rules were carried out; raises SparqcError."""
        return self.applied(graph, rules)[0]

    def applied(self, graph: Graph, rules: Sequence[RuleDecl]) -> tuple[Graph, int]:
        """The same, and how often rules were applied."""
        copy = graph.clone()
        count = rewrite(copy, rules, self.context)
        copy.verify()
        return copy, count

    def fault(self, rule: RuleDecl, instance: Instance) -> str | None:
        """What a rule does wrong on an instance, "" where nothing, None where it changes nothing;
        raises DoesNotRun."""
        given = run(instance.graph, instance.batch, self.book.table)
        try:
            after, count = self.applied(instance.graph, [rule])
        except SparqcError as error:
            return str(error.message)
        if not count:
            return None
        return fault_of(
            rule.preserves, instance.graph, after, instance.batch, given, self.book.table
        )


def try_rule(
    trial: Trial,
    wanted: int,
    start: int,
    beside: Callable[[Trial, Instance], str] = lambda *_: "",
    mutates: bool = True,
) -> Tally:
    """Instances until so many have fired, at first those of the file's examples; `beside` is asked
    for each that fired, and says what is wrong with it otherwise."""
    tally = Tally(trial.rule, trial.level)
    mutants = list(mutants_of(trial.rule)) if mutates else []
    alive = list(mutants)

    def one(instance: Instance | None) -> None:
        if instance is None or tally.fired >= wanted:
            return
        if not tally.fault:
            tally.instances += 1
        try:
            with time_limit(_LONGEST):
                fired, fault = _outcome(trial, instance, beside)
                alive[:] = [m for m in alive if not _kills(trial, m, instance)]
        except TooLong:
            fired, fault = True, f"it takes more than {_LONGEST:g} seconds on one graph"
        if not tally.fault:
            tally.fired += fired
        if fault:
            tally.fault, tally.graph = fault, example_text(instance.graph, trial.book.table)
            tally.wrong = 1
            raise Wrong(fault)

    strategy = instances(trial.rule, trial.level, trial.book, trial.target.name)
    try:
        for graph in graphs_of(trial.rule, trial.level, trial.book):
            one(fed(graph, np.random.default_rng(0)))
        for number in range(_ROUNDS):
            left = wanted - tally.fired
            if left <= 0:
                break
            count = int(left / max(tally.share, LEAST_FIRED)) + 1
            generate(one, strategy, count, start + number, shrinks=True)
    except Wrong:
        return tally
    alive = [m for m in alive if not _kill_more(trial, m, wanted // 2 + 20, start)]
    tally.survived = [m for m in mutants if m in alive]
    tally.killed = [m for m in mutants if m not in alive]
    return tally


def _kill_more(trial: Trial, mutant: Mutant, count: int, start: int) -> bool:
    """Whether a mutant goes wrong on instances of its own match block."""
    killed = False

    def one(instance: Instance | None) -> None:
        nonlocal killed
        if instance is not None and not killed:
            with time_limit(_LONGEST):
                killed = _kills(trial, mutant, instance)

    own = instances(mutant.rule, trial.level, trial.book, trial.target.name)
    try:
        generate(one, own, count, start, shrinks=False)
    except TooLong:
        return True
    return killed


def _outcome(
    trial: Trial, instance: Instance, beside: Callable[[Trial, Instance], str]
) -> tuple[bool, str]:
    """Whether the rule fires, and what is wrong then."""
    try:
        if not trial.fires(trial.rule, instance.graph):
            return False, ""
        fault = trial.fault(trial.rule, instance)
        if fault is None:
            return False, ""
        fault = fault or beside(trial, instance)
    except DoesNotRun:
        return False, ""
    except SparqcError as error:
        return True, error.message
    return True, fault


def _kills(trial: Trial, mutant: Mutant, instance: Instance) -> bool:
    """Whether a mutant goes wrong where the rule itself does not fire."""
    try:
        if trial.fires(trial.rule, instance.graph):
            return False
        return trial.fires(mutant.rule, instance.graph) and bool(trial.fault(mutant.rule, instance))
    except DoesNotRun:
        return False
    except SparqcError:  # a native that is asked for what its condition would have held back
        return True


def generate(
    one: Callable[[Instance | None], None],
    strategy: st.SearchStrategy[Instance | None],
    count: int,
    start: int,
    shrinks: bool,
) -> None:
    """Call a function with instances; of those on which it raises, the simplest comes last."""
    phases = [Phase.generate, Phase.shrink] if shrinks else [Phase.generate]
    found = settings(
        max_examples=count, database=None, deadline=None, phases=phases, print_blob=False,
        suppress_health_check=list(HealthCheck), verbosity=Verbosity.quiet,
        report_multiple_bugs=False,
    )  # fmt: skip

    def test(instance: Instance | None) -> None:
        one(instance)

    drawn = seed(start)(found(given(strategy)(test)))
    try:
        drawn()
    except HypothesisException as error:  # flaky, or nothing left to draw
        if "Flaky" in type(error).__name__:
            raise Wrong(str(error)) from error
