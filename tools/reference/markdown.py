"""Pieces of Markdown that generated pages are made of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def cell(text: str) -> str:
    """A text inside of a table."""
    return text.replace("|", "\\|").replace("\n", " ")


def code(text: str, language: str = "") -> str:
    """A block of code, with the indentation that all of its lines have taken away."""
    lines = text.strip("\n").splitlines()
    indent = min((len(line) - len(line.lstrip()) for line in lines if line.strip()), default=0)
    body = "\n".join(line[indent:] for line in lines)
    return f"```{language}\n{body}\n```"


def table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; its cells are Markdown."""
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join(f"| {' | '.join(map(cell, line))} |" for line in lines)


def listed(words: Iterable[str]) -> str:
    """`a`, `b`: each word as code."""
    return ", ".join(f"`{word}`" for word in words)


def generated(command: str) -> str:
    """The first line of a page that a command writes."""
    return f"<!-- written by `{command}`; do not edit -->"
