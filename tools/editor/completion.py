"""What may be written at a place of a pattern file."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from sparqc.declared.knobs import knobs
from sparqc.declared.natives import natives
from sparqc.declared.targets import profiles
from sparqc.lang.ast import FusionDecl, ShareDecl
from sparqc.lang.parse.keywords import (
    BLOCK_USAGE,
    BLOCKS,
    CLAUSES,
    DTYPES,
    GRADES,
    GRANULARITIES,
    KNOB,
    LEVELS,
    PAYS,
    PRESERVES,
    PROPERTIES,
    ROLES,
)
from sparqc.lang.parse.layout import Line
from sparqc.tools.editor.analysis import Analysis
from sparqc.tools.editor.words import Word

Kind = Literal["operator", "family", "native", "name", "field", "attribute", "knob", "keyword",
               "declared"]  # fmt: skip
#: Words in front of operators of a pattern, and between the parts of a condition.
_PATTERN = ("maybe", "shared", "ordered")
_CONDITION = ("and", "or", "not", "in", "is", "none", "true", "false", "else", "reaches",
              "comes from", "through", "only", "never")  # fmt: skip
_CLAUSES = {
    "on": LEVELS, "preserves": PRESERVES, "grade": GRADES, **ROLES,
}  # fmt: skip


@dataclass(frozen=True)
class Offer:
    """A word that may stand there, and what it is."""

    text: str
    kind: Kind
    told: str = ""


def offers(analysis: Analysis, line: int, column: int) -> list[Offer]:
    """What may stand at a 0-based place, each once."""
    source = analysis.text.replace("\r\n", "\n").split("\n")
    if line >= len(source):
        return []
    before = source[line][:column]
    found = _Place(analysis, line, before).offers()
    return list({offer.text: offer for offer in found}.values())


def word_before(text: str) -> str:
    """The word that a text ends in, as far as it is written; "" where it ends in none."""
    found = re.search(r"@?[\w.]*$", text)
    return found[0] if found else ""


class _Place:
    """A place, the lines that it stands in, and what stands in front of it in its line."""

    def __init__(self, analysis: Analysis, line: int, before: str) -> None:
        self.analysis, self.line, self.before = analysis, line, before
        self.word = word_before(before)
        self.written = before[: len(before) - len(self.word)]
        self.chain = _chain(analysis.layout.lines, line + 1, len(before) - len(before.lstrip()))
        self.continues = (
            bool(self.chain) and self.chain[-1].number <= line + 1 <= self.chain[-1].last
        )

    @property
    def head(self) -> Line | None:
        return self.chain[0] if self.chain else None

    def offers(self) -> Iterable[Offer]:
        if "#" in re.sub(r'"[^"]*"', "", self.before):
            return ()
        head = self.head
        at_start = not self.written.strip()
        if head is None or (len(self.chain) == 1 and self.continues):
            return self.header(at_start)
        blocks = [line.word for line in self.chain[1:]]
        if self.continues and at_start:
            blocks = blocks[:-1]  # the line that is being written is no block around it
        if not blocks:
            if at_start and "." not in self.word:
                return [*self.block_words(head), *(self.code("match") if head.word == "op" else ())]
            return self.code("match" if head.word == "op" else "")
        return self.code("example" if "example" in blocks else blocks[0])

    def header(self, at_start: bool) -> Iterator[Offer]:
        words = self.written.split()
        if at_start:
            yield from (Offer(kind, "keyword", "a declaration") for kind in BLOCKS)
        elif words[0] in BLOCKS and len(words) > 1:
            clause = next((w for w in reversed(words) if w in CLAUSES[words[0]]), "")
            is_open = words[-1] == clause or words[-1].endswith(",")
            if clause == "for" and is_open:
                yield from (Offer(p.name, "declared", p.doc) for p in profiles().values())
            elif clause and is_open:
                yield from (Offer(word, "keyword") for word in _CLAUSES.get(clause, ()))
            else:
                yield from (Offer(word, "keyword") for word in CLAUSES[words[0]])

    def block_words(self, head: Line) -> Iterator[Offer]:
        for word in BLOCKS.get(head.word, ()):
            yield Offer(word, "keyword", BLOCK_USAGE[word])

    def code(self, block: str) -> Iterator[Offer]:
        if self.word.startswith("@"):
            for native in natives().values():
                yield Offer(f"@{native.name}", "native", native.doc.partition("\n")[0])
        elif "." in self.word and not self.is_operator():
            yield from self.fields(self.word.partition(".")[0])
        elif block in ("like", "joins", "replaces") or self.written.rstrip().endswith(" with"):
            yield from self.declared()
        elif block == "example":
            yield from self.operators()
            yield from (Offer(dtype, "keyword") for dtype in (*DTYPES, "const"))
            yield from self.attributes()
        elif block in ("match", "rewrite"):
            yield from self.attributes()
            yield from self.names()
            yield from self.operators()
            yield from (Offer(word, "keyword") for word in (*_PATTERN, "like", "const"))
            yield from (Offer(dtype, "keyword") for dtype in DTYPES)
            yield from self.every_native() if block == "rewrite" else ()
        elif block in ("where", "int8", "sparse", "pays", "scale", "message", "cure"):
            yield from self.condition(block)

    def condition(self, block: str) -> Iterator[Offer]:
        if re.search(r"\bper\s+$", self.written):
            yield from (Offer(word, "keyword") for word in GRANULARITIES)
            return
        yield from self.names()
        if re.search(r"\b(from|reaches|through|only)\s+\{?[^}]*$", self.written):
            yield from self.operators()
        yield from self.every_native()
        yield from (Offer(word, "keyword") for word in (*_CONDITION, KNOB))
        yield from (Offer(word, "keyword") for word in (PAYS if block == "pays" else ()))
        yield from (Offer("per", "keyword") for _ in range(block in ("int8", "sparse")))

    def is_operator(self) -> bool:
        """Whether the word that is being written begins an operator's name."""
        base = self.word.partition(".")[0]
        if not any(name.startswith(f"{base}.") for name in self.analysis.vocabulary.names):
            return False
        here = (self.line, len(self.written))
        return all((w.line, w.column) == here for w in self.named() if w.text == base)

    def bound(self) -> set[str]:
        """The names of the declaration, as far as they are written."""
        return {word.text for word in self.named()}

    def named(self) -> Iterator[Word]:
        """The places of these names."""
        return (w for w in self.analysis.words if w.head is self.head and w.kind == "name")

    def names(self) -> Iterator[Offer]:
        for name in sorted(self.bound() - {self.word, "_"}):
            yield Offer(name, "name")

    def fields(self, base: str) -> Iterator[Offer]:
        if base == KNOB:
            yield from (Offer(f"{KNOB}.{k.name}", "knob", k.doc) for k in knobs().values())
            return
        for attribute in sorted(self.attributes_of_result(base)):
            yield Offer(f"{base}.{attribute}", "attribute")
        for name, told in PROPERTIES.items():
            yield Offer(f"{base}.{name}", "field", told)

    def attributes_of_result(self, name: str) -> frozenset[str]:
        """The attributes of the operator that gives a value."""
        for line in self.head.children if self.head else ():
            for statement in (line, *line.children):
                found = re.match(rf"{re.escape(name)}\s*=.*?([A-Za-z_][\w.]*)\s*\(", statement.text)
                if found:
                    return self.analysis.vocabulary.attributes(found[1]) or frozenset()
        return frozenset()

    def operators(self) -> Iterator[Offer]:
        vocabulary = self.analysis.vocabulary
        for name in vocabulary.names:
            row = vocabulary.table.get(name)
            if row is not None:
                yield Offer(name, "operator", row.doc.partition(". ")[0])
            else:
                doc = next((d.doc for d in vocabulary.family(name) if d.doc), "")
                yield Offer(name, "family", doc)

    def attributes(self) -> Iterator[Offer]:
        """Those of the call whose bracket is open."""
        head = _open_call(self.before)
        row = self.analysis.vocabulary.operator(head) if head else None
        for name in sorted(self.analysis.vocabulary.attributes(head) or ()) if head else ():
            default = row.attributes.get(name) if row else None
            yield Offer(f"{name}=", "attribute", f"of {head}, {default!r} by default")

    def every_native(self) -> Iterator[Offer]:
        for native in natives().values():
            yield Offer(f"@{native.name}", "native", native.doc.partition("\n")[0])

    def declared(self) -> Iterator[Offer]:
        for declaration in self.analysis.declarations:
            if isinstance(declaration, FusionDecl | ShareDecl):
                yield Offer(declaration.name, "declared", declaration.doc)


def _chain(lines: Iterable[Line], number: int, column: int) -> list[Line]:
    """The lines around a 1-based line that is indented by a column, the outermost first; the last
    may be the line itself."""
    above = [line for line in lines if line.number <= number]
    if not above:
        return []
    last = above[-1]
    itself = last.number <= number <= last.last
    if not itself and column < last.column:
        return []
    return [last, *_chain(last.children, number, column)]


def _open_call(text: str) -> str:
    """The operator whose bracket is open at the end of a text."""
    depth = 0
    for at in range(len(text) - 1, -1, -1):
        depth += (text[at] in ")]}") - (text[at] in "([{")
        if depth < 0:
            found = re.search(r"([A-Za-z_][\w.]*)\s*$", text[:at]) if text[at] == "(" else None
            return found[1] if found else ""
    return ""
