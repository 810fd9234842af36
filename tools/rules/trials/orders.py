"""Rules that fire in one graph, in one order and in the other, and all rules in any order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from sparqc.errors import SparqcError
from sparqc.ir.graph import Graph
from sparqc.lang.ast import RuleDecl
from sparqc.match.match import Index
from sparqc.pipeline.drift import Word, drift_of
from sparqc.tools.rules.trials.graphs.build import Instance
from sparqc.tools.rules.trials.oracle import DoesNotRun, run
from sparqc.tools.rules.trials.trial import Trial

#: So many graphs are tried for each pair, and in random orders for each rule.
_PAIRS, _ORDERS = 5, 20
#: So often all rules are carried out, one after the other, until none fires.
_ROUNDS = 20
_WORDS: tuple[Word, ...] = ("exact", "close", "lossy")


class Orders:
    """What goes wrong with several rules on one graph; keeps count of what it tried."""

    def __init__(self, rules: Sequence[RuleDecl]) -> None:
        self.rules = rules
        self.random = np.random.default_rng(0)
        self.pairs: Counter[str] = Counter()
        self.orders = 0

    def fault(self, trial: Trial, instance: Instance) -> str:
        """That another rule makes something else of the graph, or that no end is reached."""
        graph = instance.graph
        index = Index(trial.matcher, self.rules)
        found = {
            rule.name: rule
            for node in graph.nodes
            for rule in index.at(node)
            if rule.name != trial.rule.name and trial.matcher.first(rule, node) is not None
        }
        for name, other in found.items():
            if self.pairs[name] < _PAIRS:
                self.pairs[name] += 1
                if fault := _in_both_orders(trial, other, instance):
                    return fault
        if self.orders < _ORDERS:
            self.orders += 1
            return self.unending(trial, graph)
        return ""

    def unending(self, trial: Trial, graph: Graph) -> str:
        """That the rules still fire after many rounds in a random order."""
        order = [self.rules[int(i)] for i in self.random.permutation(len(self.rules))]
        for _ in range(_ROUNDS):
            firing = []
            for rule in order:
                graph, count = trial.applied(graph, [rule])
                firing += [rule] * (count > 0)
            if not firing:
                return ""
        names = ", ".join(rule.name for rule in firing)
        return f"in some order the rules do not come to an end: {names} still fire"


def _in_both_orders(trial: Trial, other: RuleDecl, instance: Instance) -> str:
    both = [trial.rule, other]
    word = max((rule.preserves for rule in both), key=_WORDS.index)
    results = []
    for first in both:
        try:
            end = trial.rewritten(trial.rewritten(instance.graph, [first]), both)
            results.append(run(end, instance.batch, trial.book.table))
        except SparqcError as error:
            return f"with {other.name}, {first.name} first: {error.message}"
        except DoesNotRun as error:
            return f"with {other.name}, {first.name} first, the graph does not run: {error}"
    drift = drift_of(results[0], results[1], instance.graph.output_names, instance.graph)
    if drift.keeps(word):
        return ""
    return f"{other.name} in front of it and behind it give two results: {drift}"
