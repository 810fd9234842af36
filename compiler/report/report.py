"""The report on one compile: its values, and how it shows itself."""

from __future__ import annotations

import io

from sparqc.report.content import Content
from sparqc.report.notebook import html_of
from sparqc.report.show import plain_console
from sparqc.report.text import render


class Report(Content):
    """All that a person may want to know of one compile.

    `str()` is the page that the command line prints, 100 columns wide; a notebook shows it in
    colour.  `to_json()` is what `sparqc compile --json` prints.
    """

    def __str__(self) -> str:
        stream = io.StringIO()
        render(self, plain_console(stream))
        return stream.getvalue().rstrip("\n")

    def __repr__(self) -> str:
        """One line: whole pages are for `print`."""
        parts = [
            f"{self.int8_layers} of {len(self.layers)} layers in INT8",
            f"{self.sparse_layers} sparse 2:4",
        ]
        if self.quality.grade:
            parts.append(f"the outputs are {self.quality.grade}")
        return f"<Report on {self.model} for {self.target}: {', '.join(parts)}>"

    def _repr_html_(self) -> str:
        return html_of(self)
