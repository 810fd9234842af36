"""Scales of what is FP16 in the model already."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from sparqc.errors import UsageError
from sparqc.ir.dtypes import numpy_dtype
from sparqc.ir.graph import Graph, Value
from sparqc.ir.layer_names import value_name
from sparqc.ir.operators.quantization import OPSET_OF_HALF_SCALES
from sparqc.ir.vocabulary.raw import opsets_of
from sparqc.passes.export import RequestedOpset
from sparqc.rewrite.context import Context

_HALF = ("f16", "bf16")
_NEED = f"FP16 scales need opset {OPSET_OF_HALF_SCALES}"


def scale_dtype(graph: Graph, value: Value) -> np.dtype[Any]:
    """The type of the scale of a value.

    In ONNX it is that of the value itself, if that is FP16; in PyTorch it is FP32, and the export
    gives it the type of the value.
    """
    half = graph.level == "onnx" and value.type.dtype in _HALF
    return (numpy_dtype(value.type.dtype) if half else None) or np.dtype(np.float32)


def prepare_scales(graph: Graph, values: Iterable[Value], context: Context) -> None:
    """See that scales of these values may be written.

    Raises UsageError where one is FP16 and the target does not read FP16 scales, SparqcError where
    the graph cannot be written in an opset that has them.
    """
    half = next((v for v in values if v.type.dtype in _HALF), None)
    if half is None:
        return
    target = context.target
    if half.type.dtype not in target.scale_dtypes:
        raise UsageError(
            f"{value_name(half)} is {half.type.dtype} in the model, and the target "
            f"{target.name!r} reads scales in FP32 only",
            hint="give it the model in FP32, such as model.float()",
        )
    if graph.level == "onnx":
        raise_opset_for_scales(graph, context)


def raise_opset_for_scales(graph: Graph, context: Context) -> None:
    """Let an ONNX graph be of an opset that has FP16 scales.

    Raises UsageError where the export was asked for an older one, SparqcError where the graph
    cannot be written in a newer one.
    """
    if opsets_of(graph)[""] >= OPSET_OF_HALF_SCALES:
        return
    if requested := context.facts.get(RequestedOpset):
        raise UsageError(
            f"{_NEED}, and export{{opset={requested.opset}}} asks for an older one",
            hint="leave the option out, or ask for --float fp32",
        )
    from sparqc.ir.onnx.raise_opset import raise_opset

    opset = max(context.target.opset, OPSET_OF_HALF_SCALES)
    raise_opset(graph, opset, context.table, _NEED)
