"""Static checks of a pattern file: everything that can be known without a graph."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from sparqc.declared.natives import Native
from sparqc.errors import PatternError
from sparqc.ir.vocabulary.table import OperatorTable
from sparqc.ir.vocabulary.traits import TRAITS
from sparqc.lang.ast import (
    CheckDecl,
    Declaration,
    FusionDecl,
    OpDecl,
    PatternFile,
    RuleDecl,
    ShareDecl,
)
from sparqc.lang.check.absent import check_absent
from sparqc.lang.check.contradictions import check_contradictions
from sparqc.lang.check.expressions import check_expressions
from sparqc.lang.check.file_name import check_file_name
from sparqc.lang.check.findings import Findings, PatternWarning, failures, in_order
from sparqc.lang.check.fusions import check_fusion
from sparqc.lang.check.levels import check_levels
from sparqc.lang.check.likeness import resolve_like, with_match
from sparqc.lang.check.names import check_names
from sparqc.lang.check.operators import check_operators
from sparqc.lang.check.overlap import check_overlap
from sparqc.lang.check.rewrites import check_rewrite
from sparqc.lang.check.scope import scope_of
from sparqc.lang.check.termination import check_termination
from sparqc.lang.check.unused import check_unused
from sparqc.lang.check.vocabulary import Vocabulary

__all__ = ["PatternWarning", "check_file", "failures"]


def check_file(
    file: PatternFile,
    table: OperatorTable,
    natives: Mapping[str, Native],
    other_files: Iterable[PatternFile] = (),
) -> list[PatternError]:
    """What is wrong with a file, in the order of its lines; warnings are `PatternWarning`s.

    `other_files` are the files it is used together with: their families may be named, their other
    declarations' names are taken.  A file of the same declarations is the file itself.
    """
    others = [other for other in other_files if other.declarations != file.declarations]
    spellings = [d for f in (file, *others) for d in f.declarations if isinstance(d, OpDecl)]
    fusions = {
        d.name: d for f in (file, *others) for d in f.declarations if isinstance(d, FusionDecl)
    }
    shares = {
        d.name: d for f in (file, *others) for d in f.declarations if isinstance(d, ShareDecl)
    }
    vocabulary = Vocabulary(table, spellings, fusions, shares=shares)
    findings = [
        *check_file_name(file),
        *_duplicates(file, others),
        *_families_described_twice(file, others, table),
    ]
    sound: list[RuleDecl] = []
    for declaration in file.declarations:
        found = list(check_declaration(declaration, vocabulary, natives))
        rule = _rule_of(declaration)
        if rule is not None and not failures(found):
            sound.append(rule)
        findings += found
    return in_order([*findings, *check_overlap(sound, vocabulary.spelled)])


def check_declaration(
    declaration: Declaration, vocabulary: Vocabulary, natives: Mapping[str, Native]
) -> Findings:
    """What is wrong with one declaration, looked at by itself."""
    if isinstance(declaration, FusionDecl):
        yield from (found := list(check_fusion(declaration, vocabulary.fusions, vocabulary.shares)))
        if not declaration.match and failures(found):
            return  # it has the match of a fusion that there is not
        declaration = with_match(declaration, vocabulary.fusions)
    if isinstance(declaration, ShareDecl) and declaration.like is not None:
        try:
            declaration = resolve_like(declaration, vocabulary.shares)
        except PatternError as error:
            yield error
            return
    scope = scope_of(declaration)
    findings = [
        *check_names(declaration, scope),
        *check_operators(declaration, scope, vocabulary),
        *check_expressions(declaration, scope, vocabulary, natives),
        *check_levels(declaration, vocabulary),
    ]
    if (rule := _rule_of(declaration)) is not None:
        findings += check_rewrite(rule, scope, vocabulary, natives)
        # What a rule does in the end can be asked only where it makes sense in itself.
        findings += () if failures(findings) else check_termination(rule, vocabulary)
    if not failures(findings):
        findings += check_unused(declaration, scope, vocabulary)
        findings += check_contradictions(declaration)
        findings += check_absent(declaration, rule, scope, vocabulary, natives)
    yield from findings


def _rule_of(declaration: Declaration) -> RuleDecl | None:
    """What a declaration rewrites: a rule, and a check that cures what it finds."""
    if isinstance(declaration, CheckDecl):
        return declaration.repair
    return declaration if isinstance(declaration, RuleDecl) else None


def _duplicates(file: PatternFile, others: Sequence[PatternFile]) -> Findings:
    """Names declared twice; several `op` declarations of one name are alternatives."""
    known = {d.name: d for other in others for d in other.declarations}
    for declaration in file.declarations:
        if declaration.name in TRAITS and isinstance(declaration, OpDecl):
            message = f"{declaration.name!r} is a trait of operators"
            hint = "an operator has it whose row declares it; take another name"
            yield PatternError(message, span=declaration.span, hint=hint)
        first = known.setdefault(declaration.name, declaration)
        both_ops = isinstance(first, OpDecl) and isinstance(declaration, OpDecl)
        if first is not declaration and not both_ops:
            message = f"{declaration.name!r} is declared twice: here and at {first.span}"
            yield PatternError(message, span=declaration.span, hint="rename one of them")


def _families_described_twice(
    file: PatternFile, others: Sequence[PatternFile], table: OperatorTable
) -> Findings:
    """Families that two files describe: either file's rules find what the other one spells, and
    whoever wrote a description of his own hardly knew."""
    known = {d.name: d for f in others for d in f.declarations if isinstance(d, OpDecl) and d.doc}
    for declaration in file.declarations:
        first = known.get(declaration.name)
        if first is None or not isinstance(declaration, OpDecl) or not declaration.doc:
            continue
        if declaration.name not in table.names:
            message = (
                f"the family {declaration.name!r} has a description at {first.span} already: "
                f"rules of either file find the spellings of both"
            )
            hint = "leave the description out where that is meant, else take another name"
            yield PatternWarning(message, span=declaration.span, hint=hint)
