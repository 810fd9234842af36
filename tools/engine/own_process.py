"""An engine compiler in a process of its own: where it dies, sparqc says so and lives."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, cast

from sparqc.errors import SparqcError

P = ParamSpec("P")
T = TypeVar("T")
_ANSWER = "from sparqc.tools.engine.own_process import answer; answer()"


def in_own_process(function: Callable[P, T], /, *args: P.args, **options: P.kwargs) -> T:
    """What a function of a module gives, computed by another Python; its errors are raised here.

    Raises SparqcError where that process ends without an answer.
    """
    with tempfile.TemporaryDirectory(prefix="sparqc-engine-") as folder:
        question, reply = Path(folder, "question"), Path(folder, "answer")
        question.write_bytes(pickle.dumps((function, args, options)))
        paths = os.pathsep.join(filter(None, sys.path))
        done = subprocess.run(
            [sys.executable, "-c", _ANSWER, str(question), str(reply)],
            env={**os.environ, "PYTHONPATH": paths},
            check=False,
        )
        if not reply.is_file():
            raise SparqcError(
                f"the compiler {_end(done.returncode)}, and gave no reason",
                hint="the model is one that it cannot take: `sparqc check` names what it refuses",
            )
        result = pickle.loads(reply.read_bytes())
    if isinstance(result, BaseException):
        raise result
    return cast(T, result)


def answer() -> None:
    """The other process: read the question's file, and write that of the answer."""
    question, reply = map(Path, sys.argv[1:])
    function, args, options = pickle.loads(question.read_bytes())
    try:
        result: Any = function(*args, **options)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is raised in the first process
        result = error
    written = reply.with_suffix(".part")
    written.write_bytes(pickle.dumps(result))
    written.rename(reply)


def _end(code: int) -> str:
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"died by {signal.Signals(-code).name}"
    except ValueError:
        return f"died by signal {-code}"
