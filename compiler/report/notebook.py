"""A report in a notebook: the page of the terminal, in its colours."""

from __future__ import annotations

import io

from rich.console import Console
from rich.text import Text

from sparqc.report.content import Content
from sparqc.report.text import render

_BLOCK = '<pre style="white-space: pre; overflow-x: auto; line-height: 1.3">{code}</pre>'
#: Columns; the line to copy is longer, and scrolls.
_WIDTH = 120


def html_of(report: Content) -> str:
    """One `pre` element; whatever stands in names is text in it."""
    written = io.StringIO()
    render(report, _console(written))
    page = _console(io.StringIO(), record=True)
    page.print(Text.from_ansi(written.getvalue()), soft_wrap=True)
    return page.export_html(inline_styles=True, code_format=_BLOCK)


def _console(stream: io.StringIO, *, record: bool = False) -> Console:
    return Console(
        file=stream, record=record, width=_WIDTH, highlight=False, markup=False, emoji=False,
        force_terminal=True, force_jupyter=False, color_system="standard",
    )  # fmt: skip
