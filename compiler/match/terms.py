"""What names stand for while a pattern is matched and its conditions are evaluated.

Next to values and attributes these are dimensions that are only known by a symbol, and facts that
are not known at all.  What cannot be decided of them raises `Undetermined`: neither "equal" nor
"different" would be right.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from sparqc.ir.graph import Array, Attribute, Value
from sparqc.ir.types import Shape


class Symbol(str):
    """The name of a dimension whose size is not known, such as "batch"."""

    __slots__ = ()


class Unknown:
    """Stands for a fact about a value that is not known, such as its shape."""

    __slots__ = ("what",)

    def __init__(self, what: str) -> None:
        self.what = what

    def __repr__(self) -> str:
        return f"unknown {self.what}"


class Undetermined(Exception):
    """The outcome depends on something unknown; `reason` names it."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


#: What a name or an expression can stand for.
Term = None | bool | int | float | str | Array | Value | Unknown | tuple["Term", ...]


def dimensions(shape: Shape) -> tuple[int | Symbol, ...]:
    """A shape with its symbols marked as such."""
    return tuple(d if isinstance(d, int) else Symbol(d) for d in shape)


def size_of(value: Value, sizes: Mapping[str, int]) -> int | Unknown:
    """How many elements a value has; `sizes` are what free dimensions count as."""
    if value.shape is None:
        return Unknown(f"shape of {value.name}")
    counts = [sizes.get(d, d) if isinstance(d, str) else d for d in value.shape]
    free = next((size for size in counts if isinstance(size, str)), None)
    return math.prod(map(int, counts)) if free is None else Unknown(f"dimension {free!r}")


def attributes_equal(a: Attribute, b: Attribute) -> bool:
    """Whether two attributes say the same: 1 is 1.0, [2, 2] is (2, 2), 1e-5 is its float32."""
    if isinstance(a, (tuple, list)) and isinstance(b, (tuple, list)):
        return len(a) == len(b) and all(map(attributes_equal, a, b))
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        both = isinstance(a, np.ndarray) and isinstance(b, np.ndarray)
        return both and np.array_equal(a, b)  # type: ignore[arg-type]
    if isinstance(a, float) or isinstance(b, float):
        return _floats_equal(a, b)
    return type(a) is type(b) and a == b if isinstance(a, str) else bool(a == b)


def _floats_equal(a: Attribute, b: Attribute) -> bool:
    numbers = (int, float)
    if not isinstance(a, numbers) or not isinstance(b, numbers):
        return False
    # ONNX stores float attributes in single precision.
    return a == b or (max(abs(a), abs(b)) < 3e38 and float(np.float32(a)) == float(np.float32(b)))


def same(a: Term, b: Term) -> bool:
    """Whether a name may stand for both: the same value, or equal attributes or dimensions."""
    if isinstance(a, Value) or isinstance(b, Value):
        return a is b
    if isinstance(a, tuple) and isinstance(b, tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return attributes_equal(a, b)  # type: ignore[arg-type]


def equal(a: Term, b: Term) -> bool:
    """`a == b` in a condition; Undetermined where it depends on an unknown size."""
    for side in (a, b):
        if isinstance(side, Unknown):
            raise Undetermined(repr(side))
    if isinstance(a, Value) or isinstance(b, Value):
        return a is b
    if isinstance(a, tuple) and isinstance(b, tuple):
        return len(a) == len(b) and _all_equal(zip(a, b, strict=True))
    if isinstance(a, Symbol) or isinstance(b, Symbol):
        return _symbols_equal(a, b)
    return attributes_equal(a, b)  # type: ignore[arg-type]


def _all_equal(pairs: Iterable[tuple[Term, Term]]) -> bool:
    """One pair that differs settles it, whatever is unknown of the others."""
    doubt: Undetermined | None = None
    for a, b in pairs:
        try:
            if not equal(a, b):
                return False
        except Undetermined as unknown:
            doubt = unknown
    if doubt is not None:
        raise doubt
    return True


def _symbols_equal(a: Term, b: Term) -> bool:
    if isinstance(a, str) and isinstance(b, str):
        if a == b:
            return True
        if not (isinstance(a, Symbol) and isinstance(b, Symbol)):
            return False  # asked by name: `x.shape[0] == "batch"`
    elif not isinstance(a, int) and not isinstance(b, int):
        return False  # a size is not none
    symbol = a if isinstance(a, Symbol) else b
    raise Undetermined(f"unknown dimension '{symbol}'")


def show(term: Any) -> str:
    """A term as a person writes it: `[64, 3, 7, 7]`, `[batch, 8]`, `conv1.weight`, none."""
    if term is None or isinstance(term, bool):
        return {None: "none", True: "true", False: "false"}[term]
    if isinstance(term, Value):
        return term.name
    if isinstance(term, Unknown) or (isinstance(term, Symbol) and term.startswith("?")):
        return "?"
    if isinstance(term, (tuple, list)):
        return f"[{', '.join(map(show, term))}]"
    if isinstance(term, np.ndarray):
        return show(tuple(term.tolist())) if term.size <= 8 and term.ndim == 1 else _array(term)
    if isinstance(term, (float, np.floating)):
        return f"{term:.6g}"
    return str(term)


def _array(array: Array) -> str:
    return show(array.item()) if array.size == 1 else f"an array of {show(array.shape)}"
