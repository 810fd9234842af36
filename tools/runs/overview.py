"""`sparqc inspect run/`: a line for each pass."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from sparqc.tools.runs.folder import SCHEMA, RunFolder


def overview(run: RunFolder) -> dict[str, Any]:
    """What happened, as plain data: a row for each pass, with what it did."""
    return {
        "schema": SCHEMA,
        "model": run.data.get("model", ""),
        "target": (run.data.get("report") or {}).get("target") or run.data.get("target", ""),
        "error": run.data.get("error", ""),
        "passes": list(_rows(run)),
    }


def _rows(run: RunFolder) -> Iterator[dict[str, Any]]:
    files = {stage.number: stage.path.name for stage in run.stages}
    told = (run.data.get("report") or {}).get("passes") or []
    for number, found in enumerate(run.by_pass, 1):
        event = found.event
        if event is None:
            continue
        row = told[number - 1] if number <= len(told) else {}
        rules = Counter(step["rule"] for step in found.steps if step["kind"] == "rule")
        decisions = Counter(step["what"] for step in found.steps if step["kind"] == "decision")
        yield {
            "number": number,
            "pass": event["pass"],
            "skipped": event.get("skipped", ""),
            "operators": event.get("nodes", [0, 0]),
            "changes": event.get("changes", 0),
            "rules": dict(rules),
            "decisions": dict(decisions),
            "snr_db": row.get("snr_db") if row.get("name") == event["pass"] else None,
            "seconds": event.get("seconds", 0.0),
            "graph": files.get(number),
        }


def heading(found: dict[str, Any]) -> str:
    """`model.py for tensorrt-11`; a run that failed may not say the target."""
    return " for ".join(filter(None, map(str, (found["model"], found["target"]))))


def overview_text(found: dict[str, Any]) -> None:
    """Print it."""
    from rich.text import Text

    from sparqc.report.show import show
    from sparqc.report.tables import plain_table
    from sparqc.tools.terminal.console import stdout_console

    table = plain_table("", "pass", "operators", "changes", "rules and decisions", "dB", "seconds")
    for column in (0, 2, 3, 5, 6):
        table.columns[column].justify = "right"
        table.columns[column].no_wrap = True
    for row in found["passes"]:
        before, after = row["operators"]
        done = [f"{count} {name}" for name, count in [*row["rules"].items(), *_done(row)]]
        decibels = row["snr_db"]
        cells = (
            f"{row['number']:02}" if row["graph"] else "",
            row["pass"],
            str(after) if before == after else f"{before} > {after}",
            str(row["changes"]),
            row["skipped"] or ", ".join(done) or "-",
            "-" if decibels is None else f"{decibels:.1f}",
            f"{row['seconds']:.2f}",
        )
        table.add_row(*map(Text, cells))
    error = [Text(f"error: {found['error']}")] if found["error"] else []
    show(stdout_console(), Text(heading(found)), *error, table)


def _done(row: dict[str, Any]) -> list[tuple[str, int]]:
    return list(row["decisions"].items())
