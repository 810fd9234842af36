"""The report as a person reads it: in a terminal, or plain and 100 columns wide in a pipe."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from sparqc.report.adopted import adopted_lines
from sparqc.report.findings import finding_lines
from sparqc.report.ranges import range_line, range_table
from sparqc.report.show import show
from sparqc.report.tables import (
    INT8,
    SPARSE,
    common_reason,
    group_table,
    layer_table,
    other_lines,
    plain_table,
)
from sparqc.report.types import end_lines, type_lines

if TYPE_CHECKING:
    from rich.console import Console

    from sparqc.job.verify import Difference
    from sparqc.report.content import Content

#: Longer models show their layers in groups, unless all are asked for.
MOST_ROWS = 40
#: Columns of the label in front of each line.
_LABEL = 10


def render(report: Content, console: Console, *, verbose: bool = False) -> None:
    """Print the report; `verbose` shows every layer and every quantizer, whatever their number."""
    page = _Page(console)
    _head(report, page)
    page.blank()
    _layers(report, page, verbose)
    page.blank()
    _numbers(report, page)
    _findings(report, page)
    page.blank()
    _passes(report, page)
    page.blank()
    _files(report, page)


class _Page:
    """Lines with a label in front, and tables below."""

    def __init__(self, console: Console) -> None:
        self.console = console

    def line(self, label: str, text: str | Text, style: str = "") -> None:
        """One line, or several: what does not fit goes on below the text, not the label."""
        grid = Table.grid(padding=(0, 0))
        grid.add_column(width=_LABEL, no_wrap=True)
        grid.add_column(overflow="fold")
        grid.add_row(
            Text(label, style="bold"), text if isinstance(text, Text) else Text(text, style)
        )
        show(self.console, grid)

    def lines(self, label: str, texts: Iterable[str]) -> None:
        """Lines below one label; none where there are none."""
        for index, text in enumerate(texts):
            self.line("" if index else label, text)

    def copyable(self, label: str, text: str) -> None:
        """A line that is never broken, because people copy it."""
        words = Text.assemble((f"{label:<{_LABEL}}", "bold"), text)
        show(self.console, words, soft_wrap=True)

    def table(self, table: Table) -> None:
        """A table, moved in a little."""
        show(self.console, Padding(table, (0, 0, 0, 2)))

    def blank(self) -> None:
        """An empty line."""
        show(self.console, "")


# -- the parts ---------------------------------------------------------------------------------


def _head(report: Content, page: _Page) -> None:
    page.lines("result", _warning(report))
    page.line("model", report.model)
    page.line("target", f"{report.target}  (sparqc {report.version})")
    page.line("passes", report.pipeline)
    if report.skipped:
        page.line("skipped", f"{', '.join(report.skipped)}: for PyTorch models only")


def _warning(report: Content) -> Iterator[str]:
    """In front of everything else: that the outputs are not good, and what to do."""
    quality, gap = report.quality, report.difference
    if gap is None or quality.grade not in ("poor", "ruined"):
        return
    yield f"{quality.grade.upper()}: {next(_compared(gap, ''))}"
    for road in quality.roads:
        yield f"try {road.command}: {road.gain}"


def _layers(report: Content, page: _Page, verbose: bool) -> None:
    rows = report.layers
    float_reason = common_reason([row.float_reason for row in rows])
    dense_reason = common_reason([row.dense_reason for row in rows])
    page.line(
        "layers",
        f"{len(rows)} with weights: {report.int8_layers} in INT8{float_reason}, "
        f"{report.sparse_layers} sparse 2:4{dense_reason}",
    )
    if rows:
        verdicts = [*([] if float_reason else [INT8]), *([] if dense_reason else [SPARSE])]
        whole = verbose or len(rows) <= MOST_ROWS
        page.table((layer_table if whole else group_table)(rows, verdicts))
    for line in other_lines(report.others):
        page.line("", line)
    page.lines("adopted", adopted_lines(report.adopted))
    if adds := _adds(report):
        page.line("adds", adds)
    if ranges := range_line(report.quantizers):
        page.line("ranges", ranges)
    if verbose and report.quantizers:
        page.table(range_table(report.quantizers))
    page.lines("types", type_lines(report.types))
    page.lines("ends", end_lines(report.types))


def _numbers(report: Content, page: _Page) -> None:
    for metric in report.metrics:
        change = metric.compiled - metric.original
        page.line(
            "accuracy",
            f"{metric.name}: {figure(metric.original)} -> {figure(metric.compiled)} "
            f"({'+' if change >= 0 else ''}{figure(change, metric.original)})",
        )
    page.line("outputs", _difference(report))
    page.line("verified", _verified(report))
    for note in report.notes:
        page.line("note", note)
    page.lines("unfired", map(str, report.unfired))
    for line in _opaque(report):
        page.line("opaque", line)


def _opaque(report: Content) -> Iterator[str]:
    """The operators that the table did not write, by what became of them."""
    names = {name: f"{name} ({count})" for name, count in sorted(report.opaque.items())}
    passed = [text for name, text in names.items() if name.startswith("onnx.")]
    if passed:
        yield f"{', '.join(passed)}: not in the operator table, passed through as they are"
    alone = [text for name, text in names.items() if not name.startswith("onnx.")]
    if alone:
        reason = "no form in the operator table, each exported by torch.onnx alone"
        yield f"{', '.join(alone)}: {reason}"


def _findings(report: Content, page: _Page) -> None:
    if report.findings is None:
        page.line("checks", "not run, as the pass `check` was not")
        return
    for line in finding_lines(report.findings) or [Text("nothing found")]:
        page.line("checks", line)


def _passes(report: Content, page: _Page) -> None:
    measured = any(row.snr_db is not None for row in report.passes)
    table = plain_table("pass", "changes", "seconds", "CPU s", *(["SNR dB"] if measured else []))
    for column in table.columns[1:]:
        column.justify = "right"
    for row in report.passes:
        drift = [_decibels(row.snr_db)] if measured else []
        changes = f"skipped ({row.skipped})" if row.skipped else str(row.changes)
        table.add_row(row.name, changes, f"{row.seconds:.2f}", f"{row.cpu_seconds:.2f}", *drift)
    page.table(table)
    parts = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in report.phases.items())
    total = f"{sum(report.phases.values()):.1f} s ({parts})"
    cpu = f"; CPU {report.cpu_seconds:.1f} s, imports included" if report.cpu_seconds else ""
    page.line("time", f"{total}{cpu}")


def _files(report: Content, page: _Page) -> None:
    page.lines("written", [*map(str, report.files)] or ["nothing yet: save(path) writes the file"])
    sizes = report.sizes
    if sizes.float_bytes:
        share = 100 * sizes.file_bytes / sizes.float_bytes
        page.line(
            "size",
            f"{size_text(sizes.file_bytes)}; the parameters in FP32: "
            f"{size_text(sizes.float_bytes)} ({share:.0f} %)",
        )
    if report.build_line:
        page.copyable("build", report.build_line)


# -- words -------------------------------------------------------------------------------------


def _adds(report: Content) -> str:
    adds = report.adds
    if not (adds.one or adds.both):
        return ""  # nothing was quantized
    parts = {
        "one input": adds.one,
        "both inputs": adds.both,
        "no input": adds.none,
    }
    found = [f"{count} read {what} as INT8" for what, count in parts.items() if count]
    return ", ".join(found)


def figure(value: float, scale: float | None = None) -> str:
    """Two decimals where the numbers are percentages or larger, else four digits."""
    return f"{value:.2f}" if abs(value if scale is None else scale) >= 1 else f"{value:.4g}"


def size_text(size: int) -> str:
    """`85.1 kB`, `102.3 MB`."""
    return f"{size / 1e3:.1f} kB" if size < 1e6 else f"{size / 1e6:.1f} MB"


def _decibels(snr: float | None) -> str:
    if snr is None:
        return "-"
    return "equal" if snr == float("inf") else "-" if math.isnan(snr) else f"{snr:.1f}"


def _difference(report: Content) -> str:
    gap = report.difference
    if gap is None:
        return "not compared: there are no example inputs"
    others = [f"{name} is of another size, on which its numbers decide" for name in gap.other_sizes]
    return "; ".join([*_compared(gap, report.quality.grade), *others])


def _compared(gap: Difference, grade: str) -> Iterator[str]:
    word = f": {grade}" if grade else ""
    codes = None if gap.equal_share is None else f"{100 * gap.equal_share:.4g} % of the integers"
    if gap.snr_db == float("inf") and gap.equal_share in (None, 1.0):
        yield "equal to the original's on the example inputs"
        return
    if math.isnan(gap.snr_db):
        if codes:
            yield f"{codes} are the original's on the example inputs{word}"
        return
    if gap.snr_db == float("inf"):
        yield "the floats are equal to the original's on the example inputs"
        yield f"{codes} are"
        return
    share = f"{100 * gap.max_relative:.2g} %" if gap.max_relative < 10 else "many times the size"
    yield f"{gap.snr_db:.1f} dB signal-to-noise against the original on the example inputs{word}"
    yield f"the largest difference is {gap.max_abs:.3g}, {share} of the largest value"
    if codes:
        yield f"{codes} are the original's"


def _verified(report: Content) -> str:
    """What was held to its word."""
    if report.quality.unverified:
        return f"not: the graph does not run on a sample ({report.quality.unverified})"
    count = report.quality.verified
    if count == 1:
        return "1 operator that a pass changed gives on a sample what it gave before"
    return f"{count} operators that passes changed give on a sample what they gave before"
