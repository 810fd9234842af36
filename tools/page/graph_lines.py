"""The lines of a run's graphs, each once, with what the page has to know of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol

from sparqc.errors import PatternError
from sparqc.ir.text.grammar import (
    Called,
    ConstantLine,
    Header,
    Line,
    NodeLine,
    Operand,
    ReturnLine,
    Word,
    parse_text,
)
from sparqc.ir.text.tokens import origin_of, type_text


class StageText(Protocol):
    """What the page needs of a stage of a run: where it stands, and its text."""

    @property
    def number(self) -> int:
        """How many passes had run."""

    @property
    def name(self) -> str:
        """The pass in front of it."""

    @property
    def level(self) -> str:
        """fx or onnx."""

    @property
    def text(self) -> str:
        """The graph as `print_graph` writes it."""

    @property
    def file(self) -> str:
        """Where it lies in the run's folder."""


def stages_json(stages: Sequence[StageText]) -> dict[str, Any]:
    """`lines`: every different line; `stages`: each as the numbers of its lines.

    Most passes leave most lines as they were, so that the stages of a run take little more than
    one.  Raises PatternError where a text is no graph.
    """
    numbers: dict[str, int] = {}
    rows: list[dict[str, Any]] = []
    for stage in stages:
        for line in stage.text.splitlines():
            numbers.setdefault(line, len(numbers))
        new = list(numbers)[len(rows) :]
        try:
            rows += _rows(new, stage.file)
        except PatternError:
            parse_text(stage.text, stage.file)  # which says the line in the whole text
            raise
    return {
        "lines": rows,
        "stages": [
            {
                "number": stage.number,
                "name": stage.name,
                "level": stage.level,
                "file": stage.file,
                "lines": [numbers[line] for line in stage.text.splitlines()],
            }
            for stage in stages
        ],
    }


def _rows(lines: Sequence[str], file: str) -> Iterator[dict[str, Any]]:
    """A row for each line, in their order; one that holds nothing has its text alone."""
    tree = parse_text("\n".join(lines) + "\n", file)
    by_line = {_place(line): line for line in (*tree.headers, *tree.lines)}
    for number, text in enumerate(lines, start=1):
        found = by_line.get(number)
        yield {"text": text.strip(), **(_row(found) if found is not None else {})}


def _place(line: Header | Line) -> int:
    """The line of the text on which something stands; 0 for a return of nothing."""
    if isinstance(line, Header):
        return line.level.line
    if isinstance(line, NodeLine):
        return line.targets[0].line
    if isinstance(line, ReturnLine):
        return line.results[0][0].line if line.results else 0
    return line.name.line


def _row(line: Header | Line) -> dict[str, Any]:
    if isinstance(line, Header):
        types = [type_text(i.type) for i in line.inputs]
        return {"kind": "header", "out": [i.name.text for i in line.inputs], "types": types}
    if isinstance(line, ConstantLine):
        return {"kind": "const", "out": [line.name.text], "types": [type_text(line.type)]}
    if isinstance(line, ReturnLine):
        return {"kind": "return", "in": [value.text for value, _ in line.results]}
    if isinstance(line, NodeLine):
        return _node(line)
    return {}


def _node(line: NodeLine) -> dict[str, Any]:
    origin = origin_of(line.comment)
    row = {
        "kind": "node",
        "out": [word.text for word in line.targets],
        "op": line.call.op.text,
        "in": list(_read(line.call)),
        "types": [type_text(t) for t in line.types or ()],
        "module": origin.module,
        "source": origin.source,
        "rules": list(origin.rules),
    }
    return {key: value for key, value in row.items() if value}


def _read(call: Called) -> Iterator[str]:
    """The values that a call reads, by position and by name."""
    yield from _names(call.operands)
    for _, given in call.named:
        yield from _names(given if isinstance(given, tuple) else (given,))


def _names(operands: Iterable[Operand]) -> Iterator[str]:
    for operand in operands:
        if isinstance(operand, Word):
            yield operand.text
        elif isinstance(operand, tuple):
            yield from _names(operand)
        elif isinstance(operand, Called):
            yield from _read(operand)


def text_alone(stages: Sequence[StageText]) -> dict[str, Any]:
    """The stages without what their lines mean, where one of them is no graph any more."""
    return {"lines": [], "stages": [], "unread": [stage.file for stage in stages]}


def readable_stages(stages: Sequence[StageText]) -> dict[str, Any]:
    """`stages_json`, or `text_alone` where a text is no graph: a page is better than none."""
    try:
        return stages_json(stages)
    except PatternError:
        return text_alone(stages)
