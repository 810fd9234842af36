"""A run directory, read with care: anybody may have written, cut or changed it."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from sparqc.errors import UsageError

#: What makes a directory a run.
MARK = "run.json"
#: The page that shows it.
PAGE = "report.html"
#: The version of what stands in a run, as docs/runs.md says it: another one is refused.
SCHEMA = 1

_STAGE = re.compile(r"(\d+)-(.+)\.(fx|onnx)\.txt")
_KINDS = {"pass", "rule", "decision"}
_AGAIN = "write it anew: sparqc compile MODEL -o FILE --dump DIR"


@dataclass(frozen=True)
class StageFile:
    """The graph as it was read (0), or behind a pass that changed it."""

    number: int
    name: str
    level: str
    path: Path

    @property
    def title(self) -> str:
        """`08 place`."""
        return f"{self.number:02} {self.name}"

    @property
    def file(self) -> str:
        """Where it lies in the run directory."""
        return f"graphs/{self.path.name}"

    @cached_property
    def text(self) -> str:
        """The graph as text; UsageError where it is none."""
        return _read(self.path)


@dataclass(frozen=True)
class PassEvents:
    """A pass, and what it did."""

    #: None for what a pass did that did not come to its end.
    event: dict[str, Any] | None
    #: Rule applications and decisions, in order.
    steps: list[dict[str, Any]]


@dataclass(frozen=True)
class RunFolder:
    """What a run left behind."""

    path: Path
    data: dict[str, Any]
    stages: Sequence[StageFile]
    #: Whether a person said that the Python which it names may be run, whoever wrote it.
    is_trusted: bool = False

    @cached_property
    def events(self) -> list[dict[str, Any]]:
        """The events in order, as plain data; UsageError, with the line, for what is none."""
        path = self.path / "events.jsonl"
        return [
            _event(line, f"{path}:{number}")
            for number, line in enumerate(_read(path).splitlines(), 1)
        ]

    @property
    def passes(self) -> list[dict[str, Any]]:
        """The passes that ran or were skipped, in order."""
        return [event for event in self.events if event["kind"] == "pass"]

    @property
    def by_pass(self) -> list[PassEvents]:
        """The passes that ran or were skipped, each with its steps, in order."""
        found: list[PassEvents] = []
        steps: list[dict[str, Any]] = []
        for event in self.events:
            if event["kind"] == "pass":
                found.append(PassEvents(event, steps))
                steps = []
            else:
                steps.append(event)
        return [*found, *([PassEvents(None, steps)] if steps else [])]

    @property
    def page(self) -> Path:
        """The page that shows the run; UsageError where there is none."""
        page = self.path / PAGE
        if not page.is_file():
            raise UsageError(f"{self.path} has no {PAGE}", hint=_AGAIN)
        return page

    @property
    def last(self) -> StageFile:
        """The graph as the run left it."""
        return self.stages[-1]

    def stage(self, word: str) -> StageFile:
        """The graph behind a pass, by its number or its name: `03`, `place`; the last of a name.

        Behind a pass that changed nothing it is the one before.  UsageError where there is none.
        """
        if word.isdigit():
            before = [s for s in self.stages if s.number <= int(word)]
            if int(word) <= len(self.passes) and before:
                return before[-1]
        named = [s for s in self.stages if word in (s.name, s.path.name, s.title)]
        if named:
            return named[-1]
        numbers = [n for n, e in enumerate(self.passes, 1) if e["pass"] == word]
        if numbers:
            return self.stage(str(numbers[-1]))
        known = ", ".join(stage.title for stage in self.stages)
        raise UsageError(f"{self.path} has no graph {word!r}", hint=f"there are: {known}")


def is_run(path: str | Path) -> bool:
    """Whether a person's word names a directory that is no model, and so may be a run."""
    return Path(path).is_dir()


def require_run(option: str, is_set: bool) -> None:
    """Raises UsageError for an option that speaks of run directories alone."""
    if is_set:
        raise UsageError(f"{option} is for a run directory, as --dump writes it")


def open_run(path: str | Path, *, trust: bool = False) -> RunFolder:
    """The run in a directory.

    Raises UsageError where it is none, is of another version, or has lost what belongs to it.
    """
    folder = Path(path)
    if not folder.is_dir():
        raise UsageError(f"{folder} is no directory", hint=_AGAIN)
    mark = folder / MARK
    if not mark.is_file():
        raise UsageError(f"{folder} is no run directory: it has no {MARK}", hint=_AGAIN)
    data = _object(_read(mark), str(mark))
    schema = data.get("schema")
    if schema != SCHEMA:
        said = "says no version" if schema is None else f"is of version {schema!r}"
        raise UsageError(f"{mark} {said}, and this sparqc reads {SCHEMA}", hint=_AGAIN)
    if not (folder / "events.jsonl").is_file():
        raise UsageError(f"{folder} is a partial run: events.jsonl is missing", hint=_AGAIN)
    graphs = folder / "graphs"
    found = sorted(graphs.iterdir()) if graphs.is_dir() else []
    stages = [
        StageFile(int(name[1]), name[2], name[3], file)
        for file in found
        if (name := _STAGE.fullmatch(file.name))
    ]
    if not stages:
        raise UsageError(f"{folder} is a partial run: it has no graphs", hint=_AGAIN)
    return RunFolder(folder, data, sorted(stages, key=lambda s: s.number), trust)


def _event(line: str, place: str) -> dict[str, Any]:
    event = _object(line, place)
    named = isinstance(event.get("pass"), str) and isinstance(event.get("seq"), int)
    if event.get("kind") not in _KINDS or not named:
        raise UsageError(f"{place}: this is no event of a run", hint=_AGAIN)
    return event


def _object(text: str, place: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{place}: this is no JSON: {error}", hint=_AGAIN) from None
    if not isinstance(found, dict):
        raise UsageError(f"{place}: this is no JSON object", hint=_AGAIN)
    return found


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise UsageError(f"cannot read {path}: {reason}", hint=_AGAIN) from error
