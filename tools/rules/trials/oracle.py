"""Whether a rewrite kept its word on one instance."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sparqc.errors import SparqcError
from sparqc.ir.graph import Array, Graph
from sparqc.ir.levels.execute import open_runner
from sparqc.ir.vocabulary.table import OperatorTable
from sparqc.pipeline.drift import CLOSE, CLOSE_CODES, Word, drift_of
from sparqc.tools.rules.trials.double import in_double

#: How much larger than the error of the original that of a `close` rewrite may be.
_TWICE = 2.0
#: What is no error: steps of the type at the largest magnitude of an output.
_STEPS = 16
#: What weights may be off that a rewrite computes and stores in single precision, and in half.
_STORED, _STORED_HALF = 4e-6, 4e-3


#: onnxruntime computes operators on halves in single precision where it has no others, and rounds
#: between two of them or not: so far may equal graphs lie apart.
_HALF_STEP = 2**-9


class DoesNotRun(Exception):
    """A graph that the runner of its level does not take."""


def run(graph: Graph, batch: Sequence[Array], table: OperatorTable) -> list[Array]:
    """The outputs of a graph; raises DoesNotRun."""
    try:
        with np.errstate(all="ignore"):
            return open_runner(graph, table, threads=1).run(batch)[0]
    except SparqcError as error:
        raise DoesNotRun(error.message) from error
    except (ValueError, TypeError, IndexError, KeyError, AssertionError, RuntimeError) as error:
        raise DoesNotRun(f"{type(error).__name__}: {error}") from error


def fault_of(
    word: Word,
    before: Graph,
    after: Graph,
    batch: Sequence[Array],
    given: Sequence[Array],
    table: OperatorTable,
) -> str:
    """What a rewrite of that word did wrong, "" where nothing; `given` is what the graph gave that
    it was applied to."""
    try:
        found = run(after, batch, table)
    except DoesNotRun as error:
        return f"what it gives does not run: {error}"
    for a, b, name in zip(given, found, before.output_names, strict=True):
        if a.shape != b.shape or a.dtype != b.dtype:
            was, now = f"{a.dtype}{list(a.shape)}", f"{b.dtype}{list(b.shape)}"
            return f"the output {name!r} was {was} and is {now}"
    drift = drift_of(given, found, before.output_names, before)
    if drift.exact:
        return ""
    moves = f"the output {drift.worst!r} moves: {drift}"
    if word == "exact":
        if before.level == "onnx" and drift.half and drift.relative <= _HALF_STEP:
            return ""
        return f"it promises exact results, and {moves}"
    doubles = _Doubles(before, after, batch, table, identity=word == "lossy")
    if doubles.exact is None or doubles.other is None:
        return "" if drift.keeps(word) else moves
    if word == "lossy":  # rounding to other codes is what it may do
        alike = drift.relative <= CLOSE_CODES
        return "" if alike else doubles.lossy_fault(given)
    return doubles.close_fault(given, found)


class _Doubles:
    """What two graphs give in double precision, their quantizers rounding or not."""

    def __init__(
        self,
        before: Graph,
        after: Graph,
        batch: Sequence[Array],
        table: OperatorTable,
        *,
        identity: bool,
    ) -> None:
        self.names = before.output_names
        self.half = any(v.type.dtype == "f16" for v in before.values)
        wide = [a.astype(np.float64) if a.dtype.kind == "f" else a for a in batch]
        self.exact, self.other = (
            _outputs(in_double(graph, table, identity), wide, table) for graph in (before, after)
        )

    def close_fault(self, given: Sequence[Array], found: Sequence[Array]) -> str:
        """That it is another function, or its error more than twice that of the original."""
        for name, was, now, exact, other in self._floats(given, found):
            scale = _largest(exact)
            if (off := _error(other, exact)) > self._stored * scale:
                return f"the output {name!r} is another one: {_share(off, scale)} in FP64"
            step = float(np.finfo(was.dtype).eps) * scale * _STEPS
            mine, its = _error(was, exact), _error(now, exact)
            if its > _TWICE * mine + step:
                said = f"against FP64 is {its:.2g}, and was {mine:.2g}"
                return f"the error of the output {name!r} {said}"
        return ""

    def lossy_fault(self, given: Sequence[Array]) -> str:
        """That it gives neither what the graph was without rounding, nor what it was with it."""
        for name, was, _, exact, other in self._floats(given, given):
            scale = _largest(exact)
            off = min(_error(other, exact), _error(other, was.astype(np.float64)))
            if off > max(self._stored, CLOSE) * scale:
                return f"the output {name!r} is another one: {_share(off, scale)} without rounding"
        return ""

    @property
    def _stored(self) -> float:
        return _STORED_HALF if self.half else _STORED

    def _floats(
        self, given: Sequence[Array], found: Sequence[Array]
    ) -> list[tuple[str, Array, Array, Array, Array]]:
        assert self.exact is not None and self.other is not None
        rows = zip(self.names, given, found, self.exact, self.other, strict=True)
        return [row for row in rows if row[1].dtype.kind == "f"]


def _outputs(
    graph: Graph | None, batch: Sequence[Array], table: OperatorTable
) -> list[Array] | None:
    """What it gives, None where it cannot be computed."""
    try:
        return None if graph is None else run(graph, batch, table)
    except DoesNotRun:
        return None


def _share(off: float, scale: float) -> str:
    return f"off by {off / (scale or 1):.2g} of its magnitude"


def _error(a: Array, b: Array) -> float:
    """The largest difference; infinite where one has a number where the other has none."""
    wide = np.asarray(a, np.float64)
    same = (wide == b) | (np.isnan(wide) & np.isnan(b))
    off = np.abs(np.subtract(wide, b, where=~same, out=np.zeros(b.shape)))
    return float("inf") if np.isnan(off).any() else float(np.max(off, initial=0.0))


def _largest(array: Array) -> float:
    return float(np.max(np.abs(array), where=np.isfinite(array), initial=0.0))
