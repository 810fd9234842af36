"""The tables of layers in the report: one row each, or one for all that fared alike."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from sparqc.base.text import shortened

if TYPE_CHECKING:
    from sparqc.report.layers import LayerRow, OtherRow


def common_reason(reasons: Sequence[str]) -> str:
    """` (reason)` where all layers have the same one, which then needs no column."""
    return f" ({reasons[0]})" if len(set(reasons)) == 1 and reasons[0] else ""


def plain_table(*titles: str) -> Table:
    """A table without lines."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for title in titles:
        table.add_column(title, overflow="fold")
    return table


def layer_table(rows: Sequence[LayerRow], columns: Sequence[LayerColumn]) -> Table:
    """A row for each layer."""
    table = plain_table("layer", "operator", "weight", *(c.title for c in columns))
    table.columns[1].no_wrap = table.columns[2].no_wrap = True
    for row in rows:
        cells = (column.of(row) for column in columns)
        table.add_row(row.title, operator_text(row.op), shape_text(row.shape), *cells)
    return table


@dataclass(frozen=True)
class LayerColumn:
    """A column of the table: what is said of a layer."""

    title: str
    of: Callable[[LayerRow], Text]


INT8 = LayerColumn("INT8", lambda r: _yes("INT8") if r.int8 else _no(f"float: {r.float_reason}"))
SPARSE = LayerColumn("2:4", lambda r: _yes("2:4") if r.sparse else _no(f"dense: {r.dense_reason}"))


def _yes(text: str) -> Text:
    return Text(text, style="green")


def _no(text: str) -> Text:
    return Text(text, style="yellow")


def group_table(rows: Sequence[LayerRow], columns: Sequence[LayerColumn]) -> Table:
    """Layers that fared alike in one row, the most common fate first."""
    groups: dict[tuple[str, ...], list[LayerRow]] = {}
    for row in rows:
        key = (operator_text(row.op), *(column.of(row).plain for column in columns))
        groups.setdefault(key, []).append(row)
    table = plain_table("", "operator", *(c.title for c in columns), "layers")
    table.columns[0].justify = "right"
    for key, members in sorted(groups.items(), key=lambda item: -len(item[1])):
        cells = (column.of(members[0]) for column in columns)
        names = shortened([m.title for m in members])
        table.add_row(str(len(members)), key[0], *cells, names)
    return table


def other_lines(rows: Sequence[OtherRow]) -> Iterator[str]:
    """`without weights: max_pool (1) INT8`, and a line for each reason against it."""
    groups: dict[str, list[OtherRow]] = {}
    for row in rows:
        fate = "INT8" if row.int8 else f"float: {row.float_reason}"
        groups.setdefault(fate, []).append(row)
    for fate, members in groups.items():
        yield f"without weights: {_counted(operator_text(m.op) for m in members)} {fate}"


def operator_text(op: str) -> str:
    """`conv` for `nn.conv`; other names as they are."""
    return op.removeprefix("nn.")


def shape_text(shape: Sequence[int]) -> str:
    """`64x3x7x7`."""
    return "x".join(map(str, shape))


def _counted(names: Iterable[str]) -> str:
    counts: dict[str, int] = {}
    for name in names:
        counts[name] = counts.get(name, 0) + 1
    return _list(counts)


def _list(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items())
