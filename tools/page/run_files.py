"""What the page's commands read of a run directory; anybody may have cut or changed it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

from sparqc.errors import UsageError

PAGE, MARK = "report.html", "run.json"
#: The version of a run directory that is known; those of the first kind do not say it.
SCHEMA = 1
_STAGE = re.compile(r"(\d+)-(.+)\.(fx|onnx)\.txt")
_AGAIN = "write it anew: sparqc compile MODEL -o FILE --dump DIR"


@dataclass(frozen=True)
class StageFile:
    """The text of one graph of a run."""

    number: int
    name: str
    level: str
    text: str

    @property
    def file(self) -> str:
        """Where it lies in the run directory."""
        return f"graphs/{self.number:02}-{self.name}.{self.level}.txt"


def require_run(folder: Path) -> None:
    """Raises UsageError where a folder is no run directory, or one of another version."""
    mark = folder / MARK
    if not mark.is_file():
        raise UsageError(f"{folder} is no run directory: it has no {MARK}", hint=_AGAIN)
    try:
        data = json.loads(mark.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{mark}: this is no JSON: {error}", hint=_AGAIN) from None
    schema = data.get("schema", SCHEMA) if isinstance(data, dict) else None
    if schema != SCHEMA:
        found = f"is of version {schema!r}" if schema is not None else "is no JSON object"
        raise UsageError(f"{mark} {found}, and this sparqc reads {SCHEMA}", hint=_AGAIN)


def page_of(folder: Path) -> Path:
    """The page of a run; UsageError where there is none."""
    require_run(folder)
    page = folder / PAGE
    if not page.is_file():
        raise UsageError(f"{folder} has no {PAGE}", hint=_AGAIN)
    return page


def stage_files(folder: Path) -> list[StageFile]:
    """The graphs of a run, in order; UsageError where there are none, or one is no text."""
    require_run(folder)
    graphs = folder / "graphs"
    found = sorted(graphs.iterdir()) if graphs.is_dir() else []
    named = [(name, path) for path in found if (name := _STAGE.fullmatch(path.name))]
    if not named:
        raise UsageError(f"{folder} has no graphs", hint=_AGAIN)
    stages = [StageFile(int(n[1]), n[2], n[3], _text(path)) for n, path in named]
    return sorted(stages, key=lambda stage: stage.number)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise UsageError(f"{path} is no text", hint=_AGAIN) from None
