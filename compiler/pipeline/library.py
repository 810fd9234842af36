"""Everything that pattern files say, parsed: installed ones, and those a person gives."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from pathlib import Path

from sparqc.declared.natives import natives
from sparqc.errors import ErrorGroup
from sparqc.ir.vocabulary.table import default_table
from sparqc.lang.ast import PatternFile
from sparqc.lang.check.checks import check_file
from sparqc.lang.check.file_name import pass_name
from sparqc.lang.check.findings import PatternWarning
from sparqc.match.rulebook import RuleBook
from sparqc.pipeline.installed import installed
from sparqc.pipeline.registry import register
from sparqc.pipeline.rulepass import rule_pass


@cache
def register_rule_passes() -> None:
    """Make every installed pattern file that holds rules a pass of its name."""
    for file in installed():
        _register(file)


def read_user_file(path: Path) -> PatternFile:
    """A person's own pattern file; its rules become a pass of the file's name.

    Raises PatternError, or several as an ErrorGroup, where the file is wrong.  (The installed ones
    are checked in their tests.)
    """
    from sparqc.lang.parse.parser import parse_file  # lark takes a while to import

    file = parse_file(path)
    others = [known for known in installed() if known.path != file.path]
    errors = [
        e
        for e in check_file(file, default_table(), natives(), others)
        if not isinstance(e, PatternWarning)
    ]
    if errors:
        raise ErrorGroup(errors) if len(errors) > 1 else errors[0]
    _register(file, is_own=True)
    return file


def rulebook(own: Iterable[PatternFile] = ()) -> RuleBook:
    """The declarations of all installed files and of some more."""
    book = RuleBook(table=default_table())
    for file in (*installed(), *own):
        book.add_file(file)
    return book


def _register(file: PatternFile, *, is_own: bool = False) -> None:
    if made := rule_pass(file, pass_name(file), is_own=is_own):
        register(made)
