"""Arithmetic on sizes that a program in a file does by calls: no number may grow without end.

Sizes are Python's integers when a program runs; sixty multiplications of one by itself have more
digits than any memory.
"""

from __future__ import annotations

from typing import Any

from sparqc.tools.model.program.refusal import Refusal, excerpt

_SIZE_BITS, _MOST_BITS, _LARGEST_EXPONENT = 64, 4096, 16


def check_numbers(calls: list[Any]) -> None:
    """Nothing where every number that these calls compute is small; they are in order.

    Raises:
        Refusal: for the call whose number is not.
    """
    bits: dict[str, int] = {}
    for call in calls:
        if not isinstance(call, dict) or not str(call.get("target")).startswith("_operator."):
            continue
        grown = _grown(call, bits)
        if grown > _MOST_BITS:
            raise Refusal(f"a call of {excerpt(call['target'])} whose number is too large")
        for name in _names(call.get("outputs")):
            bits[name] = grown


def _grown(call: dict[str, Any], bits: dict[str, int]) -> int:
    inputs = [named.get("arg") for named in call["inputs"]]
    before = [max((bits.get(name, 0) for name in _names(x)), default=0) for x in inputs]
    sizes = [max(known, _SIZE_BITS) for known in before]
    if call["target"] == "_operator.pow":
        return sizes[0] * _exponent(inputs[-1])
    return sum(sizes) if call["target"] == "_operator.mul" else max(sizes, default=0) + 1


def _exponent(argument: Any) -> int:
    """The number that stands there as an exponent, too large a one for anything else."""
    for number in _values(argument, "as_int"):
        if isinstance(number, int) and 0 <= number <= _LARGEST_EXPONENT:
            return number
    return _MOST_BITS


def _names(argument: Any) -> list[str]:
    return [name for name in _values(argument, "as_name") if isinstance(name, str)]


def _values(argument: Any, key: str) -> list[Any]:
    """What stands under a key, anywhere in an argument."""
    found, stack = [], [argument]
    while stack:
        item = stack.pop()
        if isinstance(item, list):
            stack += item
        elif isinstance(item, dict):
            found += [item[key]] if key in item else []
            stack += item.values()
    return found
