"""The one choke point: every pass and every application of a rule goes through an Action.

It counts, stops at a limit, skips by name, takes the time, tells listeners, and on request runs
the example inputs through the graph before and after to hold each step to its word.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

from sparqc.errors import Span, SparqcError, UsageError, did_you_mean
from sparqc.ir.boundary import decode, encode, ends_of
from sparqc.ir.graph import Array, Graph
from sparqc.ir.uncalibrated import leave_out_uncalibrated
from sparqc.lang.ast import RuleDecl
from sparqc.match.result import Match
from sparqc.pipeline.decisions.asked import Asked
from sparqc.pipeline.decisions.counting import Counting
from sparqc.pipeline.drift import Drift, Word, drift_of, what_to_do
from sparqc.pipeline.events import Listener, PassEvent, RuleEvent
from sparqc.pipeline.gate import BrokenWord, Gate
from sparqc.pipeline.passbase import Pass
from sparqc.pipeline.rulepass import RulePass
from sparqc.rewrite.apply import Change
from sparqc.rewrite.context import Context

CHECKS = ("off", "pass", "rule")


@dataclass(frozen=True)
class _Clock:
    """When something began."""

    wall: float
    cpu: float

    @classmethod
    def start(cls) -> _Clock:
        return cls(time.perf_counter(), time.process_time())

    def stop(self) -> tuple[float, float]:
        """Seconds of wall time and of process CPU time since then."""
        return time.perf_counter() - self.wall, time.process_time() - self.cpu


class Action:
    """Carries out passes and rule applications.

    Each pass and each rule application has a number, and so has each decision of a pass that makes
    them one by one (`Pass.is_separable`) or asks for each (`decides`).  With `limit` n those after
    number n do not happen, but passes that change the level of the graph do: without them nothing
    comes out.
    `skip` names rules and passes.  `check` is "off", "pass" or "rule": after what the outputs are
    compared with those before.  Raises UsageError for another one.
    """

    def __init__(
        self,
        *,
        limit: int | None = None,
        skip: Collection[str] = (),
        check: str = "off",
        listeners: Iterable[Listener] = (),
        gate: Gate | None = None,
    ) -> None:
        if check not in CHECKS:
            hint = did_you_mean(check, CHECKS)
            raise UsageError(f"unknown kind of numeric check {check!r}", hint=hint)
        self.limit, self.skip, self.check = limit, frozenset(skip), check
        self.listeners = list(listeners)
        #: How many passes and rule applications there were, and how often each was applied.
        self.applications = 0
        self.counts: Counter[str] = Counter()
        #: What each pass that was measured did to the outputs, in order.
        self.drift: list[tuple[str, Drift]] = []
        #: What holds each pass to its word; None where nothing does.
        self.gate = gate
        #: What the last pass decided that is no rule and was counted.
        self.decided: Counting | None = None
        self._began = time.perf_counter()
        self._pass = ""
        self._applied: list[RuleEvent] = []
        self._asked: list[Asked] = []
        self._known: tuple[Graph, int, list[Array]] | None = None

    @property
    def exhausted(self) -> bool:
        """Whether the limit is reached, so that nothing more happens."""
        return self.limit is not None and self.applications >= self.limit

    def allows(self, rule: RuleDecl) -> bool:
        """Whether a rule may be applied at all."""
        return rule.name not in self.skip

    # -- passes ----------------------------------------------------------------------------------

    def pass_(self, pass_: Pass, graph: Graph, context: Context) -> tuple[Graph, int]:
        """Run a pass: the graph afterwards, and the number of changes (0 where it is skipped).

        Raises SparqcError where the outputs are checked and the pass breaks its word.
        """
        skipped = "skip" if pass_.name in self.skip else ""
        if not skipped and self.exhausted and pass_.gives is None:
            skipped = "limit"
        if skipped:
            self._tell_pass(pass_, graph, graph, 0, 0, _Clock.start(), None, skipped, len(graph))
            return graph, 0
        if self.exhausted:
            leave_out_uncalibrated(graph)  # what was to measure their scales has not run
        return self._run(pass_, graph, context)

    def _run(self, pass_: Pass, graph: Graph, context: Context) -> tuple[Graph, int]:
        before = self._outputs(graph, context) if self.check != "off" else []
        self.applications += 1
        number, size, clock = self.applications, len(graph), _Clock.start()
        outer, self._pass, self._applied, self._asked = self._pass, pass_.name, [], []
        counting = self._counting(pass_, graph, context)
        try:
            after, changes = self._held(pass_, graph, context)
        finally:
            self._pass = outer
        if counting is not None and (self._asked or not self._applied):
            changes = self._count(counting, after, changes, context)
        self.counts[pass_.name] += 1
        drift = self._drift(before, after, context) if self.check != "off" else None
        self._tell_pass(pass_, graph, after, number, changes, clock, drift, "", size)
        if drift is not None:
            self.drift.append((pass_.name, drift))
            self._insist(drift, pass_.preserves, f"the pass {pass_.name}", pass_.name, None)
        return after, changes

    def _held(self, pass_: Pass, graph: Graph, context: Context) -> tuple[Graph, int]:
        """Run a pass and hold it to its word, again without what departs where it can."""
        if self.gate is None:
            return pass_.transform(graph, context)
        while True:
            self.gate.before(pass_, graph, context)
            self.applications -= len(self._asked)  # of a run that broke its word
            self._asked.clear()
            after, changes = pass_.transform(graph, context)
            try:
                self.gate.after(pass_, graph, after, changes, context, self._applied)
            except BrokenWord as broken:
                if after is graph or not pass_.spares(broken.departures, context):
                    raise
            else:
                return after, changes

    def _counting(self, pass_: Pass, graph: Graph, context: Context) -> Counting | None:
        """What will tell the decisions of a pass, where they are counted or listened to."""
        counted = self.limit is not None or self.check == "rule"
        if isinstance(pass_, RulePass) or not (counted or self._deciding()):
            return None
        return Counting.of(pass_, graph, context, self.applications)

    def _count(self, counting: Counting, after: Graph, changes: int, context: Context) -> int:
        """Count and tell the decisions of a pass that has run, and undo those beyond the limit;
        returns how many changes are left."""
        self.decided = counting
        asked = tuple(self._asked)
        changes, used = counting.end(after, changes, self.limit, asked, bool(self._applied))
        self.applications += used
        told = self._deciding()
        for event in counting.events(context) if told else ():
            for listener in told:
                listener.on_decision(event)
        return changes

    def _deciding(self) -> list[Listener]:
        """The listeners that want decisions; one that knows nothing of them need not say so."""
        return [x for x in self.listeners if getattr(x, "decisions", False)]

    def _tell_pass(
        self,
        pass_: Pass,
        before: Graph,
        after: Graph,
        number: int,
        changes: int,
        clock: _Clock,
        drift: Drift | None,
        skipped: str,
        size: int,
    ) -> None:
        seconds, cpu = clock.stop()
        event = PassEvent(
            seq=number, pass_=pass_.name, preserves=pass_.preserves, level=after.level,
            changes=changes, applications=max(0, self.applications - number) if number else 0,
            nodes=(size, len(after)), seconds=seconds, cpu_seconds=cpu, skipped=skipped,
            drift=drift, graph=after, at=clock.wall - self._began,
        )  # fmt: skip
        for listener in self.listeners:
            listener.on_pass(event)

    def decides(self, *names: str) -> bool:
        """Whether the pass that runs may do one thing more, about the values of these names.

        A pass that asks in front of each thing that it does has each of them counted.
        """
        if self.exhausted:
            return False
        self.applications += 1
        self._asked.append(Asked(self.applications, names))
        return True

    # -- rules -----------------------------------------------------------------------------------

    def rule(
        self, rule: RuleDecl, match: Match, context: Context, perform: Callable[[], Change | None]
    ) -> Change | None:
        """Apply a rule by `perform`; None where it is skipped, or where it changes nothing.

        Raises SparqcError where the outputs are checked and the rule breaks its word.
        """
        if self.exhausted or not self.allows(rule):
            return None
        graph, origin = match.root.graph, match.root.origin
        before = self._outputs(graph, context) if self.check == "rule" else []
        clock = _Clock.start()
        change = perform()
        if change is None:
            return None
        seconds, cpu = clock.stop()
        self.applications += 1
        self.counts[rule.name] += 1
        drift = self._drift(before, graph, context) if self.check == "rule" else None
        event = RuleEvent(
            seq=self.applications, pass_=self._pass, rule=rule.name, preserves=rule.preserves,
            span=str(rule.span or ""), before=change.before, after=change.after,
            module=origin.module, source=origin.source, seconds=seconds, cpu_seconds=cpu,
            untyped=change.untyped, drift=drift, at=clock.wall - self._began,
        )  # fmt: skip
        self._applied.append(event)
        for listener in self.listeners:
            listener.on_rule(event)
        if drift is not None:
            what = f"the rule {rule.name} at {change.before[0]} (application {event.seq})"
            self._insist(drift, rule.preserves, what, rule.name, rule.span)
        return change

    # -- numbers ---------------------------------------------------------------------------------

    def _outputs(self, graph: Graph, context: Context) -> list[Array]:
        """What the graph gives for the example inputs; kept as long as it does not change."""
        known = self._known
        if known is not None and known[0] is graph and known[1] == graph.version:
            return known[2]
        return self._execute(graph, context)

    def _execute(self, graph: Graph, context: Context) -> list[Array]:
        # Only here is a runtime needed, whose import takes long.
        from sparqc.ir.levels.execute import open_runner

        if not len(context.example):
            raise UsageError(
                f"the numeric check {self.check!r} needs example inputs to run",
                hint="give the model example inputs, or leave the check off",
            )
        batch = encode(context.example, ends_of(graph), context.scales)
        outputs, _ = open_runner(graph, context.table).run(batch)
        outputs = decode(outputs, graph.output_names, context.scales)
        self._known = graph, graph.version, outputs
        return outputs

    def _drift(self, before: list[Array], graph: Graph, context: Context) -> Drift:
        return drift_of(before, self._execute(graph, context), graph.output_names, graph)

    def _insist(self, drift: Drift, word: Word, what: str, name: str, span: Span | None) -> None:
        if not drift.keeps(word):
            raise SparqcError(
                f"{what} promises {word} results, but the output {drift.worst!r} moves: {drift}",
                span=span,
                hint=what_to_do(name),
            )
