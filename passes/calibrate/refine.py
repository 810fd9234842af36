"""Ranges by other calibrators, where the outputs of the network come nearer with them.

`mse` is right for a value taken alone.  Of two values with the same histogram one may matter for
its largest elements (a max pool keeps nothing else) and the other for its mean, which only the
network's outputs tell.  What to change is searched on samples that may be fitted to; whether it
stays is judged on others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sparqc.ir.graph import Graph
from sparqc.ir.vocabulary.table import OperatorTable
from sparqc.numerics.arrays import Floats
from sparqc.numerics.int8_codes import safe_scale
from sparqc.passes.calibrate.calibrators import Method
from sparqc.passes.on_data.held_out import Split
from sparqc.passes.on_data.judge import Judge, gain
from sparqc.passes.on_data.transaction import PART, WHOLE, Judgement, judged, too_few
from sparqc.rewrite.context import Batch

#: The calibrators that are tried instead, for all quantizers and then for stretches of them.
OTHERS: tuple[Method, ...] = ("percentile", "max", "entropy")
#: How many networks the search may try.
_TRIALS = 12
#: A range that differs by less is the same.
_SAME = 0.02


@dataclass(frozen=True)
class Choice:
    """The range of one scale by each method, and what the largest code is."""

    scale: str  # name of the constant
    high: int
    amax: Mapping[Method, float]
    method: Method

    def differs(self, other: Method) -> bool:
        """Whether another method gives another range."""
        return abs(self.amax[other] - self.amax[self.method]) > _SAME * self.amax[self.method]


#: By the name of a scale, the method that takes the place of the one that everybody has.
Methods = dict[str, Method]


def refined(
    graph: Graph,
    reference: Graph,
    choices: Sequence[Choice],
    fitted: Sequence[Batch],
    split: Split,
    table: OperatorTable,
) -> tuple[Methods, Judgement]:
    """The scales that other methods serve better, and what the judge said of them.

    `graph` is calibrated, `reference` the same graph in float, `choices` are in its order, and
    `fitted` are samples to search on.
    """
    name = "calibrate"
    if reason := too_few(split):
        return {}, Judgement(name, split.samples, reason=reason)
    if not choices:
        return {}, Judgement(name)
    search = _Search(graph, choices, Judge(reference, fitted, table))
    search.run()
    if not search.methods:
        return {}, Judgement(name)

    def build(kept: Sequence[str]) -> Graph:
        return _with(graph, choices, {scale: search.methods[scale] for scale in kept})

    judge = Judge(reference, split.held, table)
    found = judged(list(search.methods), build, judge, name)
    return {scale: search.methods[scale] for scale in found.kept}, found


class _Search:
    """Methods that bring the outputs nearer on the samples that may be fitted to."""

    def __init__(self, graph: Graph, choices: Sequence[Choice], judge: Judge) -> None:
        self._graph, self._choices, self._judge = graph, choices, judge
        self.methods: Methods = {}
        self._best = judge.noise(graph)
        self._count = 0

    def run(self) -> None:
        """The best method for everything first, then each of the others for halves and quarters."""
        wholes = [(method, self._differing(self._choices, method)) for method in OTHERS]
        tried = [(m, part, self._noise(m, part)) for m, part in wholes if part]
        if tried:
            self._take(*min(tried, key=lambda item: float(item[2].mean())), WHOLE)
        waiting = [(m, half) for m, _, _ in tried for half in _halves(self._choices)]
        while waiting and self._count < _TRIALS:
            method, stretch = waiting.pop(0)
            part = self._differing(stretch, method)
            if part and not self._take(method, part, self._noise(method, part), PART):
                waiting += [(method, half) for half in _halves(stretch)]

    def _differing(self, choices: Sequence[Choice], method: Method) -> list[str]:
        """The scales that a method would change."""
        now = [self.methods.get(c.scale, c.method) for c in choices]
        return [
            c.scale for c, m in zip(choices, now, strict=True) if m != method and c.differs(method)
        ]

    def _noise(self, method: Method, part: Sequence[str]) -> Floats:
        self._count += 1
        methods = {**self.methods, **dict.fromkeys(part, method)}
        return self._judge.noise(_with(self._graph, self._choices, methods))

    def _take(self, method: Method, part: Sequence[str], noise: Floats, errors: float) -> bool:
        if not gain(self._best, noise).exceeds(errors):
            return False
        self.methods |= dict.fromkeys(part, method)
        self._best = noise
        return True


def _halves(choices: Sequence[Choice]) -> list[Sequence[Choice]]:
    half = len(choices) // 2
    return [choices[:half], choices[half:]] if half else []


def _with(graph: Graph, choices: Sequence[Choice], methods: Methods) -> Graph:
    """A copy of a calibrated graph with the ranges of these methods."""
    copy = graph.clone()
    for choice in choices:
        if choice.scale in methods:
            scale = copy.value(choice.scale)
            assert scale.data is not None
            amax = np.array(choice.amax[methods[choice.scale]])
            scale.data = safe_scale(amax / choice.high, scale.data.dtype)
    return copy
