"""What is wrong in an ONNX model that onnx's checker, which looks at the structure alone, passes.

onnx's strict shape inference names operands and attributes that an operator cannot take.  It runs
on the skeleton, without what the model states of its own values: a stale `value_info` is no fault,
no runtime reads it.  What inference passes over is looked at here: types that an operator does not
take, channels that do not fit, windows larger than what they slide over, outputs that are declared
with another type or shape, and numbers that nothing can be computed with.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import onnx

from sparqc.errors import SparqcError
from sparqc.ir.graph import TensorType
from sparqc.ir.onnx.external import tensors_of
from sparqc.ir.onnx.meaning.growth import (
    infers_numbers,
    size_faults,
    sized_graph,
    small_tensors,
    types_of,
)
from sparqc.ir.onnx.meaning.layers import layer_faults
from sparqc.ir.onnx.meaning.loops import carried_faults, loop_faults
from sparqc.ir.onnx.meaning.numbers import axis_faults, block_faults, scale_faults, weight_faults
from sparqc.ir.onnx.meaning.operands import operand_faults
from sparqc.ir.onnx.meaning.types import type_faults
from sparqc.ir.onnx.meaning.words import word_faults
from sparqc.ir.onnx.order import describe, sorted_nodes
from sparqc.ir.onnx.skeleton import skeleton_of
from sparqc.ir.onnx.stated import (
    forget_values,
    opaque_values,
    open_sizes,
    opsets_of_model,
    replace_items,
)
from sparqc.ir.onnx.types import dtype_of_element, type_of_proto
from sparqc.ir.vocabulary.onnx_schema import schema_of

#: The errors of inference, one line each; where a subgraph is at fault, the node around it.
_ERROR = re.compile(r"\(op_type:[^,()]*, node name: #(?P<index>\d+)\): (?P<what>.*)")
#: An operand whose type is unknown, behind a fault or behind an operator that onnx does not know.
_UNKNOWN = "expected to have type but instead is null"
_PREFIX = re.compile(r"\[(?:Shape|Type)InferenceError\]\s*|Inference error\(s\):\s*")
#: How many faults an error names.
SHOWN = 5
_CURE = "correct the model, or export it anew"


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong with a model."""

    #: The first output of the node; "" where it is no node's.
    value: str
    message: str
    #: Whether the nodes mean something all the same: an output is declared wrongly.
    readable: bool = False


def faults_of(model: onnx.ModelProto, folder: Path | None = None) -> tuple[Fault, ...]:
    """What is wrong with a model that the checker passes, in the order of its nodes.

    External data are looked into where their `folder` is given."""
    return structure_faults(model) or tuple(_number_faults(model, folder))


def structure_faults(model: onnx.ModelProto) -> tuple[Fault, ...]:
    """What keeps a graph from being computed at all, whatever its numbers are."""
    return tuple(_structure_faults(model))


def require_meaning(model: onnx.ModelProto, folder: Path | None = None) -> None:
    """SparqcError with the first faults of a model, where it has any; as `faults_of`."""
    faults = faults_of(model, folder)
    if faults:
        lines = [fault.message for fault in faults[:SHOWN]]
        more = [f"and {len(faults) - SHOWN} more"] if len(faults) > SHOWN else []
        raise SparqcError("\n  ".join(["the model is not valid:", *lines, *more]), hint=_CURE)


def _number_faults(model: onnx.ModelProto, folder: Path | None) -> Iterator[Fault]:
    numbers = (*weight_faults(model, folder), *scale_faults(model, folder), *axis_faults(model))
    for node, message in numbers:
        yield Fault(_first(node), f"{describe(node)}: {message}")


def _structure_faults(model: onnx.ModelProto) -> Iterator[Fault]:
    bare = _unstated(model)
    sized = sized_graph(bare)
    if sized and (growth := tuple(_growth_faults(model, sized))):
        yield from growth  # inference itself would take too long
        return
    try:
        numbers = infers_numbers(sized)
        inferred = onnx.shape_inference.infer_shapes(bare, strict_mode=True, data_prop=numbers)
    except (onnx.shape_inference.InferenceError, RuntimeError) as error:
        faults = tuple(_named(str(error), model))
        if faults:
            yield from faults
            return
        inferred = onnx.shape_inference.infer_shapes(bare)
    types = types_of(inferred.graph)
    if not sized:  # there are no loops then
        yield from _size_faults(model, inferred.graph, types)
    types |= {t.name: _stored_type(t) for t in inferred.graph.initializer}
    opsets, small = opsets_of_model(model), small_tensors(inferred.graph)
    for node in model.graph.node:
        for message in (
            *type_faults(node, types, opsets),
            *layer_faults(node, types),
            *word_faults(node),
            *operand_faults(node, types, small),
        ):
            yield Fault(_first(node), f"{describe(node)}: {message}")
    for node, message in block_faults(model):
        yield Fault(_first(node), f"{describe(node)}: {message}")
    yield from _output_faults(model, types)


