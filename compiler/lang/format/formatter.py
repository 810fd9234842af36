"""The canonical text of declarations and of whole pattern files.

`parse_text(format_file(f)) == f`, and formatting twice changes nothing.  Comments are kept: they
are no part of the values, so they are taken from the text that the values were parsed from.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from sparqc.errors import Span
from sparqc.lang.ast import (
    CheckDecl,
    Condition,
    Declaration,
    Example,
    FusionDecl,
    OpDecl,
    PatternFile,
    PrecisionDecl,
    RuleDecl,
    ShareDecl,
    Template,
    Unary,
)
from sparqc.lang.format.printer import (
    format_bind,
    format_expr,
    format_match,
    format_pairing,
    format_quantized,
    format_rewrite,
)
from sparqc.lang.parse.comments import with_comments
from sparqc.lang.parse.keywords import BLOCKS, LEVELS
from sparqc.lang.parse.layout import Line, read_layout
from sparqc.lang.parse.wrap import (
    PAGE,
    STEP,
    indented,
    said,
    wrap_code,
    wrap_condition,
    wrap_never,
    wrap_sentence,
)


@dataclass(frozen=True)
class Printed:
    """A logical line of canonical text, and the physical line of the source that it stands for."""

    depth: int
    text: str  # may hold line breaks; further lines have their indentation relative to the first
    line: int = 0


def format_file(file: PatternFile) -> str:
    """The canonical text of a file, with the comments of the text it was parsed from."""
    layout = read_layout(file.text, file.path)
    heads = [line for line in layout.lines if line.word in BLOCKS]
    known: Sequence[Line | None] = heads or [None] * len(file.declarations)
    printed = [Printed(0, wrap_sentence("", file.doc, 0), 1)] if file.doc else []
    if file.doc and layout.lines:
        printed = [Printed(0, printed[0].text, layout.lines[0].number)]
    for declaration, line in zip(file.declarations, known, strict=True):
        printed += _Declaration(declaration, line).lines()
    return with_comments(printed, layout)


def format_declaration(declaration: Declaration) -> str:
    """The canonical text of one declaration, without a line break at the end."""
    return "\n".join(indented(p.text, p.depth) for p in _Declaration(declaration).lines())


class _Declaration:
    """Prints one declaration; `line` is where it stands in the source, if anywhere."""

    def __init__(self, declaration: Declaration, line: Line | None = None) -> None:
        self.declaration, self.line = declaration, line

    def lines(self) -> Iterator[Printed]:
        d = self.declaration
        yield Printed(0, wrap_code(_header(d), 0), self.line.number if self.line else 0)
        if d.doc:
            yield Printed(1, wrap_sentence("", d.doc, STEP), self.number('"'))
        if d.source and not isinstance(d, CheckDecl):
            yield self.sentence("source", d.source)
        if isinstance(d, FusionDecl | ShareDecl) and d.like is not None:
            yield Printed(1, f"like {d.like}", self.number("like"))
        if isinstance(d, FusionDecl) and d.replaces:
            yield Printed(1, f"replaces {', '.join(d.replaces)}", self.number("replaces"))
        yield from self.matched()
        if d.where:
            yield Printed(1, "where:", self.number("where"))
            yield from _conditions(d.where)
        yield from self.kind_specific()
        for position, example in enumerate(d.examples):
            yield from self.example(example, position)

    def number(self, word: str, nth: int = 0) -> int:
        """The source line of the nth block that begins with a word."""
        blocks = self.blocks(word)
        return blocks[nth].number if nth < len(blocks) else 0

    def blocks(self, word: str) -> list[Line]:
        children = self.line.children if self.line else []
        return [c for c in children if (c.word or c.text[:1]) == word]

    def sentence(self, word: str, text: str) -> Printed:
        return Printed(1, wrap_sentence(f"{word} ", text, STEP), self.number(word))

    def matched(self) -> Iterator[Printed]:
        d = self.declaration
        if not d.match:
            return  # a case of another fusion
        bare = isinstance(d, OpDecl) and not (d.source or d.where or d.examples)
        if not bare:
            yield Printed(1, "match:", self.number("match"))
        depth = 1 if bare else 2
        for statement in d.match:
            yield _code(depth, format_match(statement), statement.span)

    def kind_specific(self) -> Iterator[Printed]:
        """The blocks that only this kind of declaration has."""
        d = self.declaration
        if isinstance(d, RuleDecl):
            yield from self.rewrite(d)
        elif isinstance(d, FusionDecl):
            yield from self.fusion(d)
        elif isinstance(d, ShareDecl) and d.scale:
            scale = wrap_condition(f"scale: {', '.join(d.scale)}", d.reason, 0, STEP)
            yield Printed(1, scale, self.number("scale"))
        elif isinstance(d, CheckDecl):
            yield self.sentence("message", d.message.text)
            if d.cure is not None:
                yield self.sentence("cure", d.cure.text)
            if d.source:
                yield self.sentence("source", d.source)
            if d.rewrite:
                yield from self.rewrite(d)

    def rewrite(self, declaration: RuleDecl | CheckDecl) -> Iterator[Printed]:
        yield Printed(1, "rewrite:", self.number("rewrite"))
        for statement in declaration.rewrite:
            yield _code(2, format_rewrite(statement), statement.span)

    def fusion(self, fusion: FusionDecl) -> Iterator[Printed]:
        if fusion.int8 or fusion.pairings or fusion.int8_where:
            yield Printed(1, "int8:", self.number("int8"))
            yield from _lines((format_quantized(q), q.reason, q.span) for q in fusion.int8)
            yield from _lines((format_pairing(p), p.reason, p.span) for p in fusion.pairings)
            yield from _conditions(fusion.int8_where)
        if fusion.sparse is not None:
            colon = ":" if fusion.sparse_outputs or fusion.sparse_where else ""
            yield Printed(1, f"sparse {fusion.sparse}{colon}", self.number("sparse"))
            outputs = fusion.sparse_outputs
            yield from _lines((format_quantized(q), q.reason, q.span) for q in outputs)
            yield from _conditions(fusion.sparse_where)
        if fusion.pays:
            yield Printed(1, "pays:", self.number("pays"))
            yield from _conditions(fusion.pays)
        if fusion.joins:
            yield Printed(1, f"joins {', '.join(fusion.joins)}", self.number("joins"))

    def example(self, example: Example, position: int) -> Iterator[Printed]:
        blocks = self.blocks("example")
        block = blocks[position] if position < len(blocks) else None
        inner = {c.word: c.number for c in block.children} if block else {}
        yield Printed(1, "example:", block.number if block else 0)
        yield Printed(2, _raw("before:", example.before), inner.get("before", 0))
        if example.after is not None:
            yield Printed(2, _raw("after:", example.after), inner.get("after", 0))
        for word, sentence in (("rejects", example.rejects), ("finds", example.finds)):
            if sentence is not None:
                text = wrap_sentence(f"{word} ", sentence, 2 * STEP)
                yield Printed(2, text, inner.get(word, 0))


def _code(depth: int, text: str, span: Span | None) -> Printed:
    return Printed(depth, wrap_code(text, STEP * depth), span.line if span else 0)


def _raw(header: str, text: str) -> str:
    return f"{header}\n{indented(text, 1)}"


def _conditions(conditions: Sequence[Condition]) -> Iterator[Printed]:
    """The conditions of a block, their reasons below one another where they fit."""
    plain = [c for c in conditions if not c.never]
    lines = _lines((format_expr(c.expr), c.reason, c.span) for c in plain)
    yield from (_never(c) if c.never else next(lines) for c in conditions)


def _never(condition: Condition) -> Printed:
    """`never "reason" if expression`: the condition is that the expression does not hold."""
    assert condition.reason is not None
    told = format_expr(condition.expr.operand) if isinstance(condition.expr, Unary) else ""
    line = condition.span.line if condition.span else 0
    return Printed(2, wrap_never(condition.reason, told, 2 * STEP), line)


def _lines(lines: Iterable[tuple[str, Template | None, Span | None]]) -> Iterator[Printed]:
    """Code with reasons behind it."""
    known = list(lines)
    room = PAGE - 2 * STEP
    short = [len(e) for e, why, _ in known if why and len(f"{e}  {said(why)}") <= room]
    for code, reason, span in known:
        text = wrap_condition(code, reason, max(short, default=0), 2 * STEP)
        yield Printed(2, text, span.line if span else 0)


_KINDS = {"OpDecl": "op", "RuleDecl": "rule", "FusionDecl": "fusion", "ShareDecl": "share",
          "PrecisionDecl": "precision"}  # fmt: skip


def _header(d: Declaration) -> str:
    kind = _KINDS.get(type(d).__name__, "check")
    words = [f"{kind} {d.name}"]
    if isinstance(d, OpDecl):
        parameters = [format_bind(p) for p in d.parameters] + (["..."] if d.open else [])
        words[0] += f"({', '.join(parameters)})"
    if not isinstance(d, OpDecl) or d.levels != LEVELS:
        words.append(f"on {', '.join(d.levels)}")
    if d.target is not None:
        words.append(f"for {d.target}")
    if isinstance(d, RuleDecl):
        words.append(f"preserves {d.preserves}")
        words += [f"decreases {d.decreases}"] if d.decreases else []
    elif isinstance(d, PrecisionDecl):
        words.append(d.role)
    elif isinstance(d, CheckDecl):
        words.append(f"grade {d.grade}")
        words += [f"preserves {d.preserves}"] if d.rewrite else []
        words += [f"decreases {d.decreases}"] if d.decreases else []
    return f"{' '.join(words)}:"
