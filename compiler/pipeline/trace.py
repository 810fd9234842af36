"""An observer that remembers: which rule made this value, and what happened in which order."""

from __future__ import annotations

import json
from dataclasses import replace

from sparqc.pipeline.events import DecisionEvent, Event, Listener, PassEvent, RuleEvent


class Recorder(Listener):
    """Keeps every event."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def on_pass(self, event: PassEvent) -> None:
        """Keep a pass, but not its graph: that would hold every intermediate one in memory."""
        self.events.append(replace(event, graph=None))

    def on_rule(self, event: RuleEvent) -> None:
        """Keep a rule application."""
        self.events.append(event)

    def on_decision(self, event: DecisionEvent) -> None:
        """Keep a decision of a pass; only a recorder that sets `decisions` is told."""
        self.events.append(event)

    @property
    def rules(self) -> list[RuleEvent]:
        """The rule applications, in order."""
        return [event for event in self.events if isinstance(event, RuleEvent)]

    @property
    def passes(self) -> list[PassEvent]:
        """The passes, in order."""
        return [event for event in self.events if isinstance(event, PassEvent)]

    @property
    def made(self) -> list[DecisionEvent]:
        """The decisions of passes, in order."""
        return [event for event in self.events if isinstance(event, DecisionEvent)]

    def history(self, name: str) -> list[RuleEvent]:
        """The applications that led to the value of that name, oldest first.

        Follows names backwards: what an application replaced had names itself.
        """
        found: list[RuleEvent] = []
        wanted = {name}
        for event in reversed(self.rules):
            if wanted.intersection(event.after):
                found.append(event)
                wanted.update(event.before)
        return found[::-1]

    def to_jsonl(self) -> str:
        """One JSON object a line."""
        return "".join(json.dumps(event.to_json()) + "\n" for event in self.events)
