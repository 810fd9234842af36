"""`--dump run/`: a plain directory that says what every pass and every rule did.

    run.json          versions, command, pipeline, target and the report, or the error
    events.jsonl      each pass and each application of a rule, in order, with its provenance
    graphs/NN-PASS…   the graph as text as it was read (00) and behind each pass that changed it
    report.html       all of it in one file to look at

The graphs of two runs are equal to the byte.
"""

from __future__ import annotations

import json
import os
import platform
import tempfile
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sparqc
from sparqc.errors import SparqcError, UsageError
from sparqc.tools.compile.recorder import GraphRecorder
from sparqc.tools.runs.folder import MARK, SCHEMA
from sparqc.tools.runs.trust import signature

if TYPE_CHECKING:
    from sparqc.report.report import Report
    from sparqc.rewrite.context import Context

_LIBRARIES = ("torch", "onnx", "onnxruntime", "onnxscript", "onnx-graphsurgeon", "numpy")


@dataclass(frozen=True)
class Run:
    """What is known of one run of the command line."""

    command: Sequence[str]
    model: str
    passes: str
    target: str
    #: The report as JSON values, None where the compile failed.
    report: Mapping[str, Any] | None = None
    error: str = ""
    #: What was asked for, as `sparqc.tools.runs.asked` says it.
    request: Mapping[str, Any] = field(default_factory=dict)
    #: The passes that apply to the model, presets written out; "" where it was not read.
    pipeline: str = ""
    #: Whether `sparqc replay` does without the model: with what the directory holds, and noise.
    alone: bool = False
    traceback: str = ""
    #: Whether the request is that of the person who writes the run, or one that they trust.
    is_own: bool = True

    def with_report(self, report: Report) -> Run:
        """The run that ended with a report."""
        return replace(self, report=report.to_json())

    def with_error(self, error: Exception) -> Run:
        """The run that ended with an error, a bug of ours among them."""
        if isinstance(error, SparqcError):
            return replace(self, error=str(error))
        told = "".join(traceback.format_exception(error))
        return replace(self, error=f"{type(error).__name__}: {error}", traceback=told)

    def to_json(self) -> dict[str, Any]:
        """Plain data, as run.json holds it."""
        return {
            "schema": SCHEMA,
            "versions": versions(),
            "command": list(self.command),
            "model": self.model,
            "request": dict(self.request),
            "passes": self.passes,
            "pipeline": self.pipeline or None,
            "alone": self.alone,
            "target": self.target,
            "error": self.error,
            **({"traceback": self.traceback} if self.traceback else {}),
            "report": self.report,
        }


def versions() -> dict[str, str]:
    """The versions of sparqc, Python and the libraries that a result depends on."""
    found = {"sparqc": str(sparqc.__version__), "python": platform.python_version()}
    return found | {name: metadata.version(name) for name in _LIBRARIES}


def check_replaceable(folder: Path) -> None:
    """Say before a long compile that its dump could not be written.

    Raises UsageError where the folder is somebody else's, or the one around it is missing or
    read-only.
    """
    if folder.exists() and not (folder / MARK).is_file() and not _is_empty(folder):
        raise UsageError(
            f"--dump {folder} is there already and is no dump of sparqc",
            hint="name a folder that does not exist, or one that an earlier --dump made",
        )
    parent = folder.absolute().parent
    if not parent.is_dir():
        raise UsageError(f"--dump {folder}: there is no folder {parent}")
    if not os.access(parent, os.W_OK):
        raise UsageError(f"--dump {folder}: the folder {parent} cannot be written to")


def _is_empty(folder: Path) -> bool:
    return folder.is_dir() and not any(folder.iterdir())


def write_dump(
    folder: Path, run: Run, recorder: GraphRecorder, context: Context | None = None
) -> None:
    """Write the directory beside its final name and rename it; an earlier dump goes.

    With the weights that the recorder kept, where it did, and then the data of `context`.

    Raises SparqcError where the system refuses.
    """
    from sparqc.tools.page.predicted import predicted_engine
    from sparqc.tools.page.report_page import report_page
    from sparqc.tools.runs.stored import write_data, write_weights

    signed = signature(run.request) if run.is_own else None
    data = run.to_json() | {
        "signature": signed,
        "near_misses": [miss.to_json() for miss in recorder.misses],
    }
    contents = {stage.file: stage.text for stage in recorder.stages}
    contents["events.jsonl"] = recorder.events.to_jsonl()
    events = [event.to_json() for event in recorder.events.events]
    engine = predicted_engine(data["report"])
    contents["report.html"] = report_page(data, events, recorder.stages, engine)
    contents[MARK] = json.dumps(data, indent=2) + "\n"
    folder = folder.absolute()
    try:
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as made:
            new = Path(made) / "new"
            for name, text in contents.items():
                path = new / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
            if recorder.weights is not None:
                write_weights(new, recorder.weights)
                if context is not None:
                    write_data(new, context)
            _exchange(folder, new, Path(made) / "old")
    except OSError as error:
        raise SparqcError(
            f"cannot write the dump {folder}: {error.strerror or error}",
            hint="choose another place with --dump",
        ) from error


def _exchange(folder: Path, new: Path, old: Path) -> None:
    """Put the new directory in the place of the old one, which stays where that fails."""
    if folder.exists():
        os.replace(folder, old)
    try:
        os.replace(new, folder)
    except OSError:
        if old.exists():
            os.replace(old, folder)
        raise
