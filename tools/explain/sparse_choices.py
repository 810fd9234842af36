"""Which layers ran sparse in a real engine, beside those that are expected to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from sparqc.predict.engine import LedgerRow, PredictedEngine
from sparqc.tools.engine.kernel import Kernel
from sparqc.tools.engine.report import EngineOperator
from sparqc.tools.explain.comparison import Difference


def sparse_allowed(kernels: Iterable[Kernel], sparsity: bool | None) -> bool:
    """Whether sparse kernels were allowed for sure: the listing says it, or one ran."""
    return bool(sparsity) or any(k.sparse for k in kernels)


class SparseChoices:
    """The layers of which it is known whether a sparse kernel ran where it was allowed."""

    def __init__(
        self,
        engine: PredictedEngine,
        operators: Iterable[EngineOperator],
        kernels: Sequence[Kernel],
    ) -> None:
        rows = {row.node: row for row in engine.ledger}
        built = {k.name: k for k in kernels}
        #: A row of the ledger, and its kernel in the engine.
        self.pairs: list[tuple[LedgerRow, Kernel]] = []
        for operator in operators:
            row, real = rows.get(operator.node), built.get(operator.kernel)
            if row is not None and real is not None and real.sparse is not None:
                self.pairs.append((row, real))

    @property
    def counts(self) -> tuple[int, int]:
        """The sparse kernels, (predicted, engine)."""
        return sum(r.sparse_pays for r, _ in self.pairs), sum(bool(k.sparse) for _, k in self.pairs)

    def differences(self) -> Iterator[Difference]:
        """The layers of which the builder chose otherwise than was expected."""
        for row, real in self.pairs:
            if row.sparse_pays != real.sparse:
                yield Difference(
                    "sparse", (row.node,), (row.kernel,), (real.name,),
                    f"{row.title}: {_expected(row)}, runs {'sparse' if real.sparse else 'dense'}",
                )  # fmt: skip


def _expected(row: LedgerRow) -> str:
    if row.sparse_pays:
        return "2:4 is expected to pay"
    checks = (row.two_four, row.size_rule, row.pays)
    missing = [c.reason for c in checks if not c.holds] or [row.int8_out.reason]
    return f"expected dense ({missing[0]})"
