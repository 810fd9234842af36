"""Where the seconds of a run went: as a tree, and as a trace file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from sparqc.tools.runs.folder import RunFolder

#: The event of a pass, and those of its rules.
_Pass = tuple[dict[str, Any], list[dict[str, Any]]]


def time_tree(run: RunFolder) -> Iterator[str]:
    """The phases, the passes below the compile, and the rules below their pass, in seconds."""
    phases = (run.data.get("report") or {}).get("seconds")
    told = phases if isinstance(phases, dict) else {}
    passes = list(_passes(run))
    total = sum(told.values()) or sum(event["seconds"] for event, _ in passes)
    yield f"{total:9.2f}  all"
    for name in told or {"compiling": 0.0}:
        seconds = told.get(name, total)
        yield f"{seconds:9.2f}    {name}"
        if name == "compiling":
            yield from _tree_of(passes, seconds)


def _tree_of(
    passes: list[tuple[dict[str, Any], list[dict[str, Any]]]], whole: float
) -> Iterator[str]:
    for event, rules in passes:
        yield f"{event['seconds']:9.2f}      {event['pass']}"
        seconds, counts = Counter[str](), Counter[str]()
        for rule in rules:
            seconds[rule["rule"]] += rule.get("seconds", 0.0)
            counts[rule["rule"]] += 1
        for name, spent in seconds.most_common():
            yield f"{spent:9.2f}        {name}, {counts[name]} times"
    rest = whole - sum(event["seconds"] for event, _ in passes)
    if rest > 0:
        yield f"{rest:9.2f}      writing and comparing, between and behind the passes"


def _passes(run: RunFolder) -> Iterator[_Pass]:
    for found in run.by_pass:
        if found.event is not None and not found.event.get("skipped"):
            yield found.event, [step for step in found.steps if step["kind"] == "rule"]


def chrome_trace(run: RunFolder) -> dict[str, Any]:
    """The passes and rule applications in the Trace Event Format, which Perfetto opens: complete
    events ("X") with begin and duration in microseconds; decisions as instants at the end of their
    pass."""
    events: list[dict[str, Any]] = [_name("process_name", f"sparqc {run.data.get('model', '')}")]
    waiting: list[dict[str, Any]] = []
    for event in run.events:
        if event["kind"] == "decision":
            waiting.append(event)
            continue
        begin, spent = 1e6 * event.get("at", 0.0), 1e6 * event.get("seconds", 0.0)
        name = event["rule"] if event["kind"] == "rule" else event["pass"]
        keys = ("seq", "changes", "nodes", "span", "before", "after", "module", "source", "skipped")
        told = {key: event[key] for key in keys if event.get(key) not in (None, "", [])}
        events.append(_event(name, event["kind"], begin, spent, told))
        if event["kind"] == "pass":
            for made in waiting:
                told = {key: made[key] for key in ("seq", "by", "after", "reason") if made.get(key)}
                title = f"{made.get('what', '')} {made.get('name', '')}"
                instant = _event(title, "decision", begin + spent, 0.0, told)
                events.append({**instant, "ph": "i", "s": "t"})
            waiting = []
    return {"traceEvents": events, "displayTimeUnit": "ms"}


def _event(
    name: str, kind: str, begin: float, spent: float, told: dict[str, Any]
) -> dict[str, Any]:
    return {
        "name": name, "cat": kind, "ph": "X", "ts": begin, "dur": spent, "pid": 1, "tid": 1,
        "args": told,
    }  # fmt: skip


def _name(kind: str, name: str) -> dict[str, Any]:
    return {"name": kind, "ph": "M", "pid": 1, "tid": 1, "args": {"name": name}}
