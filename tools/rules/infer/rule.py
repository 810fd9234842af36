"""The rule that matches a region, as text: a beginning, which a person goes on with."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from sparqc.errors import UsageError
from sparqc.ir.graph import Attribute, Graph, Node, Value
from sparqc.ir.layer_names import name_of
from sparqc.ir.vocabulary.operator import OperandSpec, Operator
from sparqc.ir.vocabulary.raw import operator_of
from sparqc.ir.vocabulary.table import OperatorTable
from sparqc.lang.ast import (
    AttributePattern,
    Bind,
    BuildCall,
    CallPattern,
    Constraint,
    LiteralValue,
    MatchStatement,
    Name,
    RewriteStatement,
)
from sparqc.lang.format.formatter import format_file
from sparqc.lang.format.printer import format_match, format_rewrite, format_scalar
from sparqc.lang.parse.keywords import DTYPES, KNOB, LEVELS, RESERVED
from sparqc.lang.parse.parser import parse_text
from sparqc.tools.rules.infer.region import Region

#: What the root of the match is called.
ROOT = "y"
_DESCRIPTION = "What it is, in a sentence."


def rule_text(region: Region, graph: Graph, table: OperatorTable, name: str) -> str:
    """A pattern file with one rule, in its canonical form.

    It matches the region, and rebuilds it as it is.
    """
    written = _Written(region, graph, table)
    match = [f"        {format_match(s)}" for s in written.statements()]
    lines = [
        f"rule {name} on {', '.join(written.levels())} preserves close:",
        f'    "{_DESCRIPTION}"',
        "    match:",
        *match,
        "    # where:",
        *(f"    #     {line}" for line in written.conditions()),
        "    rewrite:",
        "        # The same operators: write what takes their place.",
        *(f"        {format_rewrite(s)}" for s in written.rewrite()),
    ]
    return format_file(parse_text("\n".join(lines) + "\n"))


@dataclass
class _Written:
    """A region in the words of the language."""

    region: Region
    graph: Graph
    table: OperatorTable
    names: dict[Value, str] = field(default_factory=dict)
    #: Names of operands that are absent and stand in front of others, by operator and slot.
    absent: dict[tuple[Node, str], str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.names[self.region.root.output] = ROOT
        for node in self.region.nodes:
            self._name_results(node)
        for node in self.region.nodes:
            for slot, operand in self._operands(node):
                if operand is None:
                    self.absent[node, slot] = self._free(slot)
                elif operand not in self.names:
                    self.names[operand] = self._free(slot)

    def _name_results(self, node: Node) -> None:
        for value in node.outputs:
            if value not in self.names:
                self.names[value] = self._free(node.op.rpartition(".")[2] or node.op)

    def _free(self, hint: str) -> str:
        """A name like `hint` that nothing has: `x`, `x_2`, …"""
        stem = "".join(c if c.isalnum() and c.isascii() else "_" for c in hint).lower().strip("_")
        stem = stem if stem and not stem[0].isdigit() else f"v{stem}"
        taken = {*self.names.values(), *self.absent.values(), *RESERVED, KNOB, ROOT}
        found, number = stem, 2
        while found in taken:
            found, number = f"{stem}_{number}", number + 1
        return found

    # -- match -----------------------------------------------------------------------------------

    def levels(self) -> list[str]:
        """Both where every operator exists on both, else that of the graph."""
        return [
            level
            for level in LEVELS
            if level == self.graph.level
            or all(
                (row := self.table.get(node.op)) is not None and row.form(level) is not None
                for node in self.region.nodes
            )
        ]

    def statements(self) -> Iterator[MatchStatement]:
        """A line for each operator, each in front of those that read it."""
        seen: set[Value] = set()
        for node in self.region.nodes:
            operands = tuple(self._bind(node, s, v, seen) for s, v in self._operands(node))
            call = CallPattern((node.op,), operands, attributes=tuple(self._attributes(node)))
            shared = node is not self.region.root and self.region.is_read_outside(node)
            yield MatchStatement(tuple(self.names[v] for v in node.outputs), call, shared)

    def _bind(self, node: Node, slot: str, value: Value | None, seen: set[Value]) -> Bind:
        if value is None:
            return Bind(self.absent[node, slot], optional=True)
        if value.producer in self.region.nodes or value in seen:
            return Bind(self.names[value])
        seen.add(value)
        dims = () if value.is_const and value.shape == () else None
        constraint = Constraint(True, dims=dims) if value.is_const else None
        return Bind(self.names[value], constraint=constraint)

    def _operands(self, node: Node) -> list[tuple[str, Value | None]]:
        """The operands by their slots, absent ones at the end left out."""
        found: list[tuple[str, Value | None]] = []
        for spec in self._row(node).operands:
            found += _slots(spec, node.operands.get(spec.name))
        while found and found[-1][1] is None:
            found.pop()
        return found

    def _attributes(self, node: Node) -> Iterator[AttributePattern]:
        """Those that differ from their defaults and can be written."""
        defaults = self._row(node).attributes
        for name, value in node.attributes.items():
            literal = _literal(value)
            if literal is not _NO_LITERAL and value != defaults.get(name):
                yield AttributePattern(name, literal)  # type: ignore[arg-type]

    def _row(self, node: Node) -> Operator:
        row = operator_of(node, self.table)
        if row is None:
            raise UsageError(
                f"{node.op} has no schema, so its operands have no order to write them in",
                hint=f"leave {name_of(node)} out of --nodes",
            )
        return row

    # -- where, rewrite --------------------------------------------------------------------------

    def conditions(self) -> Iterator[str]:
        """What is so in this place, and may be asked for."""
        for value in (*self.region.inputs, self.region.root.output):
            name, type_ = self.names[value], value.type
            if type_.shape is not None:
                sizes = [d for d in type_.shape if isinstance(d, int)]
                if sizes and len(sizes) == len(type_.shape):
                    shape = format_scalar(tuple(sizes))
                    yield f'{name}.shape == {shape}  else "the shape {{{name}.shape}}"'
                else:
                    rank = len(type_.shape)
                    yield f'{name}.rank == {rank}  else "{{{name}.rank}} dimensions"'
            if type_.dtype in DTYPES and not value.is_const:
                yield f'{name}.dtype == "{type_.dtype}"  else "it is {{{name}.dtype}}"'
        for name in self.absent.values():
            yield f'{name} is none  else "{name} is there"'

    def rewrite(self) -> Iterator[RewriteStatement]:
        """The same operators again, under names of their own but for the root."""
        local: dict[Value, str] = {}
        for node in self.region.nodes:
            is_root = node is self.region.root
            operands = tuple(
                Name(self.absent[node, s] if v is None else local.get(v, self.names[v]))
                for s, v in self._operands(node)
            )
            call = BuildCall(node.op, operands, like=self.names[node.output])
            if not is_root:
                local |= {v: self._free(f"new_{self.names[v]}") for v in node.outputs}
            yield RewriteStatement(tuple(local.get(v, self.names[v]) for v in node.outputs), call)


def _slots(
    spec: OperandSpec, operand: Value | tuple[Value, ...] | None
) -> list[tuple[str, Value | None]]:
    if isinstance(operand, tuple):
        singular = spec.name.removesuffix("s") or spec.name
        return [(singular, value) for value in operand]
    return [(spec.name, operand)]


_NO_LITERAL = object()


def _literal(value: Attribute) -> LiteralValue | tuple[LiteralValue, ...] | object:
    """An attribute as the language writes it; `_NO_LITERAL` for arrays and lists of lists."""
    if value is None or isinstance(value, bool | int | float | str):
        return value if value == value else _NO_LITERAL  # not a number is equal to nothing
    if isinstance(value, tuple):
        items = [_literal(item) for item in value]
        if not any(isinstance(item, tuple) or item is _NO_LITERAL for item in items):
            return tuple(items)
    return _NO_LITERAL
