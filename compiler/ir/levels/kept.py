"""Runners that are kept for the next who runs the same graph.

A graph's runner is kept on the graph itself: it goes when the graph goes.  A change of structure
drops it at once, and nothing that a runner was made from can change unseen: the state of the whole
graph is compared before it is handed out again, which costs much less than to make one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from sparqc.ir.graph import Graph, Node, Value
from sparqc.ir.runner import KeptRunner

#: Up to so many bytes the numbers of a constant count too: a runner may have taken them for good.
#: A larger array is shared with whatever runs, or replaced by another one.
SMALL = 1024


@dataclass(frozen=True)
class _Kept:
    settings: object
    state: list[Any]
    #: Keeps the identities in `state` from being given to other objects.
    alive: list[Any]
    runner: KeptRunner


def kept_runner(graph: Graph, settings: object, make: Callable[[], KeptRunner]) -> KeptRunner:
    """The runner that was made for these settings, as long as the graph is what it was; else one
    that `make` makes, which is then kept instead."""
    alive: list[Any] = []
    state = [item for part in _parts(graph, alive) for item in part]
    kept: _Kept | None = graph.kept
    if kept is not None and kept.settings == settings and kept.state == state:
        kept.runner.refresh()
        return kept.runner
    graph.kept = None  # two runners at once would take twice the memory
    made = make()
    graph.kept = _Kept(settings, state, alive, made)
    return made


def _parts(graph: Graph, alive: list[Any]) -> Iterator[list[Any]]:
    """What a runner is made from, in numbers and words that can be compared."""

    def identity(item: Any) -> int:
        alive.append(item)
        return id(item)

    def value(item: Value) -> list[Any]:
        return [identity(item), item.name, item.type, *_data(item.data, identity)]

    def node(item: Node) -> Iterator[Any]:
        yield from (identity(item), item.op, identity(item.raw))
        for slot, operand in item.operands.items():
            several = operand if isinstance(operand, tuple) else (operand,)
            yield from (slot, *(None if v is None else identity(v) for v in several))
        for name, attribute in item.attributes.items():
            array = isinstance(attribute, np.ndarray)
            yield from (name, *(_data(attribute, identity) if array else [repr(attribute)]))

    yield [identity(graph.native), *graph.output_names]
    yield [identity(v) for v in (*graph.inputs, *graph.outputs)]
    for item in graph.values:
        yield value(item)
    for step in graph.nodes:
        yield list(node(step))


def _data(array: Any, identity: Callable[[Any], int]) -> list[Any]:
    if array is None:
        return []
    return [identity(array), array.tobytes() if array.nbytes <= SMALL else None]
