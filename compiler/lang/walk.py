"""Walks over the values of `sparqc.lang.ast`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import is_dataclass
from typing import TypeVar

from sparqc.errors import Span

_Node = TypeVar("_Node")


def children(node: object) -> Iterator[object]:
    """The syntax nodes directly inside a syntax node, in the order in which they are written."""
    if is_dataclass(node) and not isinstance(node, type):
        yield from _nodes(tuple(vars(node).values()))


def _nodes(entries: tuple[object, ...]) -> Iterator[object]:
    for entry in entries:
        if isinstance(entry, tuple):
            yield from _nodes(entry)
        elif is_dataclass(entry) and not isinstance(entry, Span):
            yield entry


def walk(node: object, kind: type[_Node]) -> Iterator[_Node]:
    """The syntax nodes of one class in a node, itself included, outer ones first."""
    stack = [node]
    while stack:
        at = stack.pop()
        if isinstance(at, kind):
            yield at
        stack += reversed(list(children(at)))
