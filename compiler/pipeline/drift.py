"""How far the outputs of a graph moved, and whether a word on numbers was kept."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sparqc.ir.graph import Array, Graph
from sparqc.validation.departure import SMALLEST

Word = Literal["exact", "close", "lossy"]
#: What "close" allows, relative to the largest magnitude of an output.
CLOSE = 1e-4
#: And where the graph rounds to integer codes: a sum that another library adds up in another order
#: may become the next code, one step of the output's range away.
CLOSE_CODES = 3e-2
#: And where it computes in FP16, whose numbers have eleven bits: the errors of many operators.
CLOSE_HALF = 2e-2


@dataclass(frozen=True)
class Drift:
    """The difference between the outputs before and after, over all of them.

    `exact`: every number is equal (0.0 equals -0.0, NaN equals NaN).  `relative`: the largest
    difference in one output, by the largest magnitude in it; of integers the share of entries that
    are others.  `snr_db`: 10 log10 of the power of the float outputs by that of the difference,
    infinite where nothing moved, NaN where none is a float and integers did.
    """

    exact: bool
    relative: float
    snr_db: float
    #: The name of the output that moved most.
    worst: str = ""
    #: Whether the graph rounds to integer codes on its way.
    rounds: bool = False
    #: Whether it computes in FP16.
    half: bool = False
    #: Whether it does so in a runtime that rounds between two operators or not, as it fuses them:
    #: then no change of a graph, however exact, leaves every bit as it is.
    fused: bool = False

    def keeps(self, word: Word) -> bool:
        """Whether the drift is what a pass or rule of that word may cause."""
        if word == "lossy":
            return True
        limit = max(CLOSE, CLOSE_CODES * self.rounds, CLOSE_HALF * self.half)
        return self.exact or ((word == "close" or self.fused) and self.relative <= limit)

    def to_json(self) -> dict[str, Any]:
        """Plain data; JSON has no infinity, so what is infinite or undefined is null."""
        numbers = {"relative": self.relative, "snr_db": self.snr_db}
        finite = {k: v if math.isfinite(v) else None for k, v in numbers.items()}
        return {"exact": self.exact, **finite, "worst": self.worst}

    def __str__(self) -> str:
        if self.exact:
            return "unchanged"
        if math.isnan(self.snr_db):
            return f"{100 * self.relative:.2g} % of its integers are others"
        return f"{self.relative:.2g} of the largest magnitude, SNR {self.snr_db:.1f} dB"


def measure(before: Sequence[Array], after: Sequence[Array], names: Sequence[str]) -> Drift:
    """The drift between two runs; outputs of another number or shape drift without bound."""
    if [a.shape for a in before] != [a.shape for a in after]:
        return Drift(False, math.inf, -math.inf, "the shapes")
    relative = moves(before, after)
    worst = int(np.argmax(relative)) if relative else 0
    exact = all(_equal(a, b) for a, b in zip(before, after, strict=True))
    name = names[worst] if worst < len(names) else ""
    return Drift(exact, max(relative, default=0.0), _snr(before, after), name)


def drift_of(
    before: Sequence[Array], after: Sequence[Array], names: Sequence[str], graph: Graph
) -> Drift:
    """The drift of a graph's outputs, with what its operators allow for."""
    half = any(v.type.dtype == "f16" for node in graph.nodes for v in node.outputs)
    rounds = any(node.op.startswith("q.") for node in graph.nodes)
    fused = half and graph.level == "onnx"
    return replace(measure(before, after, names), rounds=rounds, half=half, fused=fused)


def what_to_do(name: str) -> str:
    """The hint where the pass or rule of that name has broken its word."""
    return (
        f"--skip {name} does without it; if it is your own, mend it or let it promise less, else "
        "report it together with the model"
    )


def moves(before: Sequence[Array], after: Sequence[Array]) -> list[float]:
    """How far each output moved: of floats the largest difference by the largest magnitude, of
    integers (labels, indices, masks) the share of entries that are others; of one that has another
    shape without bound."""
    return [_move(a, b) for a, b in zip(before, after, strict=True)]


def _move(a: Array, b: Array) -> float:
    if a.shape != b.shape:
        return math.inf
    return 1.0 - equal_share([a], [b]) if is_codes(a) else _relative(_wide(a), _wide(b))


def is_codes(array: Array) -> bool:
    """Whether an output is one of integers or of text, which are equal or not: no distance means
    anything."""
    return array.dtype.kind in "iubOSU"


def equal_share(before: Sequence[Array], after: Sequence[Array]) -> float:
    """The share of equal entries in arrays of equal shapes, 1.0 where there are none."""
    equal = sum(int(np.count_nonzero(a == b)) for a, b in zip(before, after, strict=True))
    size = sum(a.size for a in before)
    return equal / size if size else 1.0


def _equal(a: Array, b: Array) -> bool:
    if a.dtype != b.dtype:
        return False
    return np.array_equal(a, b, equal_nan=a.dtype.kind == "f")


def _wide(array: Array) -> NDArray[np.float64]:
    return np.asarray(array, np.float64)


def _relative(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    if not a.size:
        return 0.0
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    if same.all():
        return 0.0
    difference = np.abs(a[~same] - b[~same])
    if not np.isfinite(difference).all():
        return math.inf
    worst = float(difference.max())
    scale = float(np.max(np.abs(a), where=np.isfinite(a), initial=0.0))
    if not scale:
        return 0.0 if worst <= SMALLEST else math.inf
    return worst / scale


def _snr(before: Sequence[Array], after: Sequence[Array]) -> float:
    """Over all float outputs together, leaving out what is not finite on either side.

    NaN where none is a float and they differ.
    """
    signal = noise = 0.0
    pairs = [(_wide(a), _wide(b)) for a, b in zip(before, after, strict=True) if not is_codes(a)]
    if not pairs and equal_share(before, after) < 1:
        return math.nan
    for a, b in pairs:
        finite = np.isfinite(a) & np.isfinite(b)
        signal += float(np.square(a, where=finite, out=np.zeros_like(a)).sum())
        noise += float(np.square(np.subtract(a, b, where=finite, out=np.zeros_like(a))).sum())
    if noise == 0.0 or (not signal and noise <= SMALLEST**2):
        return math.inf
    return 10 * math.log10(signal / noise) if signal else -math.inf
