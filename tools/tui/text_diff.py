"""Two graph texts as one list: what is gone, what is new, and a little of what is equal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from itertools import groupby

from sparqc.tools.tui.row import Mark

#: Equal lines around a difference that stay in sight.
AROUND = 2


def text_diff(before: Sequence[str], after: Sequence[str]) -> Iterator[tuple[Mark, str]]:
    """Pairs of a sign and a line: "-" gone, "+" new, "" equal, "#" so many equal lines left out.

    Lines are held together by the name that they define, so that an operator that reads something
    else stands below what it was.
    """
    lines = list(_aligned(before, after))
    signs = [bool(sign) for sign, _ in lines]
    near = [any(signs[max(0, i - AROUND) : i + AROUND + 1]) for i in range(len(lines))]
    for is_near, found in groupby(zip(near, lines, strict=True), lambda pair: pair[0]):
        group = [line for _, line in found]
        if is_near:
            yield from group
        else:
            yield "#", f"  … {len(group)} equal"


def _aligned(before: Sequence[str], after: Sequence[str]) -> Iterator[tuple[Mark, str]]:
    keys = [defined(line) for line in before], [defined(line) for line in after]
    for what, i, i_end, j, j_end in SequenceMatcher(None, *keys, autojunk=False).get_opcodes():
        if what != "equal":
            yield from (("-", line) for line in before[i:i_end])
            yield from (("+", line) for line in after[j:j_end])
            continue
        for old, new in zip(before[i:i_end], after[j:j_end], strict=True):
            if old == new:
                yield "", new
            else:
                yield "-", old
                yield "+", new


def defined(line: str) -> str:
    """The first name that a line of a graph text defines: `conv` of `conv, mask = …`."""
    text = line.strip()
    if text.startswith(("graph ", "return ")):
        return text.split()[0]
    return text.partition(" = ")[0].partition(": const")[0].split(", ")[0]
