"""The operator table: one name for each operator, found by that name or by a raw spelling."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from types import ModuleType

from sparqc.base.plugins import OPERATORS, Plugin, plugins
from sparqc.errors import Span, UsageError, did_you_mean
from sparqc.ir.vocabulary.operator import Operator
from sparqc.ir.vocabulary.traits import Trait


class OperatorTable:
    """Operators by name and by raw spelling, in the order in which they were added.

    Several rows may claim one raw spelling: a reader asks them in order and takes the first that
    does not decline.
    """

    def __init__(self, operators: Iterable[Operator] = ()) -> None:
        self._rows: dict[str, Operator] = {}
        self._origins: dict[str, str] = {}
        self._fx: dict[str, tuple[Operator, ...]] = {}
        self._onnx: dict[tuple[str, str], tuple[Operator, ...]] = {}
        for operator in operators:
            self.add(operator)

    def add(self, operator: Operator, origin: str = "sparqc") -> None:
        """Add a row; `origin` is the distribution it comes from.

        Raises UsageError, naming both distributions, where the name is taken.
        """
        if operator.name in self._rows:
            raise UsageError(
                f"operator {operator.name!r} of {origin} is already defined by "
                f"{self._origins[operator.name]}",
                hint="rename one of them, or uninstall one of the distributions",
            )
        self._rows[operator.name] = operator
        self._origins[operator.name] = origin
        for target in operator.fx.targets if operator.fx else ():
            self._fx[target] = (*self._fx.get(target, ()), operator)
        for op_type in operator.onnx.op_types if operator.onnx else ():
            key = (op_type, _domain(operator.onnx.domain if operator.onnx else ""))
            self._onnx[key] = (*self._onnx.get(key, ()), operator)

    def get(self, name: str) -> Operator | None:
        """The row of that name, None for a raw or unknown operator."""
        return self._rows.get(name)

    def require(self, name: str, span: Span | None = None) -> Operator:
        """The row of that name; UsageError with the closest known names where there is none."""
        if name not in self._rows:
            raise UsageError(
                f"unknown operator {name!r}", span=span, hint=did_you_mean(name, self._rows)
            )
        return self._rows[name]

    def distribution(self, name: str) -> str:
        """The distribution that the row of a name comes from."""
        return self._origins[name]

    def has(self, name: str, *traits: Trait) -> bool:
        """Whether an operator has a row, and that row all these traits."""
        row = self._rows.get(name)
        return row is not None and all(trait in row.traits for trait in traits)

    def having(self, trait: str) -> tuple[str, ...]:
        """The operators with a trait, in the order in which the rows were added."""
        return tuple(name for name, row in self._rows.items() if trait in row.traits)

    @property
    def names(self) -> tuple[str, ...]:
        """Every name, in the order in which the rows were added."""
        return tuple(self._rows)

    def fx_candidates(self, target: str) -> tuple[Operator, ...]:
        """Every row that claims an ATen overload; the first whose reader accepts a call has it."""
        return self._fx.get(target, ())

    def for_onnx(self, op_type: str, domain: str = "") -> tuple[Operator, ...]:
        """Every row that claims an ONNX operator, in the order in which readers are asked."""
        return self._onnx.get((op_type, _domain(domain)), ())


def _domain(domain: str) -> str:
    return "" if domain == "ai.onnx" else domain


@cache
def default_table() -> OperatorTable:
    """The table of every installed distribution: the entry-point group `sparqc.operators`.

    An entry point is a module with `OPERATORS`, or an iterable of `Operator`.  Raises SparqcError
    for one that cannot be imported, UsageError for one that gives anything else, or a taken name.
    """
    table = OperatorTable()
    for plugin in plugins(OPERATORS):
        for operator in _operators_of(plugin):
            table.add(operator, plugin.distribution)
    return table


def _operators_of(plugin: Plugin) -> Iterable[Operator]:
    loaded = plugin.load()
    rows = getattr(loaded, "OPERATORS", ()) if isinstance(loaded, ModuleType) else loaded
    rows = tuple(rows) if isinstance(rows, Iterable) else ()
    if not rows or not all(isinstance(row, Operator) for row in rows):
        raise UsageError(
            f"entry point {plugin.name!r} of {plugin.distribution} gives no operators",
            hint=f"{OPERATORS} takes a module with OPERATORS, or an iterable of Operator",
        )
    return rows
