"""What a file that sparqc wrote says of itself (see the pass `record`)."""

from __future__ import annotations

import json

from sparqc.declared.natives import native
from sparqc.ir.graph import Value
from sparqc.ir.onnx.native import OnnxNative


@native("recorded_without_int8")
def recorded_without_int8(value: Value) -> bool:
    """Whether the file was written with no operator in INT8: INT8 weights are there for size alone.

    False for a file without such a record, and for a value that no operator gives.
    """
    native_graph = value.producer.graph.native if value.producer else None
    if not isinstance(native_graph, OnnxNative):
        return False
    entry = dict(native_graph.metadata).get("sparqc.int8")
    return entry is not None and json.loads(entry) == []
