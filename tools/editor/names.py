"""Where a name is defined, where it stands, and what may take its place."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sparqc.base.reading import read_text
from sparqc.declared.natives import natives
from sparqc.errors import UsageError
from sparqc.ir.vocabulary.table import default_table
from sparqc.ir.vocabulary.traits import TRAITS
from sparqc.lang.ast import OpDecl
from sparqc.lang.parse.keywords import KNOB, RESERVED
from sparqc.tools.editor.analysis import Analysis, installed_path
from sparqc.tools.editor.words import Word

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_DOTTED = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z0-9_]+)*")


@dataclass(frozen=True)
class Place:
    """A stretch of a file's line, 0-based."""

    path: str
    line: int
    column: int
    width: int = 0


def definitions(files: Iterable[Analysis], of: Analysis, word: Word) -> list[Place]:
    """Where a word of a file is defined: in the file, in the others, in what is installed, or in
    Python."""
    if word.kind == "native":
        span = natives()[word.text].span if word.text in natives() else None
        return [Place(span.file, span.line - 1, 0)] if span else []
    if word.kind == "name":
        return _binding(of, word)
    if word.kind not in ("operator", "declared"):
        return []
    for file in _with(of, files):
        if own := [_place(file, w) for w in file.words if w.defines and _is_declared(w, word.text)]:
            return own
    return list(_installed(of, word.text))


def _is_declared(word: Word, name: str) -> bool:
    return word.text == name and word.kind in ("operator", "declared")


def _with(first: Analysis, files: Iterable[Analysis]) -> list[Analysis]:
    return [first, *(file for file in files if file.path != first.path)]


def _place(file: Analysis, word: Word) -> Place:
    return Place(file.path, word.line, word.column, len(word.text))


def _binding(of: Analysis, word: Word) -> list[Place]:
    same = _same_names(of, word)
    first = next((w for w in same if w.defines), same[0])
    return [_place(of, first)]


def _same_names(of: Analysis, word: Word) -> list[Word]:
    return [w for w in of.words if w.head is word.head and (w.kind, w.text) == ("name", word.text)]


def _installed(of: Analysis, name: str) -> Iterator[Place]:
    for declaration in (d for file in of.others for d in file.declarations if d.name == name):
        span = declaration.span
        path = installed_path(span.file) if span else None
        if span and path:
            yield Place(str(path), span.line - 1, span.column - 1, len(name))


def may_be_renamed(files: Iterable[Analysis], of: Analysis, word: Word) -> None:
    """Raise UsageError, with the reason, where a word is not a person's own."""
    if word.kind == "name":
        return
    if word.kind not in ("operator", "declared"):
        raise UsageError(f"{word.text!r} is no name that this file gives")
    table = default_table()
    if word.kind == "operator" and (word.text in table.names or word.text in TRAITS):
        raise UsageError(f"{word.text!r} is an operator of the table, or a trait")
    places = definitions(files, of, word)
    if not places or any(d.name == word.text for file in of.others for d in file.declarations):
        raise UsageError(f"{word.text!r} is not declared in these files")


def renamed(files: Iterable[Analysis], of: Analysis, word: Word, new: str) -> list[Place]:
    """Every place of a name that is to be another: in its declaration, or in all files.

    Raises UsageError where it is not a person's own, or the new name is none, or taken.
    """
    files = _with(of, files)
    may_be_renamed(files, of, word)
    if word.kind == "name":
        _require_name(new, _NAME)
        if any(w.head is word.head and (w.kind, w.text) == ("name", new) for w in of.words):
            raise UsageError(f"{new!r} is a name of this declaration already")
        return [_place(of, w) for w in _same_names(of, word)]
    is_op = any(isinstance(d, OpDecl) and d.name == word.text for d in of.declarations)
    _require_name(new, _DOTTED if is_op or word.kind == "operator" else _NAME)
    taken = {d.name for file in files for d in file.declarations}
    if new in taken | set(TRAITS) | set(default_table().names):
        raise UsageError(f"{new!r} is declared already")
    return [_place(f, w) for f in files for w in f.words if _is_declared(w, word.text)]


def _require_name(new: str, form: re.Pattern[str]) -> None:
    if not form.fullmatch(new) or new in RESERVED or new == KNOB:
        raise UsageError(f"{new!r} is no name", hint="letters, digits and _, a letter first")


def text_of(path: str) -> str | None:
    """The text of a file; None where it cannot be read as one."""
    try:
        return read_text(Path(path), encoding="utf-8-sig")
    except UsageError:
        return None
