"""Puts the comments of a source text back between the lines of its canonical form.

A comment behind a line stays behind it.  A comment on a line of its own stays in front of the line
below it, or behind the line above where it is indented deeper than the one below.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from sparqc.lang.parse.layout import Comment, Layout, Line
from sparqc.lang.parse.wrap import indented


class PrintedLine(Protocol):
    """What the formatter prints."""

    @property
    def depth(self) -> int:
        """How many blocks it stands in."""

    @property
    def text(self) -> str:
        """Its text, without the indentation of its first line."""

    @property
    def line(self) -> int:
        """The source line that it stands for; 0: none."""


@dataclass
class _Place:
    """A printed line, and the comments around it."""

    printed: PrintedLine
    before: list[Comment] = field(default_factory=list)
    behind: list[Comment] = field(default_factory=list)
    after: list[Comment] = field(default_factory=list)
    opens: bool = False


def with_comments(printed: Sequence[PrintedLine], layout: Layout) -> str:
    """The text of the printed lines and the layout's comments, an empty line between blocks."""
    places = [_Place(p) for p in printed]
    tail = _attach(places, layout)
    lines: list[str] = []
    for place in places:
        if place.printed.depth == 0 and lines:
            lines.append("")
        lines += _render(place, layout)
    lines += ["", *_own(tail, 0, layout)] if tail and lines else list(_own(tail, 0, layout))
    return "".join(f"{line}\n" for line in lines)


def _attach(places: list[_Place], layout: Layout) -> list[Comment]:
    """Give each comment to a line; those below everything are returned."""
    of_line = {place.printed.line: place for place in places if place.printed.line}
    lines = [line for line in _flat(layout.lines) if line.number in of_line]
    for line in lines:
        of_line[line.number].opens = line.opens and not line.raw
    tail = []
    for comment in layout.comments:
        inside = [line for line in _flat(layout.lines) if line.number <= comment.line <= line.last]
        above = [line for line in lines if line.number < comment.line]
        below = [line for line in lines if line.number > comment.line]
        if inside and inside[0].number in of_line:
            of_line[inside[0].number].behind.append(comment)
        elif above and _belongs_above(comment, above[-1], below):
            of_line[above[-1].number].after.append(comment)
        elif below:
            of_line[below[0].number].before.append(comment)
        else:
            tail.append(comment)
    return tail


def _belongs_above(comment: Comment, above: Line, below: Sequence[Line]) -> bool:
    """Whether a comment on a line of its own ends the block above it."""
    in_block = above.parent is not None or above.opens
    return in_block and comment.column > (below[0].column if below else 1)


def _flat(lines: Sequence[Line]) -> Iterator[Line]:
    for line in lines:
        yield line
        yield from _flat(line.children)


def _render(place: _Place, layout: Layout) -> Iterator[str]:
    printed = place.printed
    before, behind = place.before, place.behind
    if len(behind) > 1 or "\n" in printed.text:
        before, behind = [*before, *behind], []
    yield from _own(before, printed.depth, layout, below=printed.line)
    text = indented(printed.text, printed.depth)
    yield from (f"{text}  {behind[0].text}" if behind else text).split("\n")
    yield from _own(place.after, printed.depth + place.opens, layout)


def _own(
    comments: Sequence[Comment], depth: int, layout: Layout, below: int | None = None
) -> Iterator[str]:
    """Comments on lines of their own; at the top level an empty line between them is kept."""
    for position, comment in enumerate(comments):
        yield indented(comment.text, depth)
        rest = comments[position + 1 : position + 2]
        following = rest[0].line if rest else below
        if depth == 0 and following and _gap(layout, comment.line, following):
            yield ""


def _gap(layout: Layout, above: int, below: int) -> bool:
    return any(not text.strip() for text in layout.source[above : below - 1])
