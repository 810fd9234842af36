"""Sizes of outputs that depend on numbers: how many elements are above a threshold."""

from __future__ import annotations

import re

from sparqc.ir.graph import Graph, Value


def may_differ(one: tuple[int, ...], other: tuple[int, ...], value: Value, graph: Graph) -> bool:
    """Whether an output may have either of two shapes for one input: where they differ, its size
    is neither known nor that of an input."""
    shape = value.type.shape
    if shape is None:
        return True
    given = {word for v in graph.inputs for size in v.type.shape or () for word in _words(size)}
    return len(one) == len(other) == len(shape) and all(
        a == b or (isinstance(size, str) and not given.issuperset(_words(size)))
        for a, b, size in zip(one, other, shape, strict=True)
    )


def _words(size: int | str) -> set[str]:
    return set(re.findall(r"[^\W\d]\w*", size)) if isinstance(size, str) else set()
