"""`sparqc bisect`: which application or decision makes the result of a run bad."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sparqc.base.text import counted
from sparqc.errors import UsageError
from sparqc.tools.runs.asked import request_of, where_it_ran
from sparqc.tools.runs.checks import Check, tried
from sparqc.tools.runs.folder import SCHEMA, RunFolder, open_run
from sparqc.tools.runs.trust import trust_option
from sparqc.tools.terminal import completion

if TYPE_CHECKING:
    from sparqc.tools.runs.bisect.steps import Steps

#: So many decisions of one pass are told.
NAMED = 8


@click.command("bisect")
@click.argument("run", shell_complete=completion.folders)
@click.option("--check", "command", metavar="CMD", help="Fails on a bad model: 'CMD {}'.")
@click.option("--timeout", type=float, default=600.0, show_default=True, metavar="SECONDS",
              help="After which a command counts as hanging.")  # fmt: skip
@click.option("--min-snr", type=float, metavar="DB", help="Bad is what has less dB than this.")
@click.option("--json", "as_json", is_flag=True, help="Print what was found as JSON.")
@trust_option
def bisect_command(
    run: str, command: str | None, timeout: float, min_snr: float | None, as_json: bool, trust: bool
) -> None:
    """Find the one rule application or decision that makes the result of RUN bad.

    The model is compiled once more, as RUN was, and then with fewer and fewer applications.  Bad is
    what the command fails on ({} stands for the ONNX file), what has less signal to noise than
    --min-snr, or, without both, what fails to compile.  What was found and the operators around it,
    with and without it, are written to RUN/bisect.
    """
    if command is not None and min_snr is not None:
        raise UsageError("--check and --min-snr: bisect takes one of them")
    check = Check.parse(command, timeout) if command is not None else None
    folder = open_run(run, trust=trust)
    place = folder.path.absolute() / "bisect"
    with where_it_ran(folder):
        found = _Bisection(folder, check, min_snr, place).run()
    click.echo(json.dumps(found, indent=2) if as_json else "\n".join(_lines(found)))


@dataclass
class _Bisection:
    run_: RunFolder
    check: Check | None
    min_snr: float | None
    place: Path
    #: What was asked: the number of applications, whether it is bad, and dB where it was measured.
    asked: list[dict[str, Any]] = field(default_factory=list)

    def run(self) -> dict[str, Any]:
        from sparqc.tools.model.open_request import open_request
        from sparqc.tools.runs.bisect.search import first_bad
        from sparqc.tools.runs.bisect.steps import Steps, Watch

        watch = Watch()
        request = request_of(self.run_, limit=None)
        steps = Steps.run(open_request(request, listeners=(watch,)).job, watch)
        self._require_question(steps)
        with tempfile.TemporaryDirectory(prefix="sparqc-bisect-") as made:
            file = Path(made) / "model.onnx"
            seq = first_bad(steps.last, lambda limit: self._is_bad(steps, limit, file))
        events = [event.to_json() for event in watch.events if event.seq == seq]
        if len(events) > 1:  # a pass whose decisions are one
            events = [e for e in events if e["kind"] != "pass"] or events
        if not events and steps.error is not None:  # it broke off
            events = [{"kind": "pass", "seq": seq, "pass": self._broken(steps)}]
        return {
            "schema": SCHEMA,
            "seq": seq,
            "of": steps.last,
            "compiles": len(self.asked),
            "events": events,
            "one_step": _one_step(events),
            "regions": self._regions(steps, seq, events),
            "error": steps.error.message if steps.error else "",
            "asked": self.asked,
        }

    def _require_question(self, steps: Steps) -> None:
        if self.check is None and self.min_snr is None and steps.error is None:
            raise UsageError(
                "the compile does not fail, so that nothing says what is bad",
                hint="say it with --check 'CMD {}' or --min-snr DB",
            )
        if self.min_snr is not None and steps.expected is None:
            raise UsageError("--min-snr: the model has no example inputs to compare on")

    def _broken(self, steps: Steps) -> str:
        """The pass in which the compile failed."""
        return str(steps.items[len(steps.kept) - 1]) if len(steps.kept) <= len(steps.items) else ""

    def _is_bad(self, steps: Steps, limit: int, file: Path) -> bool:
        row: dict[str, Any] = {"applications": limit}
        self.asked.append(row)
        if limit == steps.last and steps.error is not None:
            row["bad"] = True
            return True
        compiled, error = tried(lambda: steps.compiled(limit))
        if error is not None or compiled is None:
            # With fewer applications a compile may fail for reasons of its own.
            row["error"] = error.message if error else ""
            row["bad"] = steps.error is not None
            return bool(row["bad"])
        if compiled.difference is not None:
            row["snr_db"] = _finite(compiled.difference.snr_db)
        row["bad"] = self._judge(compiled, row, file)
        return bool(row["bad"])

    def _judge(self, compiled: Any, row: dict[str, Any], file: Path) -> bool:
        if self.check is not None:
            compiled.save(file)
            return self.check.fails(file)
        if self.min_snr is not None:
            return row.get("snr_db") is not None and row["snr_db"] < self.min_snr
        return False

    def _regions(self, steps: Steps, seq: int, events: Sequence[Any]) -> dict[str, Any]:
        """The operators around it, with it and without, written as models."""
        from sparqc.ir.onnx.adapter import save_onnx
        from sparqc.tools.runs.bisect.region import region, touched

        names = [name for event in events for name in touched(event)]
        found: dict[str, Any] = {}
        for word, limit in (("before", seq - 1), ("after", seq)):
            compiled, _ = tried(partial(steps.compiled, limit))  # which may fail, as was asked
            part = region(compiled, names) if compiled is not None else None
            if part is not None:
                self.place.mkdir(exist_ok=True)
                path = self.place / f"{word}.onnx"
                save_onnx(part[0], path)
                found[word] = {"file": str(path), "operators": part[1]}
        return found


def _one_step(events: Sequence[Any]) -> str:
    """Why the pass that they are of is not searched in."""
    from sparqc.pipeline.catalogue import passes

    found = passes().get(events[0]["pass"]) if events else None
    return found.indivisible if found is not None and events[0]["kind"] != "rule" else ""


def _finite(number: float) -> float | None:
    return number if abs(number) < float("inf") else None


def _lines(found: dict[str, Any]) -> list[str]:
    from sparqc.report.sentence import sentence

    compiles = counted(found["compiles"], "compile")
    lines = [f"number {found['seq']} of {found['of']}, found with {compiles}:"]
    for event in found["events"][:NAMED]:
        lines.append(f"  {sentence(event)}" if event["kind"] != "pass" else f"  {event['pass']}")
    if len(found["events"]) > NAMED:
        lines.append(f"  and {len(found['events']) - NAMED} more, which are one step")
    if found["one_step"]:
        lines.append(f"  {found['events'][0]['pass']} is not searched in: {found['one_step']}")
    if found["error"]:
        lines.append(f"error: {found['error']}")
    for word, part in found["regions"].items():
        lines.append(f"{word:6}  {part['file']} ({counted(part['operators'], 'operator')})")
    lines.append(f"again   sparqc compile … --limit {found['seq']}, and --limit {found['seq'] - 1}")
    return lines
