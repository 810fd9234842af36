"""Shares held to what they say: to round what operators read is to round what they give."""

from __future__ import annotations

from contextlib import suppress

import numpy as np

from sparqc.errors import SparqcError
from sparqc.ir.graph import Graph, TensorType, Value
from sparqc.ir.quantizers import FAKE_QUANTIZE
from sparqc.ir.types import Level
from sparqc.lang.ast import ShareDecl
from sparqc.match.match import Match, Matcher
from sparqc.match.rulebook import RuleBook
from sparqc.tools.rules.trials.example_text import example_text
from sparqc.tools.rules.trials.graphs.build import Instance
from sparqc.tools.rules.trials.graphs.instances import instances
from sparqc.tools.rules.trials.oracle import DoesNotRun, run
from sparqc.tools.rules.trials.trial import Tally, Wrong, generate

_SCALE = 0.05


def moves_codes(share: ShareDecl) -> bool:
    """Whether it names values in front of its operators, and values behind them: what a share of
    values on one side means, no numbers can tell."""
    made = {name for statement in share.match for name in statement.targets}
    return not made.isdisjoint(share.scale) and not made.issuperset(share.scale)


def try_share(
    share: ShareDecl, level: Level, book: RuleBook, target: str, wanted: int, seed: int
) -> Tally:
    """Graphs until the share has matched so often, or one does not commute with rounding."""
    tally, matcher = Tally(share, level), Matcher(book, book.table, target)

    def one(instance: Instance | None) -> None:
        if instance is None or tally.fired >= wanted:
            return
        found = _commutes(share, instance, matcher)
        tally.instances += not tally.fault
        tally.fired += found is not None and not tally.fault
        if found is False:
            tally.wrong, tally.graph = 1, example_text(instance.graph, book.table)
            tally.fault = "rounding in front of it gives other numbers than rounding behind it"
            raise Wrong(tally.fault)

    with suppress(Wrong):
        generate(one, instances(share, level, book, target), 3 * wanted, seed, shrinks=True)
    return tally


def _commutes(share: ShareDecl, instance: Instance, matcher: Matcher) -> bool | None:
    """None where the share does not match, or the graph does not run."""
    graph = instance.graph
    match = next((m for n in graph.nodes if (m := matcher.first(share, n))), None)
    if match is None:
        return None
    values = [v for name in share.scale for v in _values(match.bindings[name])]
    given = [v for v in values if v.producer not in match.nodes]
    # A name stands for all results of an operator that has several.
    made = [v for n in match.nodes if n in {w.producer for w in values} for v in n.outputs]
    if any(v.type.dtype != "f32" for v in values):
        return None
    try:
        results = [
            run(_rounded(graph, some, match), instance.batch, matcher.table)
            for some in (given, made)
        ]
    except (DoesNotRun, SparqcError):
        return None
    pairs = zip(*results, strict=True)
    return all(np.array_equal(a, b, equal_nan=a.dtype.kind == "f") for a, b in pairs)


def _values(term: object) -> list[Value]:
    if isinstance(term, tuple):
        return [value for item in term for value in _values(item)]
    return [term] if isinstance(term, Value) else []


def _rounded(graph: Graph, values: list[Value], match: Match) -> Graph:
    """A copy in which the matched operators read, or give, values rounded to one scale."""
    copy = graph.clone()
    matched = {node.output.name for node in match.nodes}
    for name in dict.fromkeys(v.name for v in values):
        value = copy.value(name)
        scale = copy.constant(np.array(_SCALE, np.float32), "scale")
        operands = {"x": value, "scale": scale, "zero_point": None}
        attributes = {"axis": None, "low": -128, "high": 127}
        inside = [n for n in value.readers if n.output.name in matched]
        type = TensorType(value.type.dtype, value.shape)
        made = copy.create(FAKE_QUANTIZE, operands, attributes, types=[type])
        if value.producer is None or value.producer.output.name not in matched:
            for node in inside:
                for slot in node.slots_of(value):
                    copy.redirect(node, slot, value, made.output)
        else:
            copy.replace(value, made.output)
            copy.set_operand(made, "x", value)
    copy.sort()
    return copy
