"""What a dump keeps of a run: its events, and the text of the graph wherever it changed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sparqc.ir.graph import Array, Graph
from sparqc.ir.text.print import print_graph
from sparqc.pipeline.events import DecisionEvent, Listener, PassEvent, RuleEvent
from sparqc.pipeline.trace import Recorder
from sparqc.tools.compile.near_misses import NearMiss, near_misses
from sparqc.tools.runs.stored import large_constants

if TYPE_CHECKING:
    from sparqc.rewrite.context import Context


@dataclass(frozen=True)
class Stage:
    """The graph as it was read, or behind a pass that changed it."""

    number: int
    name: str
    level: str
    text: str

    @property
    def file(self) -> str:
        """Where it stands in the dump: `graphs/03-place.fx.txt`."""
        return f"graphs/{self.number:02}-{self.name}.{self.level}.txt"


@dataclass
class GraphRecorder(Listener):
    """Keeps every event, and the text of the graph wherever a pass changed it."""

    events: Recorder = field(default_factory=Recorder)
    stages: list[Stage] = field(default_factory=list)
    #: The weights of all of them by their content hash; None where they are not kept.
    weights: dict[str, Array] | None = None
    #: What the rules of each pass nearly matched.
    misses: list[NearMiss] = field(default_factory=list)
    _context: Context | None = None
    _passes: int = 0

    decisions = True

    def begin(self, graph: Graph, context: Context | None = None) -> None:
        """Keep the graph as it was read; near misses are kept too where the context is known."""
        self._context = context
        self._keep("read", graph)

    def on_pass(self, event: PassEvent) -> None:
        """Keep a pass, and the graph behind it where it is another one."""
        self._passes += 1
        self.events.on_pass(event)
        if event.graph is not None and not event.skipped:
            self._keep(event.pass_, event.graph)
            if self._context is not None:
                self.misses += near_misses(event.pass_, self._passes, event.graph, self._context)

    def on_rule(self, event: RuleEvent) -> None:
        """Keep a rule application."""
        self.events.on_rule(event)

    def on_decision(self, event: DecisionEvent) -> None:
        """Keep a decision of a pass."""
        self.events.on_decision(event)

    def _keep(self, name: str, graph: Graph) -> None:
        text = print_graph(graph)
        if not self.stages or self.stages[-1].text != text:
            self.stages.append(Stage(self._passes, name, graph.level, text))
            if self.weights is not None:
                self.weights.update(large_constants(graph))
