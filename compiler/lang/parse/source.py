"""A piece of a pattern file, and where in the file its characters stand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sparqc.errors import Span


@dataclass(frozen=True)
class Source:
    """Text that begins at a 1-based line and column of a file.

    The text may go on over several lines; those after the first begin at column 1.
    """

    file: str
    text: str
    line: int
    column: int
    #: Lines of the file for the caret display, and the number of the first of them.
    lines: Sequence[str]
    first: int = 1

    @classmethod
    def of(cls, text: str, file: str, line: int = 1) -> Source:
        """Text of which no more is known than the line on which it begins."""
        return cls(file, text, line, 1, text.split("\n"), line)

    def span(self, line: int, column: int, width: int = 1) -> Span:
        """The place of `width` characters at a 1-based line and column of this text."""
        at = column + self.column - 1 if line == 1 else column
        number = self.line + line - 1
        return Span(self.file, number, at, width, self.lines[number - self.first])

    def at(self, offset: int, width: int = 1) -> Span:
        """The place of the character at a 0-based offset."""
        before = self.text[:offset]
        line = before.count("\n") + 1
        return self.span(line, offset - (before.rfind("\n") + 1) + 1, width)

    @property
    def whole(self) -> Span:
        """The place of the text's first line."""
        return self.span(1, 1, max(1, len(self.text.partition("\n")[0])))

    def piece(self, text: str, offset: int) -> Source:
        """A part of this text that begins at a 0-based offset."""
        span = self.at(offset)
        return Source(self.file, text, span.line, span.column, self.lines, self.first)
