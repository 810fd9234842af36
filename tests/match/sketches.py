"""Graphs, rules and contexts in a few words, for the tests of the engine."""

from __future__ import annotations

from types import SimpleNamespace

from sparqc.declared.natives import describe
from sparqc.ir.graph import Graph, Value
from sparqc.ir.text.parse import parse_statements
from sparqc.ir.vocabulary.table import default_table
from sparqc.lang.parse.parser import parse_text
from sparqc.match.match import Match, Matcher
from sparqc.match.rulebook import RuleBook
from sparqc.pipeline.action import Action
from sparqc.pipeline.trace import Recorder
from sparqc.rewrite.context import Context
from sparqc.rewrite.worklist import rewrite

TABLE = default_table()


def graph_of(text: str, level: str = "onnx") -> Graph:
    """A graph from the statements of an example block."""
    return parse_statements(text, TABLE, level)


def book_of(text: str, file: str = "test.spq", **natives) -> RuleBook:
    """The declarations of a pattern file; keywords are the natives that it may call."""
    registered = {name: describe(name, function) for name, function in natives.items()}
    book = RuleBook(table=TABLE, registered=registered)
    book.add_file(parse_text(text, file))
    return book


def pattern(block: str, *, where: str = "", spellings: str = "", **natives):
    """A matcher and a rule named `r` that matches a block, one statement a line."""
    lines = [f"        {line.strip()}" for line in block.strip().splitlines()]
    text = "\n".join(["rule r:", "    match:", *lines])
    if where:
        conditions = [f"        {line.strip()}" for line in where.strip().splitlines()]
        text += "\n" + "\n".join(["    where:", *conditions])
    text += "\n    rewrite:\n        root = root\n".replace("root", _root(block))
    book = book_of(f"{text}\n{spellings}", **natives)
    return Matcher(book, TABLE), book.find("r")


def _root(block: str) -> str:
    """The targets of the last statement; tests write the root last."""
    return block.strip().splitlines()[-1].partition("=")[0].split(",")[0].strip()


def matches(graph: Graph, block: str, **options) -> list[Match]:
    """Every match of a block in a graph whose conditions hold."""
    matcher, rule = pattern(block, **options)
    return [m for node in graph.nodes for m in matcher.holding(rule, node)]


def names(match: Match) -> dict[str, object]:
    """The bindings, with values by their names."""
    return {name: _plain(term) for name, term in match.bindings.items()}


def _plain(term: object) -> object:
    if isinstance(term, tuple):
        return tuple(map(_plain, term))
    return term.name if isinstance(term, Value) else term


def miss(graph: Graph, node: str, block: str, **options) -> str:
    """Why a block does not match with the operator of a value at its root."""
    matcher, rule = pattern(block, **options)
    return str(matcher.explain(rule, graph.value(node).producer))


def context_of(book: RuleBook, **options) -> Context:
    """A context with that rule book; keywords are those of Action."""
    example = options.pop("example", ())
    return Context(TABLE, book, SimpleNamespace(name="any"), Action(**options), example=example)


def run(graph: Graph, text: str, **natives) -> list[str]:
    """Rewrite a graph by every rule of a pattern file; the names of the rules, as applied."""
    book, recorder = book_of(text, **natives), Recorder()
    rewrite(graph, book.rules(graph.level), context_of(book, listeners=[recorder]))
    graph.verify()
    return [event.rule for event in recorder.rules]


def lines(graph: Graph) -> list[str]:
    """The operators of a graph in a few words: "y = nn.relu(x)"."""
    return [
        f"{', '.join(v.name for v in node.outputs)} = {node.op}"
        f"({', '.join('none' if v is None else v.name for v in _flat(node))})"
        for node in graph.nodes
    ]


def _flat(node) -> list[Value | None]:
    found: list[Value | None] = []
    for operand in node.operands.values():
        found += operand if isinstance(operand, tuple) else [operand]
    while found and found[-1] is None:
        found.pop()
    return found
