"""All layers at once: the network as a choice leaves it, compiled and measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from sparqc.ir.graph import Graph
from sparqc.job.layers import Keep, state
from sparqc.job.open import Job
from sparqc.pipeline import run as pipelines
from sparqc.rewrite.facts import Facts
from sparqc.tools.sensitivity.judge import Judge, Score
from sparqc.tools.sensitivity.parts import ALL, Estimate, Part
from sparqc.tools.sensitivity.study import Study, passes_of_level

#: How often a choice is made again because what it leaves in float takes others with it.
_ROUNDS = 4


@dataclass(frozen=True)
class Point:
    """A choice as it came out: what it reaches, and the predicted seconds of a batch."""

    keeps: Mapping[str, Keep]
    score: Score
    seconds: float


class Together:
    """Measures choices; what was measured is remembered."""

    def __init__(self, study: Study, job: Job, judge: Judge) -> None:
        self._study, self._job, self._judge = study, job, judge
        self._seen: dict[object, tuple[dict[str, Keep], Score]] = {}

    def measure(
        self, keeps: Mapping[str, Keep], what: str, part: Part = ALL
    ) -> tuple[dict[str, Keep], Score]:
        """What the passes of the compile make of a choice, and how good that is on a part of the
        samples.

        Where a layer in float takes another one with it (a pair of kernels), that one is kept in
        float by choice, so that its weights stay dense too.  Raises SparqcError where a pass fails.
        """
        wanted = self._wanted(keeps)
        key = (part, *wanted.values())
        if key not in self._seen:
            graph, found = self._built(wanted)
            self._seen[key] = found, self._judge.score(graph, what, whole=True, part=part)
            self._study.context.progress(len(self._seen), None, "choices measured together")
        return self._seen[key]

    def held_out(self, keeps: Mapping[str, Keep], what: str) -> Estimate:
        """What a choice loses on the samples that it was not made on."""
        return self._judge.held_out(self._built(self._wanted(keeps))[0], what)

    def _wanted(self, keeps: Mapping[str, Keep]) -> dict[str, Keep]:
        return {layer.name: keeps.get(layer.name, layer.keep) for layer in self._study.layers}

    def _built(self, wanted: dict[str, Keep]) -> tuple[Graph, dict[str, Keep]]:
        for _ in range(_ROUNDS):
            graph, found = self._compiled(wanted)
            taken = [n for n, k in found.items() if "int8" in wanted[n] and "int8" not in k]
            if not taken:
                break
            wanted.update((name, "float") for name in taken)
        return graph, found

    def _compiled(self, wanted: Mapping[str, Keep]) -> tuple[Graph, dict[str, Keep]]:
        context = replace(
            self._study.context,
            facts=Facts(),
            exclude=(*self._job.context.exclude, *self._selectors(wanted, "float")),
            dense=(*self._job.context.dense, *self._selectors(wanted, "int8")),
        )
        line = passes_of_level(self._job)
        if any(step.cls.needs_reference for step in line.steps):
            context.reference = self._job.graph.clone()
        graph = pipelines.run(line, self._job.graph.clone(), context)
        return graph, {name: state(name, context.facts) for name in wanted}

    def _selectors(self, wanted: Mapping[str, Keep], keep: Keep) -> tuple[str, ...]:
        """Exact names of the operators that are to be kept so, where that is not the plan."""
        return tuple(
            f"%{name}"
            for layer in self._study.layers
            if wanted[layer.name] == keep != layer.keep
            for name in layer.weights or (layer.name,)
        )
