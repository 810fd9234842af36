"""All that is known of one step, and of one line of a graph, as text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sparqc.base.reading import damaged
from sparqc.errors import SparqcError
from sparqc.report.sentence import sentence
from sparqc.tools.page.rule_texts import places_named, rule_texts
from sparqc.tools.page.source_lines import source_lines
from sparqc.tools.runs.folder import RunFolder
from sparqc.tools.runs.graph_lines import GraphLine


def event_detail(event: Mapping[str, Any], run: RunFolder) -> str:
    """What a step did, from which line of the model, by which rule, and that rule's text."""
    return _safely(lambda: _event(event, run))


def line_detail(line: GraphLine, run: RunFolder) -> str:
    """An operator, from which line of the model it comes, and the rules that made it."""
    return _safely(lambda: _line(line, run))


def _safely(lines: Any) -> str:
    try:
        with damaged("this event"):
            return "\n".join(lines())
    except SparqcError as error:
        return str(error)


def _event(event: Mapping[str, Any], run: RunFolder) -> Iterator[str]:
    yield sentence(event)
    for key in ("before", "after", "readers"):
        if event.get(key):
            yield f"{key:<8} {', '.join(event[key])}"
    yield from _from(event.get("module", ""), event.get("source", ""), run)
    yield f"number   {event['seq']}: --limit {max(0, event['seq'] - 1)} ends in front of it"
    yield from _rules([event], [])


def _line(line: GraphLine, run: RunFolder) -> Iterator[str]:
    yield line.code
    yield from _from(line.module, line.source, run)
    for rule in line.rules:
        yield f"by       {rule}"
    yield from _rules([], [{"rules": line.rules}])


def _from(module: str, source: str, run: RunFolder) -> Iterator[str]:
    if module:
        yield f"module   {module}"
    if source:
        asked = run.data.get("request") or {}
        model = str(Path(str(asked.get("folder", "."))) / str(run.data.get("model", "")))
        code = source_lines([source], model).get(source, "")
        yield f"line     {source}" + (f"   {code}" if code else "")


def _rules(events: list[Mapping[str, Any]], lines: list[Mapping[str, Any]]) -> Iterator[str]:
    for place, text in rule_texts(places_named(events, lines)).items():
        yield ""
        yield place
        yield text
