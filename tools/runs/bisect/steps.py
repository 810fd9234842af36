"""A compile that is kept in front of each pass, to be finished with any number of applications.

What was run once is not run again: a graph with fewer applications is made from the nearest one
that was kept.  A pass whose decisions stand each for itself is undone in part; the rules of a pass,
and what a pass asks for one by one, are applied up to the limit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from sparqc.errors import SparqcError
from sparqc.ir.graph import Array, Graph
from sparqc.ir.levels.execute import open_runner
from sparqc.ir.samples import first_samples
from sparqc.ir.uncalibrated import leave_out_uncalibrated
from sparqc.job.open import Job
from sparqc.job.result import Result
from sparqc.job.run import run_job
from sparqc.pipeline import run as pipelines
from sparqc.pipeline.action import Action
from sparqc.pipeline.decisions.counting import Counting
from sparqc.pipeline.decisions.undo import undo
from sparqc.pipeline.gate import Gate
from sparqc.pipeline.steps import Items, Pipeline
from sparqc.pipeline.trace import Recorder
from sparqc.rewrite.context import Context
from sparqc.rewrite.facts import Facts
from sparqc.tools.runs.checks import tried


class Watch(Recorder):
    """Keeps what happened, decisions too."""

    decisions = True


@dataclass(frozen=True)
class _Kept:
    """The graph in front of a pass."""

    graph: Graph
    facts: Facts
    scales: dict[str, float]
    #: What passes compare with, as far as it was changed by then.
    reference: Graph | None
    #: How many applications there were by then.
    applications: int


@dataclass
class Steps:
    """One compile, kept in front of each of its passes."""

    context: Context
    items: Items
    expected: list[Array] | None
    watch: Watch
    #: Gives samples to hold a compile to its word on.
    draw: Callable[[int], Sequence[Array]] | None = None
    kept: list[_Kept] = field(default_factory=list)
    #: What each pass that is no rule decided, by the place of the pass.
    decided: dict[int, Counting] = field(default_factory=dict)
    #: Why the compile failed; None where it did not.
    error: SparqcError | None = None
    last: int = 0

    @classmethod
    def run(cls, job: Job, watch: Watch) -> Steps:
        """Run a job whose action tells `watch`, and keep it in front of each pass."""
        graph, context = job.graph, job.context
        fitting, _ = job.pipeline.for_level(graph.level)
        expected = None
        if len(context.example):
            batch = first_samples(context.example, graph.inputs)
            expected = open_runner(graph, context.table).run(batch)[0]
        if any(step.cls.needs_reference for step in fitting.steps):
            context.reference = graph.clone()
        draw = job.gate.draw if job.gate is not None else None
        steps = cls(context, fitting.items, expected, watch, draw)
        _, steps.error = tried(lambda: steps._run(graph))
        assert isinstance(context.action, Action)
        steps.last = context.action.applications
        if job.gate is not None:
            job.gate.release()
        return steps

    def _run(self, graph: Graph) -> None:
        action = self.context.action
        assert isinstance(action, Action)
        for place, item in enumerate(self.items):
            self._keep(graph, action)
            graph = pipelines.run(Pipeline((item,)), graph, self.context)
            counting = action.decided
            number = self.kept[-1].applications + 1
            if counting is not None and counting.is_separable and counting.number == number:
                self.decided[place] = counting
        self._keep(graph, action)
        self.finished(graph, self.context)

    def _keep(self, graph: Graph, action: Action) -> None:
        facts, scales = self.context.facts.copy(), dict(self.context.scales)
        reference = self.context.reference and self.context.reference.clone()
        self.kept.append(_Kept(graph.clone(), facts, scales, reference, action.applications))

    def finished(self, graph: Graph, context: Context) -> Result:
        """A graph behind all passes as a file; SparqcError where it is none."""
        return run_job(Job(graph, Pipeline(), context), self.expected)

    def compiled(self, limit: int) -> Result:
        """The compile with so many applications; SparqcError where it fails."""
        graph, context = self.graph(limit)
        return self.finished(graph, context)

    def graph(self, limit: int) -> tuple[Graph, Context]:
        """The graph behind all passes with so many applications, and the context that goes on
        with it."""
        place = max(i for i, kept in enumerate(self.kept) if kept.applications <= limit)
        kept = self.kept[place]
        graph, used = kept.graph.clone(), kept.applications
        rest = self.items[place:]
        counting = self.decided.get(place)
        if used < limit and counting is not None and place + 1 < len(self.kept):
            graph = self.kept[place + 1].graph.clone()
            undo(graph, counting.found[limit - used - 1 :], counting.before)
            kept, used, rest = self.kept[place + 1], limit, self.items[place + 1 :]
        # A compile that failed is held to the same word; one that did not was.
        # So is a pass to FP16, which spares what is too rough.
        held = self.error is not None or any(step.cls.coarsens for step in Pipeline(rest).steps)
        gate = Gate(self.draw) if held and self.draw else None
        action = Action(limit=limit, gate=gate)
        action.applications = used
        context = replace(
            self.context,
            action=action,
            facts=kept.facts.copy(),
            scales=dict(kept.scales),
            reference=kept.reference and kept.reference.clone(),
        )
        graph = pipelines.run(Pipeline(rest), graph, context)
        leave_out_uncalibrated(graph)
        return graph, context
