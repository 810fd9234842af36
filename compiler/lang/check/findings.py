"""What a check finds: errors, and warnings, which do not stop a file from being used."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sparqc.errors import PatternError

#: What every check yields.
Findings = Iterator[PatternError]


class PatternWarning(PatternError):
    """Something in a pattern file that may be meant, but probably is not."""

    def __str__(self) -> str:
        where = f"{self.span}: " if self.span else ""
        return f"{where}warning: {super().__str__().removeprefix(where)}"


def failures(findings: Iterable[PatternError]) -> list[PatternError]:
    """The findings that are errors."""
    return [f for f in findings if not isinstance(f, PatternWarning)]


def in_order(findings: Iterable[PatternError]) -> list[PatternError]:
    """The findings by their place, each once."""
    unique = {(f.message, f.span): f for f in findings}.values()
    return sorted(unique, key=_place)


def _place(finding: PatternError) -> tuple[str, int, int]:
    span = finding.span
    return (span.file, span.line, span.column) if span else ("", 0, 0)
