"""What tells a good model from a bad one: a command of a person's, or decibels."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from sparqc.errors import SparqcError, UsageError

T = TypeVar("T")

#: Stands for the file in a command.
FILE = "{}"
#: What shells answer where a command cannot be run.
_NO_COMMAND = (126, 127)


@dataclass(frozen=True)
class Check:
    """A command that fails on a bad model, as `git bisect run` takes it."""

    words: Sequence[str]
    #: Seconds after which it counts as hanging.
    timeout: float
    #: Where it was typed; a run is compiled in a folder that the run names.
    folder: Path

    @classmethod
    def parse(cls, command: str, timeout: float) -> Check:
        """The command of a person; UsageError where it is none, or names no file."""
        try:
            words = shlex.split(command)
        except ValueError as error:
            raise UsageError(f"--check {command}: {error}") from error
        if not any(FILE in word for word in words):
            raise UsageError(
                f"--check {command}: it names no file", hint="write {} where the file stands"
            )
        if timeout <= 0:
            raise UsageError(f"--timeout {timeout:g}: it has to be more than 0 seconds")
        return cls(words, timeout, Path.cwd())

    def argv(self, path: Path) -> list[str]:
        """The words with the file in them.  No shell runs them; inside of a longer word, which may
        be the script of one, the path is quoted."""
        return [
            str(path) if word == FILE else word.replace(FILE, shlex.quote(str(path)))
            for word in self.words
        ]

    def fails(self, path: Path) -> bool:
        """Whether the command fails on a file.

        Raises UsageError where it cannot be run, SparqcError where it does not end.
        """
        try:
            process = subprocess.Popen(
                self.argv(path),
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError as error:
            raise UsageError(f"--check: cannot run {self.words[0]}: {error.strerror}") from error
        try:
            code = process.wait(self.timeout)
        except subprocess.TimeoutExpired:
            raise SparqcError(
                f"--check: the command did not end within {self.timeout:g} seconds on {path.name}",
                hint="give it more with --timeout SECONDS",
            ) from None
        finally:
            _end(process)
        if code in _NO_COMMAND:
            raise UsageError(f"--check: the command cannot be run (its exit code is {code})")
        return code != 0


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a command and all that it has started."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def tried(work: Callable[[], T]) -> tuple[T | None, SparqcError | None]:
    """What a compile gives, or what it failed with: a bug of ours like an error of a person's.

    Raises UsageError, which is neither, and MemoryError.
    """
    try:
        return work(), None
    except (UsageError, MemoryError):
        raise
    except SparqcError as error:
        return None, error
    except Exception as error:  # noqa: BLE001  whatever ends a compile may be what is looked for
        return None, SparqcError(f"{type(error).__name__}: {error}")
