"""The element types in which layers compute."""

from __future__ import annotations

from sparqc.errors import UsageError
from sparqc.ir.graph import Graph
from sparqc.ir.layer_names import name_of
from sparqc.ir.vocabulary.table import OperatorTable
from sparqc.ir.weighted import weighted

#: What no layer is compiled in, as people call it: onnxruntime, which holds the result against the
#: model, has no convolution for it.
_NOT_COMPILED = {"f64": "float64", "bf16": "bfloat16"}


def require_compiled_types(graph: Graph, table: OperatorTable) -> None:
    """UsageError where a layer has weights of a type that nothing here computes in."""
    for found in weighted(graph, table):
        if word := _NOT_COMPILED.get(found.weight.type.dtype):
            raise UsageError(
                f"the weights of {name_of(found.node)!r} are {word}: sparqc compiles layers in "
                "FP32 and FP16",
                hint="give the model in FP32, model.float(), with inputs and calibration data to "
                "match; --float fp16 makes FP16 of what is not INT8",
            )
