"""What the rules of a pass nearly matched: where they looked at more than the operator that they
begin with, and which operand or condition stood in the way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sparqc.match.match import Matcher
from sparqc.match.nearest import candidates
from sparqc.pipeline.registry import registered

if TYPE_CHECKING:
    from sparqc.ir.graph import Graph
    from sparqc.match.result import Miss
    from sparqc.rewrite.context import Context

#: So many steps of a pattern are a near miss: its operator, and something of its operands.
NEAR = 2
#: So many places of one line of a rule are named.
NAMED = 12


@dataclass
class NearMiss:
    """One line of a rule that was not met, and where."""

    #: The pass, and its place among those that ran.
    pass_: str
    number: int
    rule: str
    #: Where the rule stands, and the line: "patterns/algebra/fold.spq:12:1".
    span: str
    line: str
    #: What `sparqc whynot` says of the first place.
    reason: str
    #: How often, and the values at the first places.
    count: int
    names: list[str]

    def to_json(self) -> dict[str, Any]:
        """Plain data, as run.json holds it."""
        return {name.rstrip("_"): value for name, value in vars(self).items()}


def near_misses(pass_: str, number: int, graph: Graph, context: Context) -> list[NearMiss]:
    """Those of a pass of rules in the graph that it left, by the line; none of another pass."""
    names = set(getattr(registered().get(pass_), "rules", ()))
    rules = context.rules.rules(graph.level, context.target.name)
    matcher = Matcher(context.rules, context.table, context.target.name)
    found: dict[tuple[str, str], NearMiss] = {}
    for rule in (rule for rule in rules if rule.name in names and context.action.allows(rule)):
        for node in candidates(rule, graph, matcher):
            miss = matcher.explain(rule, node)
            if miss is not None and (miss.match is not None or miss.progress >= NEAR):
                _add(found, miss, pass_, number)
    return list(found.values())


def _add(found: dict[tuple[str, str], NearMiss], miss: Miss, pass_: str, number: int) -> None:
    rule, name = miss.decl, miss.node.output.name
    key = rule.name, str(miss.span or "")
    new = NearMiss(pass_, number, rule.name, str(rule.span or ""), key[1], miss.reason, 0, [])
    one = found.setdefault(key, new)
    one.count += 1
    if len(one.names) < NAMED:
        one.names.append(name)
