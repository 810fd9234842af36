"""What is known of one pattern file as it stands in an editor, right or wrong."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePath

from sparqc.declared.natives import natives
from sparqc.errors import PatternError, SparqcError
from sparqc.ir.vocabulary.table import default_table
from sparqc.lang.ast import Declaration, FusionDecl, OpDecl, PatternFile, ShareDecl
from sparqc.lang.check.checks import check_file
from sparqc.lang.check.findings import PatternWarning
from sparqc.lang.check.vocabulary import Vocabulary
from sparqc.lang.parse.layout import Layout, read_layout
from sparqc.lang.parse.parser import parse_what_can_be
from sparqc.pipeline.installed import installed, pattern_files
from sparqc.tools.editor.words import Word, words_of

#: The letters of the longest file that is checked while it is written: a tenth of what
#: `sparqc rules check` reads.
LONGEST = 100_000
_NAMED_BY_OTHERS = (OpDecl, FusionDecl, ShareDecl)


@dataclass(frozen=True)
class Analysis:
    """A file's text and what was made of it."""

    path: str
    text: str
    layout: Layout
    #: The declarations that can be read.
    file: PatternFile
    findings: tuple[SparqcError, ...]
    #: What is installed beside it.
    others: tuple[PatternFile, ...] = ()

    @cached_property
    def words(self) -> tuple[Word, ...]:
        """Every word of it."""
        return tuple(words_of(self.layout))

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """The operators, families, fusions and shares that it may name."""
        known = self.declarations
        return Vocabulary(
            default_table(),
            [d for d in known if isinstance(d, OpDecl)],
            {d.name: d for d in known if isinstance(d, FusionDecl)},
            shares={d.name: d for d in known if isinstance(d, ShareDecl)},
        )

    @property
    def errors(self) -> list[SparqcError]:
        """The findings that keep the file from being used."""
        return [found for found in self.findings if not isinstance(found, PatternWarning)]

    @property
    def declarations(self) -> tuple[Declaration, ...]:
        """Its own and those that are installed."""
        return tuple(d for file in (self.file, *self.others) for d in file.declarations)

    def word_at(self, line: int, column: int) -> Word | None:
        """The word at a 0-based place."""
        return next((w for w in self.words if w.is_at(line, column)), None)

    def declaration_at(self, word: Word) -> Declaration | None:
        """The declaration that a word stands in; None where that cannot be read."""
        return declaration_on(self.file, word.head.number)


def declaration_on(file: PatternFile, number: int) -> Declaration | None:
    """The declaration that begins on a 1-based line."""
    return next((d for d in file.declarations if d.span and d.span.line == number), None)


def analyse(path: str, text: str, before: Analysis | None = None) -> Analysis:
    """Read and check a text; `before` is what it was when it was looked at last."""
    if len(text) > LONGEST:
        message = f"this file has {len(text):,} letters, too many to be checked while it is written"
        error = SparqcError(message, hint=f"`sparqc rules check {path}` checks it")
        return Analysis(path, text, Layout(path, []), PatternFile(path, (), text), (error,))
    layout = read_layout(text, path)
    try:
        file, errors = parse_what_can_be(text, path)
    except PatternError as error:
        return Analysis(path, text, layout, PatternFile(path, (), text), (error,))
    others = tuple(known for known in installed() if not is_file(path, known.path))
    found = tuple(errors) + tuple(_checked(file, layout, bool(errors), others, before))
    return Analysis(path, text, layout, file, found, others)


def _checked(
    file: PatternFile,
    layout: Layout,
    is_partial: bool,
    others: Sequence[PatternFile],
    before: Analysis | None,
) -> Iterable[PatternError]:
    """What the checks find.  What cannot be read just now, and others may name, is taken as it was
    before; where it was nothing, a name of it would look unknown, and nothing is checked."""
    if not is_partial:
        return check_file(file, default_table(), natives(), others)
    known = {d.name for d in file.declarations}
    lost = {
        words[1]
        for line in layout.lines
        if (words := line.text.replace("(", " ").replace(":", " ").split())[1:]
        and line.word in ("op", "fusion", "share")
    } - known
    kept = [
        d for d in (before.file.declarations if before else ())
        if d.name in lost and isinstance(d, _NAMED_BY_OTHERS)
    ]  # fmt: skip
    if lost - {d.name for d in kept}:
        return ()
    return check_file(
        file, default_table(), natives(), [*others, PatternFile(file.path, tuple(kept))]
    )


def is_file(path: str, label: str) -> bool:
    """Whether a file is the installed one of a label, or another copy of it."""
    return f"/{PurePath(path).as_posix()}".endswith(f"/{label}")


def installed_path(label: str) -> Path | None:
    """Where an installed pattern file lies; None where it is in no folder."""
    found = next((file.path for file in pattern_files() if file.label == label), None)
    return found if isinstance(found, Path) else None
