"""What a pass is."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from sparqc.ir.graph import Graph
from sparqc.ir.types import Level
from sparqc.rewrite.context import Context
from sparqc.validation.departure import Departure


@dataclass(frozen=True)
class Pass:
    """One transformation of a graph.  Subclasses are frozen dataclasses; every field is an option.

    The class docstring is the help text.  `run` changes the graph in place and returns the number
    of changes; a pass that changes the level (export) overrides `transform` instead.
    """

    name: ClassVar[str]
    #: The level it runs on; "any" for both.
    level: ClassVar[Literal["fx", "onnx", "any"]] = "any"
    #: The level of the graph it returns, where that is another one (export: "onnx").
    gives: ClassVar[Level | None] = None
    #: Its word on numbers: "exact" to the bit, "close" to rounding, "lossy" by intent.
    preserves: ClassVar[Literal["exact", "close", "lossy"]] = "exact"
    #: Where it keeps its word: at every value that keeps its place, or at the outputs alone (a pass
    #: that scales what layers hand to each other).
    keeps: ClassVar[Literal["values", "outputs"]] = "values"
    #: Whether it puts quantizers into the graph, whose rounding is no breach of its word.
    places_quantizers: ClassVar[bool] = False
    #: Whether it gives operators a type of fewer bits, and can spare those that need more: numbers
    #: that cancel are then no excuse.
    coarsens: ClassVar[bool] = False
    #: Whether it compares with `Context.reference`, the graph before any pass.
    needs_reference: ClassVar[bool] = False
    #: Whether what it repairs, a training repairs too: `sparsify` leaves it out where there is no
    #: calibration data.
    training_repairs: ClassVar[bool] = False
    #: Whether it speaks of the graph as it stands at the end: where a later pass changes the graph,
    #: it runs once more.
    concludes: ClassVar[bool] = False
    #: Why all that it does is one step to a search for what is to blame; "" where it is not, or
    #: where nobody said.
    indivisible: ClassVar[str] = ""
    #: The options of a compile that it alone carries out: "float", "io".
    carries_out: ClassVar[tuple[str, ...]] = ()

    def run(self, graph: Graph, context: Context) -> int:
        """Change the graph in place; return how many changes were made."""
        raise TypeError(f"pass {self.name!r} implements neither run nor transform")

    def transform(self, graph: Graph, context: Context) -> tuple[Graph, int]:
        """The graph after the pass (the same object unless the level changes) and the changes."""
        return graph, self.run(graph, context)

    def spares(self, departures: Sequence[Departure], context: Context) -> bool:
        """Whether a pass that gave another graph can do without the operators that depart: it notes
        them in the context, and runs once more on the graph that it was given."""
        return False

    def changed_on_purpose(self, context: Context) -> Collection[str]:
        """The names of values that a pass that gave another graph lets be other numbers: what reads
        them is held to what it gave."""
        return ()

    def is_separable(self) -> bool:
        """Whether each change that it makes may be left out without the others: then a limit counts
        them one by one, and a search among them finds a single one.

        A pass that removes operators, or gives values other types, asks instead, in front of each
        thing that it does: `context.action.decides(name)`.
        """
        return False

    @classmethod
    def help(cls) -> str:
        """The help text: the class docstring."""
        return inspect.cleandoc(cls.__doc__ or "")

    @classmethod
    def options(cls) -> Mapping[str, dataclasses.Field[Any]]:
        """The options by name."""
        return {f.name: f for f in dataclasses.fields(cls)}
