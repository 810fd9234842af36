"""Walks over the values of `sparqc.lang.ast`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import is_dataclass
from functools import cache
from typing import Any, TypeVar, cast

from sparqc.errors import Span

_Node = TypeVar("_Node")


def children(node: object) -> Iterator[object]:
    """The syntax nodes directly inside a syntax node, in the order in which they are written."""
    kind: Any = type(node)
    if _is_node(kind):
        yield from _nodes(vars(node).values())


def _nodes(entries: Iterable[object]) -> Iterator[object]:
    for entry in entries:
        kind: Any = type(entry)
        if kind is tuple:
            yield from _nodes(cast(tuple[object, ...], entry))
        elif _is_node(kind):
            yield entry


@cache
def _is_node(kind: type) -> bool:
    """Asked for each value of each node, of some twenty classes."""
    return is_dataclass(kind) and not issubclass(kind, Span)


def walk(node: object, kind: type[_Node]) -> Iterator[_Node]:
    """The syntax nodes of one class in a node, itself included, outer ones first."""
    stack = [node]
    while stack:
        at = stack.pop()
        if isinstance(at, kind):
            yield at
        stack += reversed(list(children(at)))
