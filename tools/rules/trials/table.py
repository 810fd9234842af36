"""The table of `rules test`."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from sparqc.tools.rules.trials.outcome import Outcome


def table_of(outcomes: Sequence[Outcome]) -> Table:
    """Rule, instances, fired, wrong, mutants, killed."""
    table = Table(box=None, pad_edge=False)
    for title in ("rule", "instances", "fired", "wrong", "mutants", "killed", "kept for a reason"):
        table.add_column(title, no_wrap=True, justify="left" if title == "rule" else "right")
    for outcome in outcomes:
        killed = outcome.mutants - len(outcome.survivors)
        kept = sum(bool(s.reason) for s in outcome.survivors)
        numbers = (
            outcome.instances, outcome.fired, outcome.wrong, outcome.mutants, killed, kept,
        )  # fmt: skip
        table.add_row(outcome.rule.name, *map(str, numbers))
    return table


def kept_lines(outcomes: Sequence[Outcome]) -> list[str]:
    """Each condition that stays for a reason, with it."""
    return [
        f"{o.rule.name} keeps `{s.mutant.without}`: {s.reason}"
        for o in outcomes
        for s in o.survivors
        if s.reason
    ]
