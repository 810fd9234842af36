"""Which branches of Concats a file says that it gives scales of their own."""

from __future__ import annotations

import json
from collections.abc import Iterable

from sparqc.ir.graph import Graph
from sparqc.ir.onnx.native import OnnxNative

#: The key in the file's metadata_props.
UNTIED = "sparqc.untied"

#: What stands in a Concat, and what that gives, by the names of values.
Pair = tuple[str, str]


def untied_in(graph: Graph) -> frozenset[Pair]:
    """What is recorded in a graph that was read from a file; nothing where that is unreadable."""
    metadata = dict(graph.native.metadata) if isinstance(graph.native, OnnxNative) else {}
    try:
        rows = json.loads(metadata.get(UNTIED, "[]"))
    except (ValueError, RecursionError):
        return frozenset()
    pairs = rows if isinstance(rows, list) else []
    return frozenset((row[0], row[1]) for row in pairs if _is_pair(row))


def untied_text(pairs: Iterable[Pair]) -> str:
    """What is written of these."""
    return json.dumps(sorted(pairs))


def _is_pair(row: object) -> bool:
    return isinstance(row, list) and len(row) == 2 and all(isinstance(name, str) for name in row)
