"""Lines, blocks and comments: the outer structure of a pattern file, before any grammar.

A logical line is one physical line, or several: it goes on inside brackets, on deeper lines that
begin with a closing bracket, a string, or one of `else and or like for if`, and a description goes
on from string to string.  A line that ends in a colon opens a block of deeper lines.  The blocks
`before:` and `after:` hold raw text.
"""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass, field

from sparqc.errors import PatternError, Span
from sparqc.lang.fixes import missing_colon
from sparqc.lang.parse.keywords import BLOCKS
from sparqc.lang.parse.source import Source

#: What a deeper line begins with when it continues the line above instead of opening a block.
_CONTINUES = re.compile(r'(?:"|[)\]}]|(?:else|and|or|like|for|if)\b)')
_PIECE = re.compile(r'"(?:[^"\\]|\\.)*"|#.*|[()\[\]{}]|[^"#()\[\]{}]+|"')
#: Lines that end in a colon, which may be missing.
_DECLARES = re.compile(rf"(?:{'|'.join(BLOCKS)})\s+\w.*", re.DOTALL)
_OPENS_BLOCK = re.compile(
    r"(?:(?:match|where|rewrite|int8|pays|example|before|after)\b|sparse\s+\w+)\s*:?"
)
#: Lines whose block is kept as it stands.
_RAW = re.compile(r"(?:before|after)\s*:")


@dataclass
class Line:
    """One logical line and the block below it.

    `text` starts at the first letter, at 1-based `column` of physical line `number`; comments in it
    are cut off, line breaks are kept, so that positions in it are positions in the file.
    """

    number: int
    column: int
    text: str
    parent: Line | None = None
    children: list[Line] = field(default_factory=list)
    last: int = 0  # the physical line on which it ends, its block excluded
    raw: str = ""  # the dedented block of `before:` and `after:`
    broken: bool = False  # what is wrong with it was said already

    @property
    def opens(self) -> bool:
        """Whether it ends in a colon."""
        return self.text.endswith(":")

    @property
    def describes(self) -> bool:
        """Whether it is the string that describes a file or a declaration."""
        return self.text.startswith('"') and (self.parent is None or self.parent.parent is None)

    @property
    def begins_block(self) -> bool:
        """Whether it begins a declaration or a block, even if its colon is missing."""
        pattern = _OPENS_BLOCK if self.parent else _DECLARES
        return bool(pattern.fullmatch(self.text))

    @property
    def word(self) -> str:
        """The word it begins with; empty where it begins with none."""
        found = re.match(r"\w+", self.text)
        return found.group() if found else ""


@dataclass(frozen=True)
class Comment:
    """A `# comment`, at a 1-based line and column; `alone` where nothing stands before it."""

    line: int
    column: int
    text: str
    alone: bool


@dataclass
class Layout:
    """A pattern file's lines as a tree, its comments, and what is wrong with its structure."""

    file: str
    source: list[str]
    lines: list[Line] = field(default_factory=list)
    comments: list[Comment] = field(default_factory=list)
    errors: list[PatternError] = field(default_factory=list)

    def span(self, line: int, column: int = 1, width: int = 1) -> Span:
        """The place of `width` characters, 1-based."""
        return Span(self.file, line, column, width, self.source[line - 1])

    def of(self, line: Line) -> Source:
        """The text of a logical line, and its place."""
        return Source(self.file, line.text, line.number, line.column, self.source)


def read_layout(text: str, file: str) -> Layout:
    """Split a text into logical lines; what is wrong is collected in `errors`."""
    layout = Layout(file, text.replace("\r\n", "\n").split("\n"))
    _Reader(layout).read()
    return layout


