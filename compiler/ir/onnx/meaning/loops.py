"""Loops that run longer than anybody waits, or hand on values that grow without end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import onnx
from onnx.numpy_helper import to_array

from sparqc.ir.bounds import LARGEST, STEPS, elements
from sparqc.ir.onnx.meaning.growth import stored_tensors
from sparqc.ir.onnx.order import captured_names, subgraphs_of
from sparqc.ir.onnx.types import type_of_proto


def loop_faults(graph: onnx.GraphProto) -> Iterator[tuple[onnx.NodeProto, str]]:
    """Each loop whose constant number of trips, and those around it, is more than can be waited
    for.  A loop with a condition that its body computes ends when that says so."""
    stored = stored_tensors(graph)
    for node in graph.node:
        steps = _steps(node, stored)
        if steps > STEPS:
            often = "without an end" if steps == float("inf") else f"for {steps:.3g} steps"
            yield node, f"it runs {often}; more than {STEPS:.3g} are not computed"


def _steps(node: onnx.NodeProto, stored: Mapping[str, onnx.TensorProto]) -> float:
    steps: float = 1
    for attribute in node.attribute:
        for graph in subgraphs_of(attribute):
            known = {**stored, **stored_tensors(graph)}
            inside = sum(_steps(inner, known) for inner in graph.node)
            endless = node.op_type == "Loop" and _goes_on(graph)
            steps += inside * _trips(node, stored) if endless else inside
    return steps


def _goes_on(body: onnx.GraphProto) -> bool:
    """Whether a body hands on the condition that it was given, or one that is stored."""
    if not body.output or len(body.input) < 2:
        return False
    handed = {n.output[0]: n.input[0] for n in body.node if n.op_type == "Identity"}
    name = body.output[0].name
    while name in handed:
        name = handed.pop(name)
    return bool(name == body.input[1].name or name in stored_tensors(body))


def _trips(node: onnx.NodeProto, stored: Mapping[str, onnx.TensorProto]) -> float:
    """How often a loop runs whose condition stays what it is; 1 where that is not known."""
    trips, condition = (*node.input, "", "")[:2]
    if condition and (condition not in stored or not to_array(stored[condition]).all()):
        return 1
    if not trips:
        return float("inf")
    return float(to_array(stored[trips]).max(initial=0)) if trips in stored else 1


# -- what a body hands on ------------------------------------------------------------------------


def carried_faults(sized: onnx.GraphProto, opsets: Any) -> Iterator[tuple[onnx.NodeProto, str]]:
    """Each loop whose values would be too large behind its constant number of trips, as its first
    trips tell; `sized` holds the shapes around it."""
    types = {i.name: i.type for i in (*sized.value_info, *sized.output, *sized.input)}
    stored = stored_tensors(sized)
    for name, tensor in stored.items():
        types[name] = onnx.helper.make_tensor_type_proto(tensor.data_type, tensor.dims)
    for node in sized.node:
        body = next((a.g for a in node.attribute if a.name == "body"), None)
        if node.op_type != "Loop" or body is None or not _goes_on(body):
            continue
        trips = _trips(node, stored)
        sizes = _first_trips(body, [types.get(name) for name in node.input[2:]], types, opsets)
        size = _behind(sizes, trips) if trips > len(sizes) else 0
        if size > LARGEST:
            yield node, f"what it hands on grows to {size:.3g} elements"


def _first_trips(
    body: onnx.GraphProto,
    given: Sequence[Any],
    types: Mapping[str, onnx.TypeProto],
    opsets: Any,
) -> list[int]:
    """The elements of all that a body is given, and of what it hands on in two trips; fewer where a
    shape is not known."""
    sizes: list[int] = []
    for _ in range(3):
        known = [t for t in given if t is not None and t.tensor_type.HasField("shape")]
        if len(known) < len(given) or not given:
            break
        sizes.append(sum(elements(type_of_proto(t, "")) for t in known))
        trip = onnx.GraphProto()
        trip.CopyFrom(body)
        for info, type in zip(trip.input[2:], known, strict=False):
            info.type.CopyFrom(type)
        for output in trip.output:
            output.ClearField("type")
        for name in captured_names(body):
            if name in types:
                trip.input.add(name=name).type.CopyFrom(types[name])
        model = onnx.helper.make_model(trip, opset_imports=opsets)
        try:
            found = onnx.shape_inference.infer_shapes(model).graph.output
        except (onnx.shape_inference.InferenceError, RuntimeError):
            break
        given = [o.type for o in found[1 : len(given) + 1]]
    return sizes


def _behind(sizes: Sequence[int], trips: float) -> float:
    """What the sizes of three trips become: by a factor each, or by a summand."""
    if len(sizes) < 3 or not sizes[0] < sizes[1] < sizes[2]:
        return 0
    first, second = sizes[1] - sizes[0], sizes[2] - sizes[1]
    if second > first:
        return float(sizes[2] * (sizes[2] / sizes[1]) ** min(trips - 2, 200))
    return sizes[0] + first * trips