def _growth_faults(model: onnx.ModelProto, sized: onnx.GraphProto) -> Iterator[Fault]:
    yield from _size_faults(model, sized, types_of(sized))
    for node, message in (*loop_faults(model.graph), *carried_faults(sized, model.opset_import)):
        yield Fault(_first(node), f"{describe(node)}: {message}")


def _size_faults(
    model: onnx.ModelProto, sized: onnx.GraphProto, types: Mapping[str, TensorType]
) -> Iterator[Fault]:
    producers = {name: node for node in model.graph.node for name in node.output}
    stored = sum(prod(t.dims) for t in tensors_of(model.graph))
    fed = {i.name for i in model.graph.input} - {t.name for t in model.graph.initializer}
    for name, message in size_faults(sized, types, fed, stored):
        place = describe(producers[name]) if name in producers else f"the tensor {name!r}"
        yield Fault(name, f"{place}: {message}")


def _unstated(model: onnx.ModelProto) -> onnx.ModelProto:
    """The skeleton with numbered nodes, and without the types of values that inference can tell."""
    bare = skeleton_of(model)
    graph = bare.graph
    places = {o: i for i, node in enumerate(model.graph.node) for o in node.output}
    for node in graph.node:
        node.name = f"#{places.get(_first(node), 0)}"
    order = sorted_nodes(graph)
    opaque = opaque_values(bare)
    if order != list(range(len(order))):
        replace_items(graph.node, [graph.node[i] for i in order])
    forget_values(bare)
    open_sizes(bare)
    for output in graph.output:
        if output.name not in opaque:
            output.ClearField("type")
    return bare


def _first(node: onnx.NodeProto) -> str:
    return next(iter(node.output), "")


def _named(text: str, model: onnx.ModelProto) -> Iterator[Fault]:
    """The errors that inference raises at once, each with the node that it is about."""
    opsets = opsets_of_model(model)
    for line in text.splitlines():
        found = _ERROR.search(line)
        message = _PREFIX.sub("", found["what"] if found else line).strip().rstrip(".")
        node = model.graph.node[int(found["index"])] if found else None
        if message.endswith(_UNKNOWN):
            continue
        if node is None and message:
            yield Fault("", _readable(message))
        elif node is not None and not _in_onnx_itself(node, message, opsets):
            yield Fault(_first(node), f"{describe(node)}: {_readable(message)}")


def _in_onnx_itself(node: onnx.NodeProto, message: str, opsets: Mapping[str, int]) -> bool:
    """Whether inference fell over the body that onnx has for an operator, not over the model."""
    schema: Any = schema_of(node.op_type, "", opsets.get("", 1))
    return schema is not None and schema.has_function and message.startswith("(op_type:")


def _readable(message: str) -> str:
    """The words of inference without the numbers that nodes have for it."""
    return re.sub(r", node name: #\d+\)", ")", message)


def _stored_type(tensor: onnx.TensorProto) -> TensorType:
    return TensorType(dtype_of_element(tensor.data_type), tuple(tensor.dims))


# -- outputs -------------------------------------------------------------------------------------


def _output_faults(model: onnx.ModelProto, types: Mapping[str, TensorType]) -> Iterator[Fault]:
    for output in model.graph.output:
        stated, found = type_of_proto(output.type, output.name), types.get(output.name)
        if found is None or _agree(stated, found):
            continue
        yield Fault(
            output.name,
            f"the output {output.name!r} is declared as {_text(stated)}, and is {_text(found)}",
            readable=True,
        )


def _agree(stated: TensorType, found: TensorType) -> bool:
    if "?" not in (stated.dtype, found.dtype) and stated.dtype != found.dtype:
        return False
    if stated.shape is None or found.shape is None:
        return True
    pairs = zip(stated.shape, found.shape, strict=False)
    same = all(a == b for a, b in pairs if isinstance(a, int) and isinstance(b, int))
    return same and len(stated.shape) == len(found.shape)


def _text(type: TensorType) -> str:
    dims = [] if type.shape is None else ["?" if str(d)[0] == "?" else str(d) for d in type.shape]
    return type.dtype if type.shape is None else f"{type.dtype}[{', '.join(dims)}]"
