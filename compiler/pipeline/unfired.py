"""Which rules of a person's own fired nowhere, and what they nearly matched."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, field

from sparqc.ir.graph import Graph
from sparqc.ir.layer_names import name_of
from sparqc.lang.ast import RuleDecl
from sparqc.match.match import Matcher
from sparqc.match.nearest import places
from sparqc.rewrite.context import Context


@dataclass(frozen=True)
class UnfiredRule:
    """A rule that fired nowhere, and where it nearly matched in the graph that its pass left."""

    rule: str
    #: The operator, and what stands in the way: in words, and as the line of the pattern file; ""
    #: where the graph has none of the operators that the rule looks for.
    node: str
    reason: str
    line: str

    def to_json(self) -> dict[str, str]:
        """Plain data."""
        return asdict(self)

    def __str__(self) -> str:
        if not self.node:
            return f"the rule {self.rule} fired nowhere: {self.reason}"
        at = f" ({self.line})" if self.line else ""
        return f"the rule {self.rule} fired nowhere; nearest {self.node}: {self.reason}{at}"


@dataclass(frozen=True)
class OwnRules:
    """Which rules of a person's own fired, and the nearest misses of those that did not."""

    fired: frozenset[str] = frozenset()
    by_rule: Mapping[str, UnfiredRule] = field(default_factory=dict)

    @property
    def unfired(self) -> tuple[UnfiredRule, ...]:
        """The misses of the rules that fired in no pass."""
        return tuple(miss for rule, miss in self.by_rule.items() if rule not in self.fired)


def note_unfired(
    rules: Iterable[RuleDecl], fired: Collection[str], graph: Graph, context: Context
) -> None:
    """Leave among the facts which rules a pass applied, and the nearest misses of the others in
    the graph that it left."""
    matcher = Matcher(context.rules, context.table, context.target.name)
    known = context.facts.get(OwnRules, OwnRules())
    idle = [rule for rule in rules if rule.name not in fired and context.action.allows(rule)]
    found = {rule.name: _nearest(rule, graph, matcher) for rule in idle}
    misses = {name: miss for name, miss in found.items() if miss is not None}
    context.facts.put(OwnRules(known.fired.union(fired), {**known.by_rule, **misses}))


def _nearest(rule: RuleDecl, graph: Graph, matcher: Matcher) -> UnfiredRule | None:
    """None where it matches: a limit kept it from being applied."""
    found = places(rule, graph, matcher)
    if found.matches:
        return None
    if not found.misses:
        roots = " or ".join(sorted(matcher.roots(rule)))
        return UnfiredRule(rule.name, "", f"it looks for {roots}, and the graph has none", "")
    miss = found.misses[0]
    return UnfiredRule(rule.name, name_of(miss.node), miss.reason, str(miss.span or ""))
