"""From the text of a pattern file to its declarations, with every error that can be told apart."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sparqc.base.reading import damaged, read_text
from sparqc.errors import ErrorGroup, Fix, PatternError, Span, UsageError, closest, did_you_mean
from sparqc.lang.ast import Declaration, Example, PatternFile, Template
from sparqc.lang.fixes import instead, missing_colon, misspelt
from sparqc.lang.parse.builder import Header
from sparqc.lang.parse.declare import Parts, check_header, declare
from sparqc.lang.parse.grammar import read, read_expr
from sparqc.lang.parse.keywords import BLOCK_USAGE, BLOCKS
from sparqc.lang.parse.layout import Layout, Line, read_layout
from sparqc.lang.parse.source import Source
from sparqc.lang.parse.strings import read_template, unquote

#: The lines of an int8 block that are no conditions.
_QUANTIZED = re.compile(r"(?s)\w+[\w\s,]*\bper\s+\w+(\s+(scale|else)\b.*)?")
_PAIRING = re.compile(r"(?s)\w+\s+with\b.*")
_EXAMPLE = "`before:`, and `after:` or `rejects`; that of a check may say what it `finds`"
_EXAMPLES = {
    frozenset(words.split())
    for words in ("before after", "before rejects", "before finds", "before after finds")
}
#: The letters of the longest file that is read: to parse a million takes half a minute.
LONGEST_FILE = 1_000_000

#: What a block's first line looks like.
_SHAPES = {
    **dict.fromkeys(
        ("match", "where", "rewrite", "int8", "pays", "example", "before", "after"), r"\w+\s*:"
    ),
    "sparse": r"\w+\s+[A-Za-z_]\w*\s*:?",
    "scale": r"\w+\s*:.+",
    **dict.fromkeys(("joins", "like", "replaces"), r"\w+\s+[A-Za-z_].*"),
    **dict.fromkeys(("message", "cure", "source", "rejects", "finds"), r'\w+\s*".*"'),
}  # fmt: skip


def parse_file(path: str | Path) -> PatternFile:
    """Read a pattern file.

    Raises `PatternError` or an `ErrorGroup` of them where its text is wrong, `UsageError` where it
    cannot be read or is longer than `LONGEST_FILE`.
    """
    text = read_text(Path(path), encoding="utf-8-sig")
    if len(text) > LONGEST_FILE:
        raise UsageError(
            f"{path} has {len(text) / 1e6:.1f} million letters, too many for a pattern file",
            hint=f"it may have {LONGEST_FILE:,}: split it",
        )
    return parse_text(text, str(path))


def parse_text(text: str, file: str = "<string>") -> PatternFile:
    """Parse the text of a pattern file; `file` is what errors call it.

    Raises `PatternError`, or an `ErrorGroup` where several things are wrong.
    """
    found, errors = parse_what_can_be(text, file)
    raise_all(errors)
    return found


def parse_what_can_be(text: str, file: str) -> tuple[PatternFile, list[PatternError]]:
    """The declarations that can be read, and what is wrong with the others."""
    layout = read_layout(text, file)
    reader = _FileReader(layout)
    with damaged(file, error=PatternError):
        declarations = [d for line in layout.lines if (d := reader.declaration(line)) is not None]
    errors = sorted([*layout.errors, *reader.errors], key=_place)
    return PatternFile(file, tuple(declarations), text, reader.doc), errors


def _place(error: PatternError) -> tuple[int, int]:
    return (error.span.line, error.span.column) if error.span else (0, 0)


def raise_all(errors: list[PatternError]) -> None:
    """Raise what is in the list, in the order of its places; nothing where it is empty."""
    errors.sort(key=_place)
    if len(errors) > 1:
        raise ErrorGroup(errors)
    if errors:
        raise errors[0]


class _FileReader:
    """Reads the top-level lines of one file and collects what is wrong with them."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.errors: list[PatternError] = []
        self.doc = ""

    def error(self, message: str, span: Span, hint: str = "", fixes: tuple[Fix, ...] = ()) -> None:
        self.errors.append(PatternError(message, span=span, hint=hint, fixes=fixes))

    def attempt(self, read: Callable[[], Any]) -> Any:
        """The result, or None where it fails, which is then in `errors`."""
        try:
            return read()
        except PatternError as error:
            self.errors.append(error)
            return None

    def line(self, start: str, line: Line) -> Any:
        """One line by the grammar; None where it is wrong."""
        if line.children and not line.broken:
            self.error("no block may stand below this line", self.layout.of(line).whole)
            return None
        return None if line.broken else self.attempt(lambda: read(start, self.layout.of(line)))

    # -- top level -------------------------------------------------------------------------------

    def declaration(self, line: Line) -> Declaration | None:
        """The declaration that a top-level line begins; None for the file's doc, or an error."""
        if line.text.startswith('"'):
            self.file_doc(line)
            return None
        if line.word not in BLOCKS:
            span = self.layout.span(line.number, line.column, len(line.word) or len(line.text))
            what = repr(line.word) if line.word else "this"
            self.errors.append(misspelt(f"{what} begins no declaration", line.word, BLOCKS, span))
            return None
        known = len(self.errors)
        header = self.header(line)
        parts = _BlockReader(self, line.word).parts(line)
        if header is None or len(self.errors) > known or _broken(line):
            return None
        result: Declaration | None = self.attempt(lambda: declare(header, parts))
        return result

    def file_doc(self, line: Line) -> None:
        if line is not self.layout.lines[0]:
            self.error("only the first line of a file may be a string", self.layout.of(line).whole)
        elif not line.broken:
            self.doc = self.attempt(lambda: unquote(self.layout.of(line))) or ""

    def header(self, line: Line) -> Header | None:
        if not line.opens and not line.broken:
            end = len(self.layout.source[line.last - 1].rstrip())
            self.errors.append(missing_colon(self.layout.span(line.last, end)))
            return None
        source = self.layout.of(line)
        if line.broken:
            return None
        header: Header | None = self.attempt(lambda: read("header", source))
        if header is not None:
            self.attempt(lambda: check_header(header))
        return header


