"""The report as a person reads it: in a terminal, or plain and 100 columns wide in a pipe."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from sparqc.tools.console import show

if TYPE_CHECKING:
    from rich.console import Console

    from sparqc.passes.check import Finding
    from sparqc.tools.report import Report
    from sparqc.tools.report_layers import LayerRow, OtherRow

#: Longer models show their layers in groups, unless all are asked for.
MOST_ROWS = 40
#: How many members of a group are named.
NAMED = 3

_LABEL = 10
#: The grades of findings, the worst first, and how each is shown.
_STYLES = {"error": "bold red", "slow": "yellow", "note": "dim"}


def render(report: Report, console: Console, *, verbose: bool = False) -> None:
    """Print the report; `verbose` shows every layer and every pass whatever their number."""
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


def _head(report: Report, page: _Page) -> None:
    page.line("model", report.model)
    page.line("target", f"{report.target}  (sparqc {report.version})")
    page.line("passes", report.pipeline)
    if report.skipped:
        page.line("skipped", f"{', '.join(report.skipped)}: for PyTorch models only")


def _layers(report: Report, page: _Page, verbose: bool) -> None:
    rows = report.layers
    float_reason = common_reason([row.float_reason for row in rows])
    dense_reason = common_reason([row.dense_reason for row in rows])
    page.line(
        "layers",
        f"{len(rows)} with weights: {report.int8_layers} in INT8{float_reason}, "
        f"{report.sparse_layers} sparse 2:4{dense_reason}",
    )
    if rows:
        verdicts = [*([] if float_reason else [_int8]), *([] if dense_reason else [_sparse])]
        whole = verbose or len(rows) <= MOST_ROWS
        page.table((_layer_table if whole else _group_table)(rows, verdicts))
    for line in _other_lines(report.others):
        page.line("", line)
    if adds := _adds(report):
        page.line("adds", adds)


def common_reason(reasons: Sequence[str]) -> str:
    """` (reason)` where all layers have the same one, which then needs no column."""
    return f" ({reasons[0]})" if len(set(reasons)) == 1 and reasons[0] else ""


def _numbers(report: Report, page: _Page) -> None:
    for metric in report.metrics:
        change = metric.compiled - metric.original
        page.line(
            "accuracy",
            f"{metric.name}: {figure(metric.original)} -> {figure(metric.compiled)} "
            f"({'+' if change >= 0 else ''}{figure(change, metric.original)})",
        )
    page.line("outputs", _difference(report))
    for note in report.notes:
        page.line("note", note)
    if report.opaque:
        names = ", ".join(f"{name} ({count})" for name, count in sorted(report.opaque.items()))
        page.line("opaque", f"{names}: not in the operator table, passed through as they are")


def _findings(report: Report, page: _Page) -> None:
    for line in finding_lines(report.findings) or [Text("nothing found")]:
        page.line("checks", line)


def finding_lines(findings: Sequence[Finding]) -> list[Text]:
    """Findings by grade, the worst first; those of one check share their cure."""
    groups: dict[tuple[str, str, str], list[str]] = {}
    for grade in _STYLES:
        for f in (f for f in findings if f.grade == grade):
            groups.setdefault((f.grade, f.id, f.cure), []).append(f.message)
    return [_finding_line(*key, messages) for key, messages in groups.items()]


def _finding_line(grade: str, id: str, cure: str, messages: Sequence[str]) -> Text:
    shown = messages if len(messages) <= NAMED else messages[:1]
    more = f", and {len(messages) - 1} more like it" if len(messages) > len(shown) else ""
    advice = f"\n  {cure}" if cure else ""
    return Text.assemble((grade, _STYLES[grade]), f" {id}: {'; '.join(shown)}{more}{advice}")


def _passes(report: Report, page: _Page) -> None:
    measured = any(row.snr_db is not None for row in report.passes)
    table = _plain_table("pass", "changes", "seconds", "CPU s", *(["SNR dB"] if measured else []))
    for column in table.columns[1:]:
        column.justify = "right"
    for row in report.passes:
        drift = [_decibels(row.snr_db)] if measured else []
        changes = f"skipped ({row.skipped})" if row.skipped else str(row.changes)
        table.add_row(row.name, changes, f"{row.seconds:.2f}", f"{row.cpu_seconds:.2f}", *drift)
    page.table(table)
    parts = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in report.phases.items())
    total = f"{sum(report.phases.values()):.1f} s ({parts})"
    page.line("time", f"{total}; CPU {report.cpu_seconds:.1f} s, imports included")


def _files(report: Report, page: _Page) -> None:
    for path in report.files:
        page.line("written", str(path))
    sizes = report.sizes
    if sizes.float_bytes:
        share = 100 * sizes.file_bytes / sizes.float_bytes
        page.line(
            "size",
            f"{size_text(sizes.file_bytes)}; the parameters in FP32: "
            f"{size_text(sizes.float_bytes)} ({share:.0f} %)",
        )
    page.copyable("build", report.build_line)


# -- layers ------------------------------------------------------------------------------------


def _plain_table(*titles: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for title in titles:
        table.add_column(title, overflow="fold")
    return table


def _layer_table(rows: Sequence[LayerRow], verdicts: Sequence[Verdict]) -> Table:
    table = _plain_table("layer", "operator", "weight", *(v.title for v in verdicts))
    table.columns[1].no_wrap = table.columns[2].no_wrap = True
    for row in rows:
        cells = (verdict.of(row) for verdict in verdicts)
        table.add_row(row.name, operator_text(row.op), shape_text(row.shape), *cells)
    return table


@dataclass(frozen=True)
class Verdict:
    """A column of the table: what is said of a layer."""

    title: str
    of: Callable[[LayerRow], Text]


_int8 = Verdict("INT8", lambda r: _yes("INT8") if r.int8 else _no(f"float: {r.float_reason}"))
_sparse = Verdict("2:4", lambda r: _yes("2:4") if r.sparse else _no(f"dense: {r.dense_reason}"))


def _yes(text: str) -> Text:
    return Text(text, style="green")


def _no(text: str) -> Text:
    return Text(text, style="yellow")


def _group_table(rows: Sequence[LayerRow], verdicts: Sequence[Verdict]) -> Table:
    """Layers that fared alike in one row, the most common fate first."""
    groups: dict[tuple[str, ...], list[LayerRow]] = {}
    for row in rows:
        fate = (operator_text(row.op), *(verdict.of(row).plain for verdict in verdicts))
        groups.setdefault(fate, []).append(row)
    table = _plain_table("", "operator", *(v.title for v in verdicts), "layers")
    table.columns[0].justify = "right"
    for fate, members in sorted(groups.items(), key=lambda item: -len(item[1])):
        cells = (verdict.of(members[0]) for verdict in verdicts)
        names = shortened([m.name for m in members])
        table.add_row(str(len(members)), fate[0], *cells, names)
    return table


def _other_lines(rows: Sequence[OtherRow]) -> Iterator[str]:
    """`without weights: max_pool (1) INT8`, and a line for each reason against it."""
    groups: dict[str, list[OtherRow]] = {}
    for row in rows:
        fate = "INT8" if row.int8 else f"float: {row.float_reason}"
        groups.setdefault(fate, []).append(row)
    for fate, members in groups.items():
        yield f"without weights: {_counted(operator_text(m.op) for m in members)} {fate}"


def _adds(report: Report) -> str:
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


# -- words -------------------------------------------------------------------------------------


def operator_text(op: str) -> str:
    """`conv` for `nn.conv`; other names as they are."""
    return op.removeprefix("nn.")


def shape_text(shape: Sequence[int]) -> str:
    """`64x3x7x7`."""
    return "x".join(map(str, shape))


def shortened(names: Sequence[str]) -> str:
    """The first few names, and how many more there are."""
    rest = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {rest} more" if rest > 0 else "")


def _counted(names: Iterable[str]) -> str:
    counts: dict[str, int] = {}
    for name in names:
        counts[name] = counts.get(name, 0) + 1
    return _list(counts)


def _list(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items())


def figure(value: float, scale: float | None = None) -> str:
    """Two decimals where the numbers are percentages or larger, else four digits."""
    return f"{value:.2f}" if abs(value if scale is None else scale) >= 1 else f"{value:.4g}"


def size_text(size: int) -> str:
    """`85.1 kB`, `102.3 MB`."""
    return f"{size / 1e3:.1f} kB" if size < 1e6 else f"{size / 1e6:.1f} MB"


def _decibels(snr: float | None) -> str:
    if snr is None:
        return "-"
    return "equal" if snr == float("inf") else f"{snr:.1f}"


def _difference(report: Report) -> str:
    gap = report.difference
    if gap is None:
        return "not compared: there are no example inputs"
    if gap.snr_db == float("inf"):
        return "equal to the original's on the example inputs"
    share = f"{100 * gap.max_relative:.2g} %" if gap.max_relative < 10 else "many times the size"
    return (
        f"{gap.snr_db:.1f} dB signal-to-noise against the original on the example inputs; the "
        f"largest difference is {gap.max_abs:.3g}, {share} of the largest value"
    )
