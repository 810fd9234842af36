"""What a pass, and a rule that it applies, is given beside the graph."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from sparqc.declared.targets import Precision, Profile
from sparqc.ir.boundary import BoundaryTypes
from sparqc.ir.graph import Array, Graph
from sparqc.ir.vocabulary.table import OperatorTable
from sparqc.lang.ast import RuleDecl
from sparqc.match.result import Match
from sparqc.match.rulebook import RuleBook
from sparqc.ranks.ranks import ALONE, Ranks
from sparqc.rewrite.apply import Change
from sparqc.rewrite.facts import Facts

#: One batch: an array for each graph input, in order.
Batch = Sequence[Array]


#: Called as progress(done, total, what) by passes that take long; total is None where unknown.
Progress = Callable[[int, int | None, str], None]


def _silent(done: int, total: int | None, what: str) -> None:
    """No progress display."""


class RuleAction(Protocol):
    """What applying rules needs of the `sparqc.pipeline.action.Action` that carries a pass out."""

    #: How often each pass and each rule was applied.
    counts: Counter[str]

    @property
    def exhausted(self) -> bool:
        """Whether the limit is reached, so that nothing more happens."""

    def allows(self, rule: RuleDecl) -> bool:
        """Whether a rule may be applied at all."""

    def decides(self, *names: str) -> bool:
        """Whether the pass that runs may do one thing more, about the values of these names."""

    def rule(
        self, rule: RuleDecl, match: Match, context: Context, perform: Callable[[], Change | None]
    ) -> Change | None:
        """Apply a rule by `perform`; None where it is skipped, or where it changes nothing."""


@dataclass
class Context:
    """Everything a pass may know beside the graph and its own options."""

    table: OperatorTable
    rules: RuleBook
    target: Profile
    action: RuleAction
    #: The example inputs, one array for each graph input.
    example: Batch = ()
    #: Gives the calibration batches anew at each call; None where the user gave none.
    calibration: Callable[[], Iterable[Batch]] | None = None
    #: Where calibration data is random because the user asked for it explicitly.
    random_calibration: bool = False
    #: The number of the calibration batch that a pass looks at, 0 where it looks at none.
    batch: int = 0
    #: Structural selectors of operators that stay float (`--exclude`).
    exclude: tuple[str, ...] = ()
    #: Structural selectors of operators whose weights stay dense (`--dense`).
    dense: tuple[str, ...] = ()
    #: Selectors of operators that a person wants 2:4, even where it is unlikely to pay.
    sparse: tuple[str, ...] = ()
    #: Whether a pass of the pipeline places quantizers.
    quantizes: bool = True
    #: Knobs of the target's rules that a person has set (`--knob`).
    knobs: Mapping[str, str] = field(default_factory=dict)
    #: The type of the operators that are not quantized.
    precision: Precision = "fp32"
    #: Whether a person asked for it, so that what stands against it is an error, no remark.
    precision_asked: bool = False
    #: The element types that a person wants of inputs and outputs.
    boundary: BoundaryTypes = field(default_factory=BoundaryTypes)
    #: The scale of each input and output that is INT8 codes now, by its name.
    scales: dict[str, float] = field(default_factory=dict)
    progress: Progress = _silent
    #: The processes that run this pipeline alike, each with the same batches.
    ranks: Ranks = ALONE
    #: The graph as it was read, where a pass of the pipeline needs it to compare with.
    reference: Graph | None = None
    #: What passes found out and later passes or the report need, such as the placement plan.
    facts: Facts = field(default_factory=Facts)