class _Reader:
    """Walks the physical lines and keeps the logical line that is being read."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.current: Line | None = None
        self.brackets: list[tuple[str, Span]] = []
        self.tabs = False

    def read(self) -> None:
        number = 0
        while number < len(self.layout.source):
            number += 1
            self.physical(number)
            if self.current and self.current.last == number and self.in_raw_block():
                number = self.raw_block(self.current)
        self.close_brackets()

    def physical(self, number: int) -> None:
        text = self.untabbed(number)
        column = len(text) - len(text.lstrip(" ")) + 1
        if not text.strip():
            return
        if text.lstrip(" ").startswith("#"):
            self.layout.comments.append(Comment(number, column, text.strip(), alone=True))
            return
        if self.continues(text[column - 1 :], column):
            self.extend(number, column)
        else:
            self.start(number, column)

    def untabbed(self, number: int) -> str:
        """A physical line; tabs in front of it are reported once, and taken for four columns."""
        text = self.layout.source[number - 1]
        bare = text.lstrip(" \t")
        indent = text[: len(text) - len(bare)]
        if "\t" not in indent or not bare:
            return text
        if not self.tabs:
            self.error("indent with spaces, not with tabs", number, 1, len(indent))
        self.tabs = True
        self.layout.source[number - 1] = indent.expandtabs(4) + bare
        return self.layout.source[number - 1]

    def continues(self, text: str, column: int) -> bool:
        """Whether a physical line belongs to the logical line above."""
        line = self.current
        if line is None:
            return False
        deeper = column > line.column
        if self.brackets:
            return deeper or (column == line.column and text[0] in ")]}")
        if text[0] == '"' and line.describes:
            return column >= line.column
        if line.opens or line.begins_block:
            return False
        return deeper and bool(_CONTINUES.match(text))

    def extend(self, number: int, column: int) -> None:
        line = self.current
        assert line is not None
        gap = "\n" * (number - line.last)
        line.text += gap + " " * (column - 1) + self.scan(number, column)
        line.last = number

    def start(self, number: int, column: int) -> None:
        self.close_brackets()
        parent = self.parent_of(number, column)
        line = self.current = Line(number, column, "", parent, last=number)
        (parent.children if parent else self.layout.lines).append(line)
        line.text = self.scan(number, column)

    def parent_of(self, number: int, column: int) -> Line | None:
        """The line whose block a line at that column belongs to; None: the file's top level."""
        line = self.current
        if line is None:
            if column > 1:
                self.error("the first line of a file stands at its left edge", number, column)
            return None
        if column > line.column:
            return line if line.opens else self.unopened(line, number, column)
        while line is not None and line.column > column:
            line = line.parent
        if line is None:  # the file's first line was indented, and that was said
            return None
        if line.column < column:
            self.error("the indentation fits no block above", number, column)
        return line.parent

    def unopened(self, above: Line, number: int, column: int) -> Line | None:
        """A deeper line below one without a colon: a forgotten colon, or a slip of the indent."""
        if not above.begins_block:
            message = "this line is indented deeper than the one above, which opens no block"
            self.error(message, number, column)
            return above.parent
        end = len(self.layout.source[above.last - 1].rstrip())
        self.layout.errors.append(missing_colon(self.layout.span(above.last, end)))
        above.text, above.broken = f"{above.text}:", True
        return above

    def scan(self, number: int, column: int) -> str:
        """One physical line from a column on, without its comment; counts brackets."""
        text = self.layout.source[number - 1]
        kept = []
        for piece in _PIECE.finditer(text, column - 1):
            found, at = piece.group(), piece.start() + 1
            if found[0] == "#":
                self.layout.comments.append(Comment(number, at, found.rstrip(), alone=False))
                break
            if found == '"':
                self.error("the string is not closed: a '\"' is missing", number, at)
                self.mark_broken()
                break
            if found in "([{":
                self.brackets.append((found, self.layout.span(number, at)))
            elif found in ")]}" and self.brackets:
                self.brackets.pop()
            kept.append(found)
        return "".join(kept).rstrip()

    def close_brackets(self) -> None:
        """At the end of a logical line no bracket may be open."""
        for bracket, span in self.brackets[:1]:
            self.layout.errors.append(PatternError(f"this '{bracket}' is never closed", span=span))
            self.mark_broken()
        self.brackets.clear()

    def mark_broken(self) -> None:
        if self.current is not None:
            self.current.broken = True

    def in_raw_block(self) -> bool:
        line = self.current
        return line is not None and bool(_RAW.fullmatch(line.text)) and line.parent is not None

    def raw_block(self, header: Line) -> int:
        """Take the deeper lines below `before:` as they stand; the number of the last one."""
        source, first = self.layout.source, header.number
        end = last = first
        while end < len(source):
            text = source[end]
            if text.strip():
                if len(text) - len(text.lstrip(" ")) < header.column:
                    break
                last = end + 1
            end += 1
        kept = [text.rstrip() for text in source[first:last]]
        header.raw = textwrap.dedent("\n".join(kept)).strip("\n")
        return last

    def error(self, message: str, line: int, column: int, width: int = 1) -> None:
        span = self.layout.span(line, column, max(1, width))
        self.layout.errors.append(PatternError(message, span=span))
