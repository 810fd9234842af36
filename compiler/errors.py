"""The errors that people see: what is wrong, where, and what to do about it.

Every error that bad input can cause is a `SparqcError`.  It knows how to show itself and with
which exit code the command line ends; anything else that escapes is a bug in sparqc.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

#: Exit codes of the command line: the answer is no (a finding, a difference, a quality missed), a
#: wrong use of the program, and what could not be done: a broken file, a failed compile.
NO, MISUSED, FAILED = 1, 2, 3
#: Letters of a long line on each side of what is wrong in it, and of one line of a message.
SHOWN, LONGEST = 200, 2000
#: So many errors of one file are shown: a file of another kind is wrong in every line.
SHOWN_ERRORS = 20


@dataclass(frozen=True)
class Span:
    """A stretch of one line of a text file; `line` and `column` count from 1."""

    file: str
    line: int
    column: int
    width: int = 1
    #: The text of the line, for the caret display; empty where the source is not at hand.
    text: str = ""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"

    def caret(self) -> str:
        """The line and a caret below the stretch, or nothing without the source."""
        if not self.text:
            return ""
        # Of a long line only what is around the stretch.
        start = max(0, self.column - 1 - SHOWN) if len(self.text) > 2 * SHOWN else 0
        text = self.text[start : start + 2 * SHOWN]
        # A tab stays a tab below, so that the caret stands under the right letter.
        pad = "".join("\t" if c == "\t" else " " for c in text[: self.column - 1 - start])
        width = max(1, min(self.width, len(text) - len(pad)))
        return f"  {text}\n  {pad}{'^' * width}"


@dataclass(frozen=True)
class Fix:
    """One way to put right what is wrong: what to write in place of a stretch of a line."""

    span: Span
    text: str


class SparqcError(Exception):
    """A mistake or a limit that a person can act on.

    `message` says what is wrong, `span` where in a file of theirs, `hint` what to do.
    """

    exit_code = FAILED
    #: Whether it lies in the data of a person: without them nobody sees it again.
    is_of_data = False

    def __init__(self, message: str, *, span: Span | None = None, hint: str = "") -> None:
        super().__init__(message)
        self.message, self.span, self.hint = message, span, hint

    def __str__(self) -> str:
        lines = [f"{self.span}: {self.message}" if self.span else self.message]
        if self.span and (caret := self.span.caret()):
            lines.append(caret)
        if self.hint:
            lines.append(f"  {self.hint}")
        return "\n".join(_cut(line) for text in lines for line in text.split("\n"))


def _cut(line: str) -> str:
    """A line that a person reads: names that a file gives may have millions of letters."""
    return line if len(line) <= LONGEST else f"{line[:LONGEST]}… ({len(line)} letters)"


class NoForm(SparqcError):
    """An operator, or this use of it, that the operator table cannot spell in ONNX.

    A writer of the table raises it; the operator is then exported by torch.onnx.
    """


class DataError(SparqcError):
    """The data that a person gives are none, or do not fit the model."""

    is_of_data = True


class NotGoodEnough(SparqcError):
    """All was done, and the result is worse than a person allows."""

    exit_code = NO


class UsageError(SparqcError):
    """The program was asked for something that does not exist or does not fit together."""

    exit_code = MISUSED


class PatternError(SparqcError):
    """A pattern file is wrong; the span points into it, and an editor offers the fixes."""

    exit_code = MISUSED

    def __init__(
        self, message: str, *, span: Span | None = None, hint: str = "", fixes: Iterable[Fix] = ()
    ) -> None:
        super().__init__(message, span=span, hint=hint)
        self.fixes = tuple(fixes)


class ErrorGroup(SparqcError):
    """Several errors of one file, shown one after the other."""

    def __init__(self, errors: Iterable[SparqcError]) -> None:
        self.errors = tuple(errors)
        lines = [str(e) for e in self.errors[:SHOWN_ERRORS]]
        more = len(self.errors) - SHOWN_ERRORS
        super().__init__("\n".join([*lines, f"and {more} more"] if more > 0 else lines))
        self.exit_code = max(e.exit_code for e in self.errors)


def closest(word: str, known: Iterable[str]) -> list[str]:
    """The known words that may have been meant, at most three, the closest first."""
    return difflib.get_close_matches(word, sorted(set(known)), n=3, cutoff=0.6)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A hint that names the closest known words, or lists them where they are few.

    >>> did_you_mean("foldd", ["fold", "place"])
    "did you mean 'fold'?"
    """
    known = sorted(set(known))
    if close := closest(word, known):
        return "did you mean " + " or ".join(f"'{c}'" for c in close) + "?"
    return f"known: {', '.join(known)}" if 0 < len(known) <= 24 else ""
