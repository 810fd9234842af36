"""What an Action reports: one event for each pass that ran and each rule application."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sparqc.ir.graph import Graph, Level
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
    #: What it did to the outputs; None where that was not measured.
    drift: Drift | None = None

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

    kind = "pass"

    def to_json(self) -> dict[str, Any]:
        """Plain data, one line of events.jsonl."""
        return {"kind": self.kind, **_plain(self, {"drift", "graph"}), "drift": _drift(self.drift)}


class Listener:
    """Told of every event; both methods may be left out."""

    def on_pass(self, event: PassEvent) -> None:
        """A pass has run, or was skipped."""

    def on_rule(self, event: RuleEvent) -> None:
        """A rule has been applied."""


def _plain(event: RuleEvent | PassEvent, without: set[str]) -> dict[str, Any]:
    found = {}
    for name in event.__dataclass_fields__:
        if name not in without:
            value = getattr(event, name)
            found[name.rstrip("_")] = list(value) if isinstance(value, tuple) else value
    return found


def _drift(drift: Drift | None) -> dict[str, Any] | None:
    return None if drift is None else drift.to_json()
