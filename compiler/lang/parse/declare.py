"""Puts a declaration together from its header and its blocks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, cast, get_args

from sparqc.errors import PatternError
from sparqc.ir.types import Level
from sparqc.lang.ast import (
    CheckDecl,
    Condition,
    Declaration,
    Example,
    FusionDecl,
    MatchStatement,
    OpDecl,
    Pairing,
    PrecisionDecl,
    PrecisionRole,
    QuantizedOperand,
    RewriteStatement,
    RuleDecl,
    ShareDecl,
    Template,
)
from sparqc.lang.fixes import misspelt
from sparqc.lang.parse.builder import Header
from sparqc.lang.parse.keywords import CLAUSES, GRADES, LEVELS, PRESERVES, ROLES

_WORDS: dict[str, tuple[str, ...]] = {
    "on": LEVELS, "preserves": PRESERVES, "grade": GRADES, **ROLES,
}  # fmt: skip


@dataclass
class Parts:
    """What the blocks of a declaration say."""

    doc: str = ""
    source: str = ""
    match: list[MatchStatement] = field(default_factory=list)
    where: list[Condition] = field(default_factory=list)
    rewrite: list[RewriteStatement] = field(default_factory=list)
    int8: list[QuantizedOperand] = field(default_factory=list)
    int8_where: list[Condition] = field(default_factory=list)
    sparse: str | None = None
    sparse_outputs: list[QuantizedOperand] = field(default_factory=list)
    sparse_where: list[Condition] = field(default_factory=list)
    like: str | None = None
    pairings: list[Pairing] = field(default_factory=list)
    pays: list[Condition] = field(default_factory=list)
    joins: tuple[str, ...] = ()
    replaces: tuple[str, ...] = ()
    scale: tuple[str, ...] = ()
    scale_reason: Template | None = None
    message: Template | None = None
    cure: Template | None = None
    examples: list[Example] = field(default_factory=list)


def declare(header: Header, parts: Parts) -> Declaration:
    """The declaration; raises `PatternError` where a part is missing."""
    if not parts.match and not (header.kind == "fusion" and parts.like):
        hint = "match: and statements below" if header.kind != "op" else "y = nn.relu(x)"
        raise PatternError(f"{header.name} matches nothing", span=header.span, hint=hint)
    common = _common(header, parts)
    match header.kind:
        case "op":
            return OpDecl(**common, parameters=header.parameters or (), open=header.open)
        case "rule":
            return _rule(header, parts, common)
        case "fusion":
            return FusionDecl(
                **common,
                like=parts.like,
                int8=tuple(parts.int8),
                pairings=tuple(parts.pairings),
                int8_where=tuple(parts.int8_where),
                sparse=parts.sparse,
                sparse_outputs=tuple(parts.sparse_outputs),
                sparse_where=tuple(parts.sparse_where),
                pays=tuple(parts.pays),
                joins=parts.joins,
                replaces=parts.replaces,
            )
        case "share":
            given = bool(parts.scale or parts.like)
            _demand(header, given, "says not which values share a scale", "scale: x, y")
            return ShareDecl(
                **common, like=parts.like, scale=parts.scale, reason=parts.scale_reason
            )
        case "precision":
            return PrecisionDecl(**common, role=_role(header))
    return _check(header, parts, common)


def _common(header: Header, parts: Parts) -> dict[str, Any]:
    target = header.clauses.get("for")
    return {
        "name": header.name,
        "match": tuple(parts.match),
        "doc": parts.doc,
        "levels": _levels(header),
        "target": target[0][0] if target else None,
        "where": tuple(parts.where),
        "examples": tuple(parts.examples),
        "source": parts.source,
        "span": header.span,
    }


def _levels(header: Header) -> tuple[Level, ...]:
    """The levels of the `on` clause, in the order of the table; all without one."""
    if "on" not in header.clauses:
        return LEVELS
    words, _ = header.clauses["on"]
    return tuple(level for level in LEVELS if level in words)


def _rule(header: Header, parts: Parts, common: dict[str, Any]) -> RuleDecl:
    _demand(header, bool(parts.rewrite), "has no rewrite", "rewrite: and statements below")
    preserves = _word(header, "preserves", "exact")
    return RuleDecl(
        **common,
        rewrite=tuple(parts.rewrite),
        preserves=cast(Literal["exact", "close", "lossy"], preserves),
        decreases=_decreases(header),
    )


def _check(header: Header, parts: Parts, common: dict[str, Any]) -> CheckDecl:
    _demand(header, parts.message is not None, "has no message", 'message "what is wrong"')
    grade = _word(header, "grade", "error")
    return CheckDecl(
        **common,
        grade=cast(Literal["error", "slow", "note"], grade),
        message=parts.message or Template(""),
        cure=parts.cure,
        rewrite=tuple(parts.rewrite),
        preserves=cast(Literal["exact", "close", "lossy"], _word(header, "preserves", "exact")),
        decreases=_decreases(header),
    )


def _role(header: Header) -> PrecisionRole:
    """The one clause that says what FP16 is to the operators."""
    said = [f"{word} {header.clauses[word][0][0]}" for word in ROLES if word in header.clauses]
    hint = f"it says one of: {', '.join(get_args(PrecisionRole))}"
    _demand(header, len(said) == 1, "says not what FP16 is to it, in one clause", hint)
    return cast(PrecisionRole, said[0])


def _decreases(header: Header) -> str | None:
    return header.clauses["decreases"][0][0] if "decreases" in header.clauses else None


def check_header(header: Header) -> None:
    """Raise `PatternError` for words that a declaration of its kind does not know."""
    for word, (_, span) in header.clauses.items():
        if word not in CLAUSES[header.kind]:
            hint = f"its first line may say: {', '.join(CLAUSES[header.kind])}"
            raise PatternError(f"`{word}` does not belong to {header.kind}", span=span, hint=hint)
        _check_words(header, word)
    if header.kind == "op":
        hint = "op nn.silu(x):"
        _demand(header, header.parameters is not None, "says not which operands it has", hint)
    elif header.parameters is not None:
        raise PatternError("only an op has parameters", span=header.span)
    elif "." in header.name:
        hint = header.name.replace(".", "_")
        raise PatternError("only an op's name may have a dot", span=header.span, hint=hint)


def _demand(header: Header, given: bool, message: str, hint: str) -> None:
    if not given:
        raise PatternError(f"{header.name} {message}", span=header.span, hint=hint)


def _check_words(header: Header, clause: str) -> None:
    words, span = header.clauses[clause]
    known = _WORDS.get(clause, words)
    for word in words:
        if word not in known:
            raise misspelt(f"`{clause} {word}` does not exist", word, known, span)


def _word(header: Header, clause: str, default: str) -> str:
    return header.clauses[clause][0][0] if clause in header.clauses else default
