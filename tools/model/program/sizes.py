"""The symbolic sizes of a program in a file: arithmetic that stays small.

Torch evaluates their text with sympy, which computes powers of numbers and multiplies sums out, so
the names that a text may use are listed, and the numbers and sums that it stands for are bounded
before anything evaluates it.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from math import prod

from sparqc.tools.model.program.refusal import Refusal, excerpt

_LONGEST, _DEEPEST = 10_000, 64
_MOST_BITS, _MOST_TERMS, _MOST_COMPARED = 1024, 1000, 16
_SUMS = frozenset(("Add", "Max", "Min"))
_POWERS = frozenset(("Pow", "PowByNatural"))
_WORDS = """
    FloorDiv CeilDiv CleanDiv IntTrueDiv FloatTrueDiv Mod PythonMod ModularIndexing Where Abs
    CeilToInt FloorToInt TruncToInt RoundToInt TruncToFloat ToFloat Identity floor ceiling
    Equality Unequality GreaterThan LessThan StrictGreaterThan StrictLessThan
    Eq Ne Ge Le Gt Lt And Or Not
"""
_OTHERS = frozenset(_WORDS.split())
_SYMBOL = re.compile(r"[A-Za-z](?!\w*__)\w{0,63}")
_NUMBER = re.compile(r"-?\d{1,24}(\.\d{1,40})?(e[-+]?\d{1,3})?")
_FLAGS = frozenset(("integer", "positive", "nonnegative", "negative", "real", "finite", "zero"))
_NAMES = frozenset(("true", "false", "True", "False"))


@dataclass(frozen=True)
class _Extent:
    """How large an expression can grow: bits of its number, terms of its sum."""

    bits: int
    terms: int = 1


def check_size(text: object) -> None:
    """Nothing for a size as torch writes it: "FloorDiv(Symbol('s0', integer=True), Integer(2))".

    Raises:
        Refusal: for any other text, and for arithmetic whose result is large.
    """
    if not isinstance(text, str) or len(text) > _LONGEST:
        raise _refusal(text)
    try:
        expression = ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise _refusal(text) from error
    if _extent(expression, 0) is None or _compared(expression) > _MOST_COMPARED:
        raise _refusal(text)


def _compared(expression: ast.expr) -> int:
    """How many sizes stand in maxima and minima; sympy compares each with all others."""
    calls = (node for node in ast.walk(expression) if isinstance(node, ast.Call))
    extrema = (c for c in calls if isinstance(c.func, ast.Name) and c.func.id in ("Max", "Min"))
    return sum(len(call.args) for call in extrema)


def _refusal(text: object) -> Refusal:
    return Refusal(f"the size {excerpt(text)}, which is no arithmetic on sizes")


def _extent(node: ast.expr, depth: int) -> _Extent | None:
    """The extent of an expression, None for what is not allowed or too large."""
    if depth > _DEEPEST:
        return None
    if isinstance(node, ast.Name):
        return _Extent(1) if node.id in _NAMES else None
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
        return None
    if node.func.id in ("Symbol", "Integer", "Float", "Rational"):
        return _atom(node.func.id, node)
    extent = _of_call(node.func.id, node, depth)
    if extent is None or extent.bits > _MOST_BITS or extent.terms > _MOST_TERMS:
        return None
    return extent


def _of_call(name: str, node: ast.Call, depth: int) -> _Extent | None:
    if not node.args or any(k.arg != "evaluate" or not _flag(k.value) for k in node.keywords):
        return None
    if name in _POWERS:
        base = _extent(node.args[0], depth + 1)
        exponent = _exponent(node.args[1]) if len(node.args) == 2 else None
        if base is None or exponent is None:
            return None
        return _Extent(base.bits * exponent, base.terms**exponent)
    parts = [_extent(part, depth + 1) for part in node.args]
    known = [part for part in parts if part is not None]
    if len(known) < len(parts):
        return None
    bits, terms = [part.bits for part in known], [part.terms for part in known]
    if name in _SUMS:
        return _Extent(max(bits) + len(bits), sum(terms))
    if name == "Mul":
        return _Extent(sum(bits), prod(terms))
    return _Extent(max(bits) + 1) if name in _OTHERS else None


def _atom(name: str, node: ast.Call) -> _Extent | None:
    if not node.args:
        return None
    if name == "Symbol":
        fine = _is_word(node.args[0], _SYMBOL) and len(node.args) == 1
        fine &= all(k.arg in _FLAGS and _flag(k.value) for k in node.keywords)
        return _Extent(64) if fine else None
    if name == "Float":
        fine = _is_word(node.args[0], _NUMBER) and len(node.args) == 1
        fine &= all(k.arg == "precision" and _integer(k.value) == 53 for k in node.keywords)
        return _Extent(64) if fine else None
    numbers = [_integer(part) for part in node.args]
    if node.keywords or len(numbers) != (2 if name == "Rational" else 1):
        return None
    if any(number is None or abs(number) >= 1 << 63 for number in numbers) or numbers[1:] == [0]:
        return None
    return _Extent(64 if name == "Rational" else max(1, (numbers[0] or 0).bit_length()))


def _exponent(node: ast.expr) -> int | None:
    """The n of `Integer(n)`: a power is of a number that stands there, and a small one."""
    if not isinstance(node, ast.Call) or _extent(node, 0) is None:
        return None
    if not isinstance(node.func, ast.Name) or node.func.id != "Integer":
        return None
    exponent = _integer(node.args[0])
    return exponent if exponent is not None and 0 <= exponent <= 16 else None


def _integer(node: ast.expr) -> int | None:
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        positive = _integer(node.operand)
        return None if positive is None else -positive
    value = node.value if isinstance(node, ast.Constant) else None
    return value if type(value) is int else None


def _is_word(node: ast.expr, form: re.Pattern[str]) -> bool:
    return (
        isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and bool(form.fullmatch(node.value))
    )


def _flag(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, bool)
