"""What a pass is, and what it is given."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from sparqc.ir.boundary import BoundaryTypes
from sparqc.ir.graph import Array, Graph, Level
from sparqc.ranks.ranks import ALONE, Ranks

if TYPE_CHECKING:
    from sparqc.declared.targets import Precision, Profile
    from sparqc.ir.vocabulary.table import OperatorTable
    from sparqc.match.rulebook import RuleBook
    from sparqc.pipeline.action import Action

#: One batch: an array for each graph input, in order.
Batch = Sequence[Array]
#: Called as progress(done, total, what) by passes that take long; total is None where unknown.
Progress = Callable[[int, int | None, str], None]


def _silent(done: int, total: int | None, what: str) -> None:
    """No progress display."""


@dataclass
class Context:
    """Everything a pass may know beside the graph and its own options."""

    table: OperatorTable
    rules: RuleBook
    target: Profile
    action: Action
    #: The example inputs, one array for each graph input.
    example: Batch = ()
    #: Gives the calibration batches anew at each call; None where the user gave none.
    calibration: Callable[[], Iterable[Batch]] | None = None
    #: Where calibration data is random because the user asked for it explicitly.
    random_calibration: bool = False
    #: Structural selectors of operators that stay float (`--exclude`).
    exclude: tuple[str, ...] = ()
    #: Structural selectors of operators whose weights stay dense (`--dense`).
    dense: tuple[str, ...] = ()
    #: Knobs of the target's rules that a person has set (`--knob`).
    knobs: Mapping[str, str] = field(default_factory=dict)
    #: The type of the operators that are not quantized.
    precision: Precision = "fp32"
    #: The element types that a person wants of inputs and outputs.
    boundary: BoundaryTypes = field(default_factory=BoundaryTypes)
    #: The scale of each input and output that is INT8 codes now, by its name.
    scales: dict[str, float] = field(default_factory=dict)
    progress: Progress = _silent
    #: The processes that run this pipeline alike, each with the same batches.
    ranks: Ranks = ALONE
    #: The graph as it was read, where a pass of the pipeline needs it to compare with.
    reference: Graph | None = None
    #: What passes found out and later passes or the report need, by the pass's name: plain data
    #: (dataclasses, dicts) such as the placement plan, masks, and check findings.
    facts: dict[str, Any] = field(default_factory=dict)


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
    #: Whether it compares with `Context.reference`, the graph before any pass.
    needs_reference: ClassVar[bool] = False
    #: The options of a compile that it alone carries out: "float", "io".
    carries_out: ClassVar[tuple[str, ...]] = ()

    def run(self, graph: Graph, context: Context) -> int:
        """Change the graph in place; return how many changes were made."""
        raise TypeError(f"pass {self.name!r} implements neither run nor transform")

    def transform(self, graph: Graph, context: Context) -> tuple[Graph, int]:
        """The graph after the pass (the same object unless the level changes) and the changes."""
        return graph, self.run(graph, context)

    @classmethod
    def help(cls) -> str:
        """The help text: the class docstring."""
        return inspect.cleandoc(cls.__doc__ or "")

    @classmethod
    def options(cls) -> Mapping[str, dataclasses.Field[Any]]:
        """The options by name."""
        return {f.name: f for f in dataclasses.fields(cls)}
