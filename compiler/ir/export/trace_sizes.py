"""Numbers for symbolic sizes, to trace an operator with."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import sympy  # type: ignore[import-untyped]

from sparqc.errors import SparqcError
from sparqc.ir.fx.infer import parse_size
from sparqc.ir.graph import Array, Value
from sparqc.ir.types import Shape

#: Sizes where no example gives one: of the first dimension, and of the others.
FIRST, OTHER = 2, 64
#: The largest factor by which all of them grow until none is 0 or 1, which torch takes for fixed.
MOST = 64


class TraceSizes:
    """The sizes that the example inputs have, as far as they let everything vary."""

    def __init__(self, inputs: Iterable[Value], example: Sequence[Array]) -> None:
        self._known: dict[str, int] = {}
        for number, value in enumerate(inputs):
            for axis, size in enumerate(value.shape or ()):
                if not isinstance(size, str):
                    continue
                given = example[number].shape[axis] if number < len(example) else None
                self._known.setdefault(size, given or (OTHER if axis else FIRST))

    def shapes(self, shapes: Sequence[Shape]) -> list[list[int]]:
        """The shapes in numbers, in which a symbolic size is at least 2 where that can be."""
        free = [size for shape in shapes for size in shape if isinstance(size, str)]
        factors = range(1, MOST + 1)
        fit = (f for f in factors if all(self._number(size, f) > 1 for size in free))
        factor = next(fit, 1)
        return [[self._number(size, factor) for size in shape] for shape in shapes]

    def _number(self, size: int | str, factor: int) -> int:
        if isinstance(size, int):
            return size
        symbols: dict[str, Any] = {}

        def symbol(name: str) -> Any:
            return symbols.setdefault(name, sympy.Symbol(name, integer=True, positive=True))

        try:
            expression = parse_size(size, symbol)
        except SparqcError:
            return OTHER
        numbers = {s: self._known.get(n, OTHER) * factor for n, s in symbols.items()}
        return int(expression.subs(numbers))
