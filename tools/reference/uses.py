"""Which installed declarations name an operator or call a native."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from sparqc.lang.ast import BuildCall, CallPattern, Declaration, NativeCall
from sparqc.lang.walk import walk
from sparqc.pipeline.installed import installed

#: By the name of an operator or a native: the declarations that name it, in order.
Uses = Mapping[str, tuple[str, ...]]


def operator_uses() -> Uses:
    """The declarations that match or build an operator by its name."""
    return _uses(_operators)


def native_uses() -> Uses:
    """The declarations that call a native."""
    return _uses(lambda declaration: {call.name for call in walk(declaration, NativeCall)})


def _operators(declaration: Declaration) -> set[str]:
    matched = {head for call in walk(declaration, CallPattern) for head in call.heads}
    return matched | {call.op for call in walk(declaration, BuildCall)}


def _uses(named: Callable[[Declaration], Iterable[str]]) -> Uses:
    found: dict[str, set[str]] = {}
    for declaration in (d for file in installed() for d in file.declarations):
        for name in named(declaration):
            found.setdefault(name, set()).add(declaration.name)
    return {name: tuple(sorted(users)) for name, users in found.items()}
