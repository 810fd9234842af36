"""The golden table of docs/survival.md: every tool on every network, for each form of weights."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from tests.survival.networks import NETWORKS
from tests.survival.other_tools import TOOLS, OtherTool
from tests.survival.outcome import FORMS, Outcome, State, outcome

PAGE = Path(__file__).parents[2] / "docs" / "survival.md"
BEGIN, END = "<!-- table: python benchmarks/survival_table.py -->\n", "<!-- end of the table -->\n"
HEAD = (
    "other tool", "version", "file", "INT8 layers", "2:4 layers", "INT8 in TensorRT-RTX",
    "`sparqc check` finds", "verdict",
)  # fmt: skip
#: From the best to the worst.
VERDICTS = ("safe", "mendable", "unsafe")


def table() -> str:
    """The table as Markdown, a row for each tool and form."""
    rows = [row(tool, form) for tool in TOOLS for form in FORMS]
    return "".join(_line(cells) for cells in (HEAD, ["---"] * len(HEAD), *rows))


def row(tool: OtherTool, form: str) -> list[str]:
    """One tool on all networks, compiled with the weights in one form."""
    outcomes = [outcome(tool, network, form) for network in NETWORKS]
    written = [o for o in outcomes if o.after is not None]
    states = [(o.before, o.after) for o in written if o.after is not None]
    return [
        tool.name,
        tool.version,
        form,
        _arrow((before.int8, after.int8) for before, after in states),
        _arrow((before.sparse, after.sparse) for before, after in states),
        _rtx(states),
        _findings(written),
        _verdict(outcomes, written),
    ]


def page(text: str) -> str:
    """The page with its table made anew."""
    head, rest = text.split(BEGIN)
    return head + BEGIN + table() + END + rest.split(END)[1]


def _arrow(pairs: Iterable[tuple[int, int]]) -> str:
    before, after = (sum(numbers) for numbers in zip(*pairs, strict=True))
    return f"{before} → {after}"


def _rtx(states: Sequence[tuple[State, State]]) -> str:
    refused = sum(after.rtx_int8 is None for _, after in states)
    counts = ((len(before.rtx_int8 or ()), len(after.rtx_int8 or ())) for before, after in states)
    return _arrow(counts) + (f", refuses {refused} of {len(states)} files" if refused else "")


def _findings(written: Iterable[Outcome]) -> str:
    return ", ".join(sorted({id for done in written for id in done.found})) or "nothing"


def _verdict(outcomes: Sequence[Outcome], written: Sequence[Outcome]) -> str:
    """The worst of all networks, and on how many the tool gives up."""
    worst = max((o.verdict for o in written), key=VERDICTS.index)
    gave_up = len(outcomes) - len(written)
    return worst + (f"; gives up on {gave_up} of {len(outcomes)} files" if gave_up else "")


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |\n"
