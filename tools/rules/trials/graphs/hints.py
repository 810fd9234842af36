"""What the conditions of a declaration ask of the names of its match, as far as it can be drawn."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from sparqc.ir.graph import Attribute
from sparqc.lang.ast import (
    Binary,
    Condition,
    Expr,
    Field,
    ListExpr,
    Literal,
    Name,
    NativeCall,
    Unary,
)


@dataclass
class Hints:
    """Values that conditions compare a name, or a property of it, with."""

    #: Of a name: what an attribute that it is bound to may be.
    values: dict[str, list[Attribute]] = field(default_factory=dict)
    #: Of a name: how many dimensions, which element types, which numbers all over.
    ranks: dict[str, list[int]] = field(default_factory=dict)
    dtypes: dict[str, list[str]] = field(default_factory=dict)
    numbers: dict[str, list[float]] = field(default_factory=dict)
    #: Names that are to be computed, and no constants.
    computed: set[str] = field(default_factory=set)
    #: Names that a function is asked of together: what it asks may hold of one value.
    alike: list[tuple[str, str]] = field(default_factory=list)
    #: Names that several operators are to read.
    shared: set[str] = field(default_factory=set)


def hints_of(conditions: tuple[Condition, ...]) -> Hints:
    """What the conditions ask for."""
    hints = Hints()
    for condition in conditions:
        for expr in _parts(condition.expr):
            _note(expr, hints)
    return hints


def _parts(expr: Expr) -> Iterator[Expr]:
    """What an expression is made of by `and` and `or`."""
    if isinstance(expr, Binary) and expr.op in ("and", "or"):
        yield from _parts(expr.left)
        yield from _parts(expr.right)
    else:
        yield expr


def _note(expr: Expr, hints: Hints) -> None:
    match expr:
        case Binary("==" | "is", Name(name), Literal(value)):
            hints.values.setdefault(name, []).append(value)
        case Binary("==", Field(Name(name), "rank"), Literal(int(rank))):
            hints.ranks.setdefault(name, []).append(rank)
        case Binary("==", Field(Name(name), "dtype"), Literal(str(dtype))):
            hints.dtypes.setdefault(name, []).append(dtype)
        case Binary("in", Field(Name(name), "dtype"), ListExpr(items)):
            found = [i.value for i in items if isinstance(i, Literal) and isinstance(i.value, str)]
            hints.dtypes.setdefault(name, []).extend(found)
        case NativeCall(_, (Name(name), Literal(int(number) | float(number)))):
            hints.numbers.setdefault(name, []).append(number)
        case NativeCall(_, (Name(first), Name(second))):
            hints.alike.append((first, second))
        case Unary("not", Field(Name(name), "is_const")):
            hints.computed.add(name)
        case Binary(">", Field(Name(name), "readers"), Literal(1)):
            hints.shared.add(name)
        case _:
            pass
