"""Where an operator of a graph comes from, and what passes have found out about it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from sparqc.ir.graph import Graph, Node
from sparqc.ir.layer_names import name_of
from sparqc.ir.text.print import print_node
from sparqc.lang.ast import Declaration
from sparqc.match.rulebook import RuleBook
from sparqc.pipeline.decisions.rows import Row, rows_of
from sparqc.report.find_nodes import find_nodes
from sparqc.report.sentence import row_words
from sparqc.rewrite.context import Context
from sparqc.rewrite.facts import Facts


@dataclass(frozen=True)
class Step:
    """A rule or a pass that had to do with an operator."""

    #: "patterns/algebra/fold.spq:3 fold_batch_norm", or the name of a pass.
    rule: str
    #: What the rule says of itself; "" of a pass.
    doc: str


@dataclass(frozen=True)
class Story:
    """What is known of one operator."""

    #: What people call it.
    name: str
    #: As the graph's text has it.
    text: str
    #: Where it stands in the user's model; "" where that is not known.
    module: str
    source: str
    #: Oldest first.
    steps: tuple[Step, ...]
    #: What passes left about it and its weights: figures and reasons.
    facts: tuple[Row, ...]

    def lines(self, explained: set[str]) -> Iterator[str]:
        """It for a person; what a rule says of itself stands where it is named first."""
        yield self.text
        where = [f"line {self.source}"] if self.source else []
        where += [f"module {self.module}"] if self.module else []
        yield f"  from {', '.join(where) or 'no line of the model'}"
        for step in self.steps:
            yield f"  then {step.rule}"
            if step.doc and step.rule not in explained:
                yield f"       {step.doc}"
            explained.add(step.rule)
        if not self.steps:
            yield "  no rule has touched it"
        yield from (f"  {_told(row)}" for row in self.facts)


@dataclass(frozen=True, repr=False)
class Why:
    """The operators that were asked for; `str()` and the prompt show them to a person."""

    stories: tuple[Story, ...]

    def __iter__(self) -> Iterator[Story]:
        return iter(self.stories)

    def __len__(self) -> int:
        return len(self.stories)

    def __str__(self) -> str:
        explained: set[str] = set()
        return "\n\n".join("\n".join(story.lines(explained)) for story in self.stories)

    def __repr__(self) -> str:
        return str(self)


def why(graph: Graph, context: Context, name: str) -> Why:
    """The stories of the operators that a person's word means; UsageError where there is none."""
    declared = {found.name for found in context.rules.declarations}
    rows = [
        replace(row, reason=f"by {row.reason}") if row.reason in declared else row
        for fact in context.facts.since(Facts())
        for row in rows_of(fact)
    ]
    return Why(tuple(_story(node, context, rows) for node in find_nodes(graph, name)))


def _story(node: Node, context: Context, rows: list[Row]) -> Story:
    steps = (_step(rule, context.rules) for rule in node.origin.rules)
    return Story(
        name_of(node),
        print_node(node, context.table, origins=False),
        node.origin.module,
        node.origin.source,
        tuple(steps),
        tuple(_about(node, rows)),
    )


def _about(node: Node, rows: list[Row]) -> Iterator[Row]:
    """The rows that speak of an operator, or of the weights that they say it has."""
    names = {*node.layers, *(value.name for value in node.outputs)}
    weights = {str(row.fields.get("weight")) for row in rows if names.intersection(row.names)}
    return (row for row in rows if (names | weights).intersection(row.names))


def _told(row: Row) -> str:
    words = [*row_words(row.to_json()), *([row.reason] if row.reason else [])]
    return f"{row.fact} of {row.names[0]}: {', '.join(words)}"


def _step(rule: str, book: RuleBook) -> Step:
    name = rule.rpartition(" ")[2]
    found: Declaration | None = next(
        (d for d in book.declarations if d.name == name and d.doc), None
    )
    if " " not in rule and found is not None and found.span is not None:
        # An earlier compile wrote its name alone into the file.
        rule = f"{found.span.file}:{found.span.line} {rule}"
    return Step(rule, found.doc if found is not None else "")
