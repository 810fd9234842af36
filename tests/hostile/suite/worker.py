"""Runs command lines in a process of its own, which dies where one hangs."""

from __future__ import annotations

import multiprocessing
import os
import resource
import time
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from tests.hostile.suite.numbers import other_numbers

#: Exit codes of a command that did not end by itself.
HUNG, DIED = "hang", "died"
#: Not a command of sparqc's: what two ONNX files compute is compared.
COMPARE = "compare files"
#: How much memory the process may ask for; the libraries alone take a part of it.
MEMORY = 8 << 30


@dataclass(frozen=True)
class Ran:
    """What a command ended with."""

    code: int | str
    text: str
    seconds: float


class Worker:
    """Runs one command after the other; a new process begins where the last one was ended."""

    def __init__(self, limit: float) -> None:
        self.limit = limit
        # A fork would have the sessions that other tests left, whose threads stay behind: to end
        # one of them waits for ever.
        self._context = multiprocessing.get_context("spawn")
        self._process: Any = None
        self._pipe: Any = None

    def run(self, words: list[str], folder: Path) -> Ran:
        """The command's exit code and all that it said."""
        if self._process is None:
            self._start()
        begun, wall = self._used(), time.monotonic()
        self._pipe.send((words, str(folder)))
        code, text = HUNG, ""
        try:
            # Others may use the cores, too: what counts is the time that the process itself used.
            while self._used() - begun < self.limit and time.monotonic() - wall < 5 * self.limit:
                if self._pipe.poll(1):
                    code, text = self._pipe.recv()
                    return Ran(code, text, self._used() - begun)
        except EOFError:
            code = DIED
        seconds = self._used() - begun
        self.close()
        return Ran(code, text, seconds)

    def _used(self) -> float:
        """Seconds of computing, of all threads."""
        try:
            fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return 0.0
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._process = None

    def _start(self) -> None:
        self._pipe, other = self._context.Pipe()
        self._process = self._context.Process(target=_serve, args=(other,), daemon=True)
        self._process.start()
        other.close()
        self._pipe.recv()  # it is there


def _serve(pipe: Connection) -> None:
    # What every command waits for at first is no fault of the file.
    import torch  # noqa: F401

    import sparqc.tools.check.fix
    import sparqc.tools.compile.command
    import sparqc.tools.explain.prediction
    import sparqc.tools.inspect.stages
    import sparqc.tools.model.open_request  # noqa: F401
    from sparqc.tools.cli import run

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)  # what libraries written in C++ say
    pipe.send("ready")
    while True:
        words, folder = pipe.recv()
        os.chdir(folder)
        said = StringIO()
        with redirect_stdout(said), redirect_stderr(said):
            try:
                code: int | str = run(words) if words[0] != COMPARE else 0
            except BaseException as error:  # noqa: BLE001  nothing may leave `run`
                code = f"{type(error).__name__}: {error}"[:300]
        text = other_numbers(Path(words[1]), Path(words[2])) if words[0] == COMPARE else ""
        pipe.send((code, text or said.getvalue()[:20_000]))
