"""Running the code of a person's model, and saying in a sentence what went wrong in it."""

from __future__ import annotations

import inspect
import linecache
import os
import random
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sparqc.errors import Span, SparqcError

#: Longer messages of other people's exceptions are cut to so many lines.
_MOST_LINES = 8


@dataclass(frozen=True)
class UserCode:
    """Code of the user's: a file or package, and the folder that its lines are looked for in."""

    #: As the person wrote it: "model.py", "torchvision.models".
    name: str
    #: What lies in here is theirs; an exception is reported at its deepest line in here.
    folder: Path
    #: The folder to import from while the code runs, and whether it goes before all others.
    import_from: Path
    first: bool

    @contextmanager
    def running(self, doing: str) -> Iterator[None]:
        """Turn what the code inside raises into a SparqcError that says where."""
        with _importable(self.import_from, self.first):
            try:
                yield
            except SparqcError:
                raise
            # sys.exit() in a model must not end the compiler without a word.
            except (Exception, SystemExit) as error:
                raise self.explain(error, doing) from error

    def call(self, function: Callable[..., Any], doing: str, *arguments: Any) -> Any:
        """Call a function of the user's, from the same random seed each time."""
        with self.running(doing), RandomStream().active():
            return function(*arguments)

    def explain(self, error: BaseException, doing: str) -> SparqcError:
        """What was raised, the line in the user's code, and what to do where that is known."""
        if isinstance(error, SyntaxError) and error.filename and error.lineno:
            return SparqcError(f"{doing}: {error.msg}", span=syntax_span(error))
        lines = f"{type(error).__name__}: {error}".splitlines()
        if len(lines) > _MOST_LINES:
            lines = [*lines[:_MOST_LINES], f"… and {len(lines) - _MOST_LINES} more lines"]
        message = f"{doing} raised " + "\n    ".join(lines)
        return SparqcError(message, span=self._place(error), hint=_advice(error))

    def _place(self, error: BaseException) -> Span | None:
        stack = traceback.extract_tb(error.__traceback__)
        mine = [f for f in stack if Path(f.filename).is_relative_to(self.folder)]
        # A library that lies in the person's folder (a virtual environment) is not theirs.
        own = [f for f in mine if "site-packages" not in f.filename[len(str(self.folder)) :]]
        return _frame_span(own[-1]) if own else None


def _advice(error: BaseException) -> str:
    text = str(error)
    if "operator torchvision::" in text:
        return (
            "this torchvision was built for another torch, so its operators did not load: install "
            f"the one built for torch {torch.__version__}, or, if the model does not use them, "
            "declare the operator before the import: "
            'torch.library.Library("torchvision", "DEF").define("nms(Tensor dets, Tensor scores, '
            'float iou_threshold) -> Tensor"), and keep the library object alive'
        )
    if isinstance(error, ModuleNotFoundError) and error.name:
        package = error.name.partition(".")[0]
        return f"install the package that has the module {package!r} where sparqc is installed"
    return ""


@contextmanager
def _importable(folder: Path, first: bool) -> Iterator[None]:
    entry = str(folder)
    sys.path.insert(0 if first else len(sys.path), entry)
    try:
        yield
    finally:
        # The code may have changed the path itself, so the entry is looked for.
        if entry in sys.path:
            sys.path.remove(entry)


class RandomStream:
    """Random numbers of one's own, for torch, numpy and Python: the same ones in every run."""

    def __init__(self, seed: int = 0) -> None:
        self._seed = seed
        self._states: tuple[Any, ...] | None = None

    @contextmanager
    def active(self) -> Iterator[None]:
        """Draw from this stream inside; it goes on where it stopped the last time."""
        outer = _random_states()
        if self._states is None:
            random.seed(self._seed)
            np.random.seed(self._seed)
            torch.manual_seed(self._seed)
        else:
            _set_random_states(self._states)
        try:
            yield
        finally:
            self._states = _random_states()
            _set_random_states(outer)


def _random_states() -> tuple[Any, ...]:
    return random.getstate(), np.random.get_state(), torch.get_rng_state()


def _set_random_states(states: tuple[Any, ...]) -> None:
    python, numpy, tensors = states
    random.setstate(python)
    np.random.set_state(numpy)
    torch.set_rng_state(tensors)


# -- places ------------------------------------------------------------------------------------


def shown(path: Path | str) -> str:
    """A path as people read it: relative to the working directory where it lies inside."""
    try:
        inside = Path(path).is_relative_to(Path.cwd())
        return os.path.relpath(path) if inside else str(path)
    except OSError:  # the working directory is gone
        return str(path)


def syntax_span(error: SyntaxError) -> Span:
    """Where Python could not go on reading."""
    line, column = error.lineno or 1, max(1, error.offset or 1)
    ends_here = error.end_lineno == error.lineno and error.end_offset
    width = max(1, (error.end_offset or 0) - column) if ends_here else 1
    return Span(shown(error.filename or "?"), line, column, width, (error.text or "").rstrip())


def definition_span(function: object) -> Span | None:
    """The `def` line of a function; None for what has none."""
    code = getattr(inspect.unwrap(function), "__code__", None) if callable(function) else None
    if code is None:
        return None
    text = linecache.getline(code.co_filename, code.co_firstlineno).rstrip()
    column = len(text) - len(text.lstrip()) + 1
    return Span(shown(code.co_filename), code.co_firstlineno, column, len(text.strip()) or 1, text)


def _frame_span(frame: traceback.FrameSummary) -> Span:
    number = frame.lineno or 1
    text = linecache.getline(frame.filename, number).rstrip()
    # Columns of frames count bytes of UTF-8, those of a Span characters.
    start, end = (_characters(text, at) for at in (frame.colno or 0, frame.end_colno or 0))
    one_line = frame.end_lineno == frame.lineno
    width = end - start if one_line else len(text) - start
    return Span(shown(frame.filename), number, start + 1, max(1, width), text)


def _characters(text: str, count: int) -> int:
    return len(text.encode()[:count].decode(errors="ignore"))
