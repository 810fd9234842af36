"""The rules of a pattern file, and the cures of its checks, on generated instances."""

from __future__ import annotations

from collections.abc import Iterator

from sparqc.errors import UsageError, did_you_mean
from sparqc.ir.types import Level
from sparqc.lang.ast import CheckDecl, Declaration, PatternFile, RuleDecl, ShareDecl
from sparqc.tools.rules.examples.result import book_of, target_for, wanted_knobs
from sparqc.tools.rules.trials.mutants import reason_for
from sparqc.tools.rules.trials.orders import Orders
from sparqc.tools.rules.trials.outcome import Outcome, Survivor, survivors_of
from sparqc.tools.rules.trials.shares import moves_codes, try_share
from sparqc.tools.rules.trials.trial import Tally, Trial, try_rule


def run_trials(file: PatternFile, only: str | None, count: int, seed: int) -> Iterator[Outcome]:
    """Each rule of a file until it has fired `count` times on each of its levels, and each share
    that moves codes."""
    for rule in rules_of(file):
        if only in (None, rule.name):
            yield _tried(file, rule, count, seed)
    for share in shares_of(file):
        if only in (None, share.name):
            yield _shared(file, share, count, seed)


def rules_of(file: PatternFile) -> list[RuleDecl]:
    """The rules of a file, and the cures of its checks."""
    found = [_rule(declaration) for declaration in file.declarations]
    return [rule for rule in found if rule is not None]


def shares_of(file: PatternFile) -> list[ShareDecl]:
    """The shares of a file that numbers can be asked of."""
    shares = (d for d in file.declarations if isinstance(d, ShareDecl))
    return [share for share in shares if moves_codes(share)]


def require_rule(files: list[PatternFile], name: str) -> None:
    """UsageError where no file has a rule of that name."""
    names = [d.name for file in files for d in (*rules_of(file), *shares_of(file))]
    if name not in names:
        raise UsageError(f"no rule is named {name!r}", hint=did_you_mean(name, names))


def _rule(declaration: Declaration) -> RuleDecl | None:
    if isinstance(declaration, CheckDecl):
        return declaration.repair
    return declaration if isinstance(declaration, RuleDecl) else None


def _tried(file: PatternFile, rule: RuleDecl, count: int, seed: int) -> Outcome:
    is_cure = not any(declaration is rule for declaration in file.declarations)
    tallies = tuple(_on(file, rule, level, count, seed, not is_cure) for level in rule.levels)
    survivors = tuple(
        Survivor(mutant, reason_for(mutant, file.text, file.path))
        for mutant in survivors_of(tallies)
    )
    return Outcome(rule, tallies, () if any(t.fault for t in tallies) else survivors)


def _shared(file: PatternFile, share: ShareDecl, count: int, seed: int) -> Outcome:
    book = book_of(file)
    for name, value in wanted_knobs(share):
        book.turn(name, value)
    target = target_for(share).name
    tallies = [try_share(share, level, book, target, count, seed) for level in share.levels]
    return Outcome(share, tuple(tallies), ())


def _on(
    file: PatternFile, rule: RuleDecl, level: Level, count: int, seed: int, mutates: bool
) -> Tally:
    book = book_of(file)
    for name, value in wanted_knobs(rule):
        book.turn(name, value)
    trial = Trial(rule, level, book, target_for(rule))
    orders = Orders(book.rules(level, trial.target.name))
    return try_rule(trial, count, seed, orders.fault, mutates)