def _broken(line: Line) -> bool:
    return line.broken or any(_broken(child) for child in line.children)


class _BlockReader:
    """Reads the lines below the first line of one declaration."""

    def __init__(self, file: _FileReader, kind: str) -> None:
        self.file, self.kind, self.layout = file, kind, file.layout
        self.values = Parts()

    def parts(self, header: Line) -> Parts:
        """What the blocks say; errors go to the file's list."""
        seen: set[str] = set()
        for position, line in enumerate(header.children):
            if line.text.startswith('"'):
                self.doc(line, first=position == 0)
            elif (word := self.block_word(line)) is None:
                self.loose(line)
            elif word in seen and word != "example":
                self.wrong(line, f"`{word}` is given twice")
            else:
                seen.add(word)
                self.block(word, line)
        return self.values

    def doc(self, line: Line, first: bool) -> None:
        if not first:
            self.wrong(line, "only the first line of a declaration may be a string")
        elif not line.broken:
            self.values.doc = self.file.attempt(lambda: unquote(self.layout.of(line))) or ""

    def wrong(self, line: Line, message: str, hint: str = "", fixes: tuple[Fix, ...] = ()) -> None:
        if not line.broken:
            self.file.error(message, self.layout.of(line).whole, hint, fixes)

    def block_word(self, line: Line) -> str | None:
        """The block that a line begins; None where it is no block's first line."""
        word = line.word
        if word not in BLOCK_USAGE or re.match(r"\w+\s*(=(?!=)|,)", line.text):
            return None
        return word

    def loose(self, line: Line) -> None:
        """A line that begins no block: a statement of an `op`, or an error."""
        if self.kind == "op" and not line.opens:
            self.values.match.append(self.file.line("statement", line))
        elif re.match(r"\w+\s*=(?!=)", line.text):
            self.wrong(line, "a statement stands in a block", "match: or rewrite:, and lines below")
        else:
            known = BLOCKS[self.kind]
            hint = did_you_mean(line.word, known)
            fixes = instead(line.word, self.layout.of(line).whole, closest(line.word, known))
            if line.word in ("if", "when") and "where" in BLOCKS[self.kind]:
                hint = "conditions stand in a block: where:, and below it a line for each"
            self.wrong(line, "this begins no block", hint, fixes)

    def block(self, word: str, line: Line) -> None:
        if word not in BLOCKS[self.kind]:
            article = "an" if self.kind == "op" else "a"
            hint = f"{article} {self.kind} has: {', '.join(BLOCKS[self.kind])}"
            self.wrong(line, f"{article} {self.kind} has no `{word}`", hint)
        elif self.well_formed(word, line):
            _READ[word](self, line)

    def well_formed(self, word: str, line: Line) -> bool:
        """Whether a block's first line has its shape, and lines below where it needs them."""
        if line.broken and not line.opens:
            return False
        if not re.fullmatch(_SHAPES[word], line.text, re.DOTALL):
            self.wrong(line, f"`{word}` is not written so", f"it reads: {BLOCK_USAGE[word]}")
            return False
        if line.opens and not line.children and not line.raw:
            self.wrong(line, f"`{line.text}` has no lines below it")
            return False
        return True

    # -- blocks ----------------------------------------------------------------------------------

    def block_match(self, line: Line) -> None:
        self.values.match += [self.file.line("statement", child) for child in line.children]

    def block_where(self, line: Line) -> None:
        self.values.where = [self.file.line("condition", child) for child in line.children]

    def block_rewrite(self, line: Line) -> None:
        self.values.rewrite = [self.file.line("rewrite", child) for child in line.children]

    def block_int8(self, line: Line) -> None:
        for child in line.children:
            if _QUANTIZED.fullmatch(child.text):
                self.values.int8.append(self.file.line("quantized", child))
            elif _PAIRING.fullmatch(child.text):
                self.values.pairings.append(self.file.line("pairing", child))
            else:
                self.values.int8_where.append(self.file.line("condition", child))

    def block_sparse(self, line: Line) -> None:
        self.values.sparse = line.text.removesuffix(":").split()[1]
        for child in line.children:
            if _QUANTIZED.fullmatch(child.text):
                self.values.sparse_outputs.append(self.sparse_output(child))
            else:
                self.values.sparse_where.append(self.file.line("condition", child))

    def sparse_output(self, line: Line) -> Any:
        """What a sparse kernel wants quantized behind it: the only operands of this block."""
        operand = self.file.line("quantized", line)
        if operand is not None and not operand.output:
            self.wrong(line, "only an output stands here", "output y per tensor")
        return operand

    def block_pays(self, line: Line) -> None:
        self.values.pays = [self.file.line("condition", child) for child in line.children]

    def block_joins(self, line: Line) -> None:
        names = self.tail(line)
        self.values.joins = self.file.attempt(lambda: read("names", names)) or ()

    def block_replaces(self, line: Line) -> None:
        names = self.tail(line)
        self.values.replaces = self.file.attempt(lambda: read("names", names)) or ()

    def block_like(self, line: Line) -> None:
        names = self.tail(line)
        known: tuple[str, ...] = self.file.attempt(lambda: read("names", names)) or ("",)
        self.values.like = known[0]
        if len(known) > 1:
            self.wrong(line, "a fusion is `like` one other")

    def block_scale(self, line: Line) -> None:
        scaled = self.tail(line)
        names, reason = self.file.attempt(lambda: read("scaled", scaled)) or ((), None)
        self.values.scale, self.values.scale_reason = names, reason

    def block_message(self, line: Line) -> None:
        self.values.message = self.template(line)

    def block_cure(self, line: Line) -> None:
        self.values.cure = self.template(line)

    def block_source(self, line: Line) -> None:
        if not line.broken:
            self.values.source = self.file.attempt(lambda: unquote(self.tail(line))) or ""

    def template(self, line: Line) -> Template | None:
        if line.broken:
            return None
        result: Template | None = self.file.attempt(
            lambda: read_template(self.tail(line), read_expr)
        )
        return result

    def tail(self, line: Line) -> Source:
        """What stands behind a line's first word, and its colon."""
        start = re.match(r"\w+\s*:?\s*", line.text)
        offset = start.end() if start else 0
        return self.layout.of(line).piece(line.text[offset:], offset)

    # -- examples --------------------------------------------------------------------------------

    def block_example(self, line: Line) -> None:
        texts: dict[str, str] = {}
        for child in line.children:
            if child.word not in ("before", "after", "rejects", "finds"):
                self.wrong(child, f"an example has {_EXAMPLE}")
            elif child.word in texts:
                self.wrong(child, f"`{child.word}` is given twice")
            elif self.well_formed(child.word, child):
                texts[child.word] = self.example_text(child)
        span = self.layout.of(line).whole
        self.values.examples.append(
            Example(
                texts.get("before", ""),
                texts.get("after"),
                texts.get("rejects"),
                texts.get("finds"),
                span,
            )
        )
        if frozenset(texts) not in _EXAMPLES:
            self.wrong(line, f"an example has {_EXAMPLE}")
        elif "finds" in texts and self.kind != "check":
            self.wrong(line, "only a check finds something")

    def example_text(self, line: Line) -> str:
        if line.word in ("before", "after"):
            return line.raw
        text: str | None = self.file.attempt(lambda: unquote(self.tail(line)))
        return text or ""


_READ: dict[str, Callable[[_BlockReader, Line], None]] = {
    "match": _BlockReader.block_match, "where": _BlockReader.block_where,
    "rewrite": _BlockReader.block_rewrite, "int8": _BlockReader.block_int8,
    "sparse": _BlockReader.block_sparse, "scale": _BlockReader.block_scale,
    "message": _BlockReader.block_message, "cure": _BlockReader.block_cure,
    "source": _BlockReader.block_source, "example": _BlockReader.block_example,
    "pays": _BlockReader.block_pays, "joins": _BlockReader.block_joins,
    "like": _BlockReader.block_like, "replaces": _BlockReader.block_replaces,
}  # fmt: skip
