"""The first bad number, found by halving."""

from __future__ import annotations

from collections.abc import Callable

from sparqc.errors import SparqcError


def first_bad(last: int, is_bad: Callable[[int], bool]) -> int:
    """The least number from 1 to `last` at which it is bad, where it is good below and bad from
    there on; otherwise one that is bad while the number before is good.

    Asks for `last`, for 0, and then for ceil(log2(last)) numbers at most.  Raises SparqcError where
    it is never bad, or always.
    """
    if not is_bad(last):
        raise SparqcError(
            "the result is good: the check never fails",
            hint="the whole compile passes it; is it the command that you mean?",
        )
    if is_bad(0):
        raise SparqcError(
            "the check always fails: also on the model that no pass has changed",
            hint="mend the model or the command: no pass is to blame",
        )
    good, bad = 0, last
    while bad - good > 1:
        middle = (good + bad) // 2
        if is_bad(middle):
            bad = middle
        else:
            good = middle
    return bad
