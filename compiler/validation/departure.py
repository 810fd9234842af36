"""Whether two arrays agree, and how far they lie apart where they do not."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from sparqc.ir.graph import Array, Node
from sparqc.ir.layer_names import layer_name, name_of

Word = Literal["exact", "close", "lossy"]
#: What one operator may be off by, relative to the largest magnitude of its result, where it is
#: computed from equal inputs: another library adds up in another order.
CLOSE = 1e-4
#: What is no difference for results of any size: four steps of float32 at 1.  Functions such as the
#: sigmoid are approximated to that, however small their results.
SMALLEST = 5e-7
#: What the numbers that an operator reads are rounded by, in steps of their type, to see what that
#: does to its results.
SHAKEN = 8
#: What FP16 and BF16 may be off by, relative as `CLOSE`.
CLOSE_HALF = 2e-2
#: The largest FP16 number.
LARGEST_HALF = float(np.finfo(np.float16).max)
#: One code, relative to the largest magnitude of what a quantizer gives: at least half of the codes
#: of one sign are used.
CODE = 1 / 64
#: The share of a quantizer's elements that may lie on such a tie.
TIES = 1e-3


@dataclass(frozen=True)
class Departure:
    """An operator that gives other numbers than it did before, from equal inputs."""

    node: Node
    #: The largest difference by the largest magnitude; infinite where shapes or NaNs differ.
    relative: float
    #: What it stands for, where it was an operator of another level.
    was: Node | None = None

    def __str__(self) -> str:
        source, module = self.node.origin.source, self.node.origin.module
        place = f" at {source}" * bool(source)
        name = f"{self.node.op} {name_of(self.node)!r}{place}"
        if self.was is not None:
            form = f"in its form of {self.node.graph.level.upper()}"
            was = layer_name(self.was.output.name, module)
            name = f"{self.was.op} {was!r}{place}, {form},"
        if math.isinf(self.relative):
            return f"{name} gives another shape, or numbers where there were none"
        return f"{name} is off by {self.relative:.2g} of its largest magnitude"


def gap(expected: Array, actual: Array, *, rounds: bool = False, half: bool = False) -> float:
    """How much further two results lie apart than rounding explains: 0.0 where they agree, else
    the largest difference by the largest magnitude.

    With `rounds` the operator rounds to codes: a few elements may be the next code.  With `half` it
    reads or writes numbers of eleven bits or fewer.
    """
    if expected.shape != actual.shape:
        return math.inf
    if not expected.size:
        return 0.0
    worst, largest = _worst(expected, actual), largest_of(_wide(expected))
    if worst <= SMALLEST:
        return 0.0
    relative = worst / largest if math.isfinite(worst) and largest else math.inf
    if relative <= (0.0 if expected.dtype.kind in "iub" else CLOSE_HALF if half else CLOSE):
        return 0.0
    return 0.0 if rounds and _rounds_alike(expected, actual, half) else relative


def shake(array: Array, seed: int) -> Array:
    """Floats rounded in another way: each off by `SHAKEN` of its type's steps, up or down."""
    if array.dtype.kind != "f":
        return array
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], array.shape)
    return np.asarray(array * (1 + signs * SHAKEN * np.finfo(array.dtype).eps), array.dtype)


def largest_difference(a: Array, b: Array) -> float:
    """Infinite where shapes differ, or one has a number where the other has none."""
    if a.shape != b.shape or not np.array_equal(np.isfinite(a), np.isfinite(b)):
        return math.inf
    return largest_of(np.subtract(_wide(a), _wide(b), where=np.isfinite(a), out=np.zeros(a.shape)))


def _rounds_alike(expected: Array, actual: Array, half: bool) -> bool:
    """Whether two results of a quantizer differ by ties only: by one code, in few elements.

    A scale that is itself rounded to FP16 moves more of them by one code.
    """
    off = np.abs(_wide(expected) - _wide(actual))
    codes = expected.dtype.kind in "iu"
    step = 1.0 if codes else CODE * largest_of(_wide(expected))
    moved = np.count_nonzero(off > (0.0 if codes else CLOSE * step / CODE))
    return float(off.max()) <= step and (half or moved <= max(1, TIES * off.size))


def _worst(a: Array, b: Array) -> float:
    if np.array_equal(a, b):  # most weights, and much cheaper than what follows
        return 0.0
    x, y = _wide(a), _wide(b)
    with np.errstate(invalid="ignore"):  # inf - inf, which is no difference
        difference = np.abs(x - y)
    worst = np.where((x == y) | (np.isnan(x) & np.isnan(y)), 0.0, difference).max()
    return math.inf if np.isnan(worst) else float(worst)


def are_finite(arrays: Iterable[Array]) -> bool:
    """Whether no float in them is infinite or NaN."""
    return all(np.isfinite(a).all() for a in arrays if a.dtype.kind == "f")


def largest_of(array: Array) -> float:
    """The largest magnitude of what is finite."""
    return float(np.max(np.abs(array), where=np.isfinite(array), initial=0.0))


def saturated(array: Array, limit: float) -> Array:
    """Floats whose finite numbers are no larger than a limit."""
    return np.where(np.isinf(array), array, np.clip(array, -limit, limit))


def _wide(array: Array) -> Array:
    return np.asarray(array, np.float32 if array.dtype.itemsize < 4 else None)
