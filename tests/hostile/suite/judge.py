"""What may not happen to a hostile file, whatever it holds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.hostile.suite.case import Case, Command
from tests.hostile.suite.worker import COMPARE, DIED, HUNG, Ran, Worker

#: The exit codes that a command may end with.
ORDERLY = (0, 1, 2, 3)
#: The longest text that one command may say of a file.
LONGEST = 19_000


@dataclass(frozen=True)
class Verdict:
    """One command on one file: what is wrong with how it ended; "" where nothing is."""

    case: str
    words: str
    ran: Ran
    wrong: str

    def __str__(self) -> str:
        last = " ".join(self.ran.text.split())[-300:]
        return f"{self.case} | {self.words} | {self.wrong} | {self.ran.seconds:.1f} s | {last}"


def judged(case: Case, worker: Worker) -> Iterator[Verdict]:
    """Every command of a case, on a file of its own."""
    for command in case.commands:
        with TemporaryDirectory() as name:
            folder = Path(name).resolve()
            yield _judged(case, command, folder, worker)


def _judged(case: Case, command: Command, folder: Path, worker: Worker) -> Verdict:
    file = case.write(folder)
    out = folder / "out.onnx"
    before = {p for p in folder.rglob("*") if p.is_file()}
    places = {"{file}": str(file), "{out}": str(out)}
    ran = worker.run([places.get(word, word) for word in command], folder)
    left = {p for p in folder.rglob("*") if p.is_file()} - before
    wrong = _wrong(case, command, ran) or _half_written(ran, left, out)
    if not wrong and command[0] == "compile" and ran.code == 0 and case.verdict == "same":
        wrong = _other_numbers(file, out, folder, worker) if "float" in command else ""
    return Verdict(case.name, " ".join(w[:40] for w in command if w[:1] != "{"), ran, wrong)


def _wrong(case: Case, command: Command, ran: Ran) -> str:
    if ran.code == HUNG:
        return "hangs"
    if ran.code == DIED:
        return "dies"
    if ran.code not in ORDERLY:
        return f"exit code {ran.code}"
    if "Traceback" in ran.text:
        return "traceback"
    if ran.code and len(ran.text) > LONGEST:
        return "says too much"
    if ran.code and not ran.text.strip():
        return "says nothing"
    return "wrong ok" if case.verdict == "refused" and ran.code == 0 else ""


def _half_written(ran: Ran, left: set[Path], out: Path) -> str:
    """What a command leaves beside the file, and the folder of a dump, that it was asked for."""
    allowed = {out, out.with_name(out.name + ".data")} if ran.code in (0, 1) else set()
    dump = out.with_name("dump")
    others = sorted(p.name for p in left - allowed if dump not in p.parents)
    return f"leaves {others}" if others else ""


def _other_numbers(file: Path, out: Path, folder: Path, worker: Worker) -> str:
    if file.suffix != ".onnx":
        return ""
    ran = worker.run([COMPARE, str(file), str(out)], folder)
    return ran.text if ran.code == 0 else ""  # onnxruntime itself hangs on the file, or dies
