"""One place where a graph with quantizers and the plan for it part."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from sparqc.ir.graph import Node, Value
from sparqc.lang.ast import Template
from sparqc.match.evaluate import render
from sparqc.match.match import Match
from sparqc.passes.difference.arrivals import Operand, arrivals
from sparqc.passes.difference.plan import Plan
from sparqc.predict.predict import Prediction, prediction

#: What the plan has and the graph has not, the other way round, and scales that should be one.
Kind = Literal["missing", "extra", "scale"]


@dataclass(frozen=True)
class Difference:
    """One difference, in the words of the line of the declaration that asks for it."""

    id: str
    kind: Kind
    #: The operator that reads, by the value that it gives.
    reader: str
    #: The tensor that is read.
    value: str
    message: str
    source: str


@dataclass(frozen=True)
class Sides:
    """A graph as it is and as the plan would have it, both with the engine that is predicted."""

    plan: Plan
    now: Prediction
    #: The operands that are codes as it is.
    arriving: dict[Operand, float] = field(default_factory=dict)

    @cached_property
    def then(self) -> Prediction:
        """The engine of the plan.  Late: of a graph that is as planned nobody asks for it."""
        return prediction(self.plan.graph, self.plan.context)

    @cached_property
    def planned(self) -> dict[Operand, float]:
        """The operands that are codes in the plan."""
        return dict(arrivals(self.then.units))

    def node_now(self, name: str) -> Node | None:
        """The operator that gives the value of that name in the graph as it is."""
        graph = self.now.units.graph
        return graph.value(name).producer if name in graph else None

    def node_then(self, name: str) -> Node | None:
        """The same in the plan."""
        return self.plan.graph.value(name).producer if name in self.plan.graph else None

    def value_now(self, value: Value) -> Value | None:
        """The value of the plan in the graph as it is; None where there is none."""
        graph = self.now.units.graph
        return graph.value(value.name) if value.name in graph else None

    def said(self, reason: Template | None, match: Match, id: str, message: str) -> tuple[str, str]:
        """The name and the sentence of a line; `id` and `message` where it says none itself."""
        if reason is None:
            return id, message
        return reason.id.replace("_", "-") or id, render(
            reason, match, self.plan.placing.decider.matcher
        )
