"""What `rules test` says of a rule: instances on all its levels, and its mutants."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sparqc.errors import SparqcError
from sparqc.lang.ast import Declaration
from sparqc.tools.rules.trials.mutants import Mutant
from sparqc.tools.rules.trials.trial import LEAST_FIRED, Tally


@dataclass(frozen=True)
class Survivor:
    """A mutant that nothing goes wrong with, and why the file keeps what it lacks."""

    mutant: Mutant
    reason: str


@dataclass(frozen=True)
class Outcome:
    """One row of the table."""

    rule: Declaration
    tallies: tuple[Tally, ...]
    survivors: tuple[Survivor, ...]

    @property
    def instances(self) -> int:
        """How many graphs there were."""
        return sum(t.instances for t in self.tallies)

    @property
    def fired(self) -> int:
        """On how many of them the rule was applied."""
        return sum(t.fired for t in self.tallies)

    @property
    def wrong(self) -> int:
        """On how many levels it broke its word; the first time ends the level."""
        return sum(t.wrong for t in self.tallies)

    @property
    def mutants(self) -> int:
        """How many there are; 0 where the rule itself is wrong."""
        return max((len(t.killed) + len(t.survived) for t in self.tallies), default=0)

    @property
    def errors(self) -> list[SparqcError]:
        """What is wrong, each with its place."""
        return [*self._wrong(), *self._seldom(), *self._unexplained()]

    def _wrong(self) -> list[SparqcError]:
        return [
            SparqcError(
                f"{self.rule.name} on {t.level}: {t.fault}",
                span=self.rule.span,
                hint=f"on this graph:\n{_indented(t.graph)}",
            )
            for t in self.tallies
            if t.fault
        ]

    def _seldom(self) -> list[SparqcError]:
        found = [t for t in self.tallies if not t.fault and t.share < LEAST_FIRED]
        return [
            SparqcError(
                f"{self.rule.name} on {t.level}: it fires on {t.fired} of {t.instances} graphs of "
                "its own match block",
                span=self.rule.span,
                hint="so little says nothing of it: give it examples, which are varied too",
            )
            for t in found
        ]

    def _unexplained(self) -> list[SparqcError]:
        return [
            SparqcError(
                f"{self.rule.name}: nothing goes wrong without `{s.mutant.without}`",
                span=s.mutant.span,
                hint="leave it out, or say behind it why it stays: `# kept: …`",
            )
            for s in self.survivors
            if not s.reason
        ]

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "rule": self.rule.name,
            "place": str(self.rule.span or ""),
            "levels": [t.level for t in self.tallies],
            "instances": self.instances,
            "fired": self.fired,
            "wrong": self.wrong,
            "mutants": self.mutants,
            "survivors": [
                {"without": s.mutant.without, "reason": s.reason} for s in self.survivors
            ],
            "errors": [str(error) for error in self.errors],
        }


def survivors_of(tallies: Sequence[Tally]) -> list[Mutant]:
    """The mutants that no level killed."""
    killed = {_key(m) for t in tallies for m in t.killed}
    found = {_key(m): m for t in tallies for m in t.survived}
    return [mutant for key, mutant in found.items() if key not in killed]


def _key(mutant: Mutant) -> tuple[object, ...]:
    return mutant.without, mutant.span, mutant.rule.match, mutant.rule.where


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines())
