"""What an Action reports: one event for each pass that ran, each rule application and each decision
of a pass that is written in Python.

`docs/runs.md` says what stands in each field of their JSON.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sparqc.ir.graph import Graph
from sparqc.ir.types import Level
from sparqc.pipeline.drift import Drift


@dataclass(frozen=True)
class RuleEvent:
    """One application of one rule."""

    #: The number of the application: with `limit` one less it does not happen.
    seq: int
    pass_: str  # "" outside of any pass
    rule: str
    preserves: str
    #: "patterns/algebra/fold.spq:12:1", where the rule stands.
    span: str
    #: Names of the values that the matched operators defined, the root's first.
    before: tuple[str, ...]
    #: Names of the values that replaced some of them, then of the other new ones.
    after: tuple[str, ...]
    #: Module path and source line of the user's model.
    module: str
    source: str
    seconds: float
    cpu_seconds: float
    #: Which of the values that were replaced nobody could compare in type with the new ones.
    untyped: tuple[str, ...] = ()
    #: What it did to the outputs; None where that was not measured.
    drift: Drift | None = None
    #: Seconds from when the compile was set up to when it began.
    at: float = 0.0

    kind = "rule"

    def to_json(self) -> dict[str, Any]:
        """Plain data, one line of events.jsonl."""
        return {"kind": self.kind, **_plain(self, {"drift"}), "drift": _drift(self.drift)}


@dataclass(frozen=True)
class PassEvent:
    """One run of one pass."""

    seq: int
    pass_: str
    preserves: str
    #: Level of the graph afterwards.
    level: Level
    changes: int
    #: Rule applications among the changes.
    applications: int
    #: How many operators there were before and after.
    nodes: tuple[int, int]
    seconds: float
    cpu_seconds: float
    #: Why it did not run: "skip" or "limit"; "" where it ran.
    skipped: str = ""
    drift: Drift | None = None
    #: The graph afterwards, for dumps; no part of the JSON.
    graph: Graph | None = field(default=None, compare=False, repr=False)
    #: Seconds from when the compile was set up to when it began.
    at: float = 0.0

    kind = "pass"

    def to_json(self) -> dict[str, Any]:
        """Plain data, one line of events.jsonl."""
        return {"kind": self.kind, **_plain(self, {"drift", "graph"}), "drift": _drift(self.drift)}


@dataclass(frozen=True)
class DecisionEvent:
    """One decision of a pass that is no rule: a change of the graph, or why there is none."""

    #: With `limit` one less it does not happen.  That of the pass, where its decisions do not stand
    #: each for itself.
    seq: int
    pass_: str
    #: "set" (constants have other numbers), "insert", "replace", "remove" (operators), "rewire" (an
    #: operator reads something else), "alter" (it is another one); of what stays as it is "keep",
    #: with the reason, and "say".
    what: str
    #: The value, the constant or the layer that it is about.
    name: str
    #: The declarations that stand behind it: "patterns/algebra/fold.spq:3:6 fold_batch_norm".
    by: tuple[str, ...] = ()
    #: Names of what was removed, or read before, and of what was put in or set.
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    #: The slots that read something else now: "conv.x".
    readers: tuple[str, ...] = ()
    #: Module path and source line of the user's model.
    module: str = ""
    source: str = ""
    #: Why nothing was done; "" where something was.
    reason: str = ""
    #: Of each constant that was set, the numbers before and after.
    constants: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    #: What the facts of the pass say of it: the kept share of a mask, a scale, decibels.
    said: tuple[Mapping[str, Any], ...] = ()

    kind = "decision"

    def to_json(self) -> dict[str, Any]:
        """Plain data, one line of events.jsonl."""
        return {"kind": self.kind, **_plain(self, set())}


class Listener:
    """Told of every event; each method may be left out."""

    #: Whether it wants decisions: to find them a graph is compared with what it was.
    decisions: bool = False

    def on_pass(self, event: PassEvent) -> None:
        """A pass has run, or was skipped."""

    def on_rule(self, event: RuleEvent) -> None:
        """A rule has been applied."""

    def on_decision(self, event: DecisionEvent) -> None:
        """A pass has decided something; told behind its run, in front of its own event."""


def _plain(event: Event, without: set[str]) -> dict[str, Any]:
    found = {}
    for name in event.__dataclass_fields__:
        if name not in without:
            value = getattr(event, name)
            found[name.rstrip("_")] = list(value) if isinstance(value, tuple) else value
    return found


def _drift(drift: Drift | None) -> dict[str, Any] | None:
    return None if drift is None else drift.to_json()


#: Whatever an Action reports.
Event = RuleEvent | PassEvent | DecisionEvent
