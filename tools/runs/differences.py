"""`sparqc diff`: two graphs of one run, or two runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import zip_longest
from typing import Any

import click

from sparqc.base.text import shortened
from sparqc.errors import NO, UsageError
from sparqc.tools.runs.folder import SCHEMA, RunFolder, StageFile, open_run
from sparqc.tools.terminal import completion


@click.command("diff")
@click.argument("run", shell_complete=completion.folders)
@click.argument(
    "others", nargs=-1, required=True, metavar="OTHER | PASS PASS",
    shell_complete=completion.folders,
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print the differences as JSON.")
def diff_command(run: str, others: tuple[str, ...], as_json: bool) -> None:
    """Compare two graphs of a run directory (RUN 03 place), or two runs (RUN OTHER).

    Exit code 1 where they differ.
    """
    first = open_run(run)
    if len(others) == 1:
        found = between_runs(first, open_run(others[0]))
    elif len(others) == 2:
        stages = first.stage(others[0]), first.stage(others[1])
        found = {"schema": SCHEMA, **between_graphs(*stages)}
    else:
        raise UsageError("diff takes two runs, or a run and two of its graphs")
    if as_json:
        import json

        click.echo(json.dumps(found, indent=2))
    else:
        click.echo("\n".join(lines_of(found)))
    if found["changes"] or found.get("settings"):
        raise click.exceptions.Exit(NO)


def between_graphs(before: StageFile, after: StageFile) -> dict[str, Any]:
    """What is another in one graph than in the other, as plain data.

    Raises PatternError, with the place, where one of them is no graph text.
    """
    from sparqc.ir.text.parse import parse_graph
    from sparqc.pipeline.decisions.changes import changes
    from sparqc.pipeline.decisions.outline import Outline

    found: list[dict[str, Any]] = []
    if before.text != after.text:
        graphs = [parse_graph(stage.text, file=str(stage.path)) for stage in (before, after)]
        outlines = [Outline.of(graph) for graph in graphs]
        for change in changes(outlines[0], outlines[1]):
            found.append(
                {
                    "what": change.what,
                    "name": change.subject,
                    "removed": change.removed,
                    "added": change.added,
                    "set": sorted(change.constants),
                    "altered": change.altered,
                    "rewired": [
                        {"node": r.node, "slot": r.slot, "before": r.before, "after": r.after}
                        for r in change.rewired
                    ],
                }
            )
    return {"before": str(before.path), "after": str(after.path), "changes": found}


def between_runs(first: RunFolder, second: RunFolder) -> dict[str, Any]:
    """The first graph in which two runs differ, and in what; what else they were asked for."""
    names = ("model", "passes", "target", "versions")
    settings = {
        name: [run.data.get(name) for run in (first, second)]
        for name in names
        if first.data.get(name) != second.data.get(name)
    }
    differ = next(
        (pair for pair in zip_longest(first.stages, second.stages) if not _alike(*pair)), None
    )
    found: dict[str, Any] = {"before": str(first.last.path), "after": str(second.last.path)}
    found["changes"] = []
    if differ is not None:
        before = differ[0] or first.last
        after = differ[1] or second.last
        if before.level == after.level:
            found = between_graphs(before, after)
        found["first"] = [before.title, after.title]
        found["changes"] = found.get("changes") or [
            {"what": "replace", "name": f"{before.title} and {after.title}"}
        ]
    return {"schema": SCHEMA, "settings": settings, **found}


def _alike(first: StageFile | None, second: StageFile | None) -> bool:
    if first is None or second is None:
        return False
    return first.path.name == second.path.name and first.text == second.text


def lines_of(found: Mapping[str, Any]) -> Iterator[str]:
    """It for a person."""
    for name, (one, other) in (found.get("settings") or {}).items():
        yield f"{name}: {one} | {other}"
    if not found["changes"]:
        yield "the graphs are the same"
        return
    if "first" in found:
        yield "the first graphs that differ: " + " | ".join(found["first"])
    for change in found["changes"]:
        yield f"{change['what']:8}{change['name']}"
        for mark, key in (("-", "removed"), ("+", "added"), ("~", "set"), ("~", "altered")):
            if change.get(key):
                yield f"  {mark} {shortened(change[key], 8)}"
        for slot in change.get("rewired", ()):
            where = f"{slot['node']}.{slot['slot']}" if slot["node"] else f"output {slot['slot']}"
            yield f"  {where}: {_read(slot['before'])} -> {_read(slot['after'])}"


def _read(names: Any) -> str:
    return "none" if names is None else names if isinstance(names, str) else f"[{', '.join(names)}]"
