"""The road through torch.onnx, for graphs with operators that the table cannot write to ONNX."""

from __future__ import annotations

import dataclasses
import logging
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import onnx
import torch
from onnx.defs import OpSchema
from onnxscript import values as script

import sparqc.ir.vocabulary.torch_ops  # noqa: F401  (registers the operators that are translated)
from sparqc.errors import SparqcError
from sparqc.ir.fx.native import FxNative
from sparqc.ir.fx.tensor import tensor_of
from sparqc.ir.fx.write import write_fx
from sparqc.ir.graph import Array, Graph, Node, Origin, TensorType, Value
from sparqc.ir.onnx.read import read_onnx
from sparqc.ir.onnx.types import numpy_dtype
from sparqc.ir.onnx.write import no_form
from sparqc.ir.vocabulary.table import OperatorTable

#: The lowest opset that the exporter writes.
LOWEST = 18
#: Sizes to trace symbolic dimensions with: the first dimension, and the others.
FIRST, OTHER = 2, 64
#: The domain of the operators that pass the exporter untouched.
DOMAIN = "sparqc"


def export_with_torch(
    graph: Graph,
    table: OperatorTable,
    opset: int,
    example: Sequence[Array],
    reason: SparqcError,
) -> Graph:
    """The graph as torch.onnx exports it, read back; its quantizers and linear layers still are
    q.qdq and nn.linear, so that their forms in the table have the last word.

    `reason` is why the graph was not written from the table.  Raises SparqcError with the operator
    that torch.onnx does not know either.
    """
    module = write_fx(_flat(graph), table)
    model = _exported(graph, module, max(opset, LOWEST), example, reason)
    exported = read_onnx(model, table)
    _restore_calls(exported)
    _restore_layers(exported, graph, table)
    _restore_names(exported, graph)
    return exported


def _flat(graph: Graph) -> Graph:
    """A copy that takes and gives plain tensors, however the user's module nests them."""
    copy = graph.clone()
    if isinstance(copy.native, FxNative):
        copy.native = dataclasses.replace(copy.native, placeholders=(), output=None, pytree=None)
    return copy


def _exported(
    graph: Graph,
    module: torch.fx.GraphModule,
    opset: int,
    example: Sequence[Array],
    reason: SparqcError,
) -> onnx.ModelProto:
    args = tuple(tensor_of(a) for a in example) or tuple(map(_example, graph.inputs))
    dynamic = tuple(_dynamic(v.type) for v in graph.inputs)
    with warnings.catch_warnings(), _quiet():
        warnings.simplefilter("ignore")
        try:
            program = torch.export.export(module, args, dynamic_shapes=dynamic, strict=False)
            result: Any = torch.onnx.export(
                program,
                dynamo=True,
                custom_translation_table=_translations(),
                opset_version=opset,
                input_names=[v.name for v in graph.inputs],
                output_names=graph.output_names,
                optimize=True,
                verbose=False,
            )
        except Exception as error:  # torch raises whatever its many layers raise
            raise _explained(graph, error, reason) from error
    model: onnx.ModelProto = result.model_proto
    return model


@contextmanager
def _quiet() -> Iterator[None]:
    """Keeps the exporter's log off the terminal."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _example(value: Value) -> torch.Tensor:
    dtype, shape = numpy_dtype(value.type.dtype), value.shape
    if dtype is None or shape is None:
        raise SparqcError(f"the type of input {value.name!r} is unknown")
    sizes = [d if isinstance(d, int) else OTHER if i else FIRST for i, d in enumerate(shape)]
    return tensor_of(np.ones(sizes, dtype))


def _dynamic(type: TensorType) -> dict[int, Any]:
    dims = enumerate(type.shape or ())
    return {i: torch.export.Dim.DYNAMIC for i, d in dims if isinstance(d, str)}


# -- operators that pass untouched ---------------------------------------------------------------

_FLOATS = ["tensor(float)", "tensor(float16)", "tensor(double)", "tensor(bfloat16)"]
_Parameter = OpSchema.FormalParameter
_OPTIONAL = OpSchema.FormalParameterOption.Optional


def _schema(name: str, inputs: Sequence[Any], attributes: Sequence[Any] = ()) -> OpSchema:
    return OpSchema(
        name,
        DOMAIN,
        1,
        inputs=list(inputs),
        outputs=[_Parameter("y", "T")],
        type_constraints=[("T", _FLOATS, "")],
        attributes=list(attributes),
    )


_QDQ = _schema(
    "qdq",
    [_Parameter("x", "T"), _Parameter("scale", "T")],
    [OpSchema.Attribute(name, OpSchema.AttrType.INT, required=False)
     for name in ("axis", "low", "high")],
)  # fmt: skip
_LINEAR = _schema(
    "linear",
    [_Parameter("x", "T"), _Parameter("w", "T"), _Parameter("b", "T", param_option=_OPTIONAL)],
)


def _translations() -> dict[Any, Any]:
    domain = script.Opset(DOMAIN, 1)

    def qdq(x: Any, scale: Any, axis: Any = None, low: int = -128, high: int = 127) -> Any:
        given = {"low": low, "high": high} | ({} if axis is None else {"axis": axis})
        return script.Op(domain, "qdq", _QDQ)(x, scale, **given)

    def linear(x: Any, w: Any, b: Any = None) -> Any:
        return script.Op(domain, "linear", _LINEAR)(*((x, w) if b is None else (x, w, b)))

    return {torch.ops.sparqc.qdq.default: qdq, torch.ops.aten.linear.default: linear}


_OPERANDS = {"qdq": ("x", "scale", "zero_point"), "linear": ("x", "w", "b")}


def _restore_calls(graph: Graph) -> None:
    """Name the operators that passed untouched as the table does."""
    for node in graph.nodes:
        domain, _, name = node.op.removeprefix("onnx.").rpartition(".")
        if domain != DOMAIN:
            continue
        given = list(node.operands.values())
        slots = _OPERANDS[name]
        operands = dict(zip(slots, given + [None] * (len(slots) - len(given)), strict=True))
        made = graph.create(
            {"qdq": "q.qdq", "linear": "nn.linear"}[name],
            operands,
            _qdq_attributes(node) if name == "qdq" else {},
            types=[node.output.type],
            before=node,
            origin=node.origin,
        )
        _take_place(graph, node, made)


def _qdq_attributes(node: Node) -> dict[str, Any]:
    return {k: node.attributes.get(k) for k in ("axis", "low", "high")}


def _take_place(graph: Graph, old: Node, new: Node) -> None:
    name = old.output.name
    graph.replace(old.output, new.output)
    graph.erase(old)
    graph.rename(new.output, name)


def _restore_layers(exported: Graph, graph: Graph, table: OperatorTable) -> None:
    """Give weighted operators the names they had: torch.onnx names values after ATen operators.

    A layer is recognized by its weight, which keeps its name.
    """
    known = _by_weight(graph, table)
    wanted = {
        value: known[weight].name
        for weight, value in _by_weight(exported, table).items()
        if weight in known and value.name != known[weight].name
    }
    # torch.onnx numbers anew: a layer's name may be that of another one until all have theirs.
    names = {value: value.name for value in wanted}
    for value, name in names.items():
        exported.rename(value, exported.fresh(f"{name}_exported"))
    for value, name in wanted.items():
        if name in exported and exported.value(name).producer is not None:
            exported.rename(exported.value(name), exported.fresh(name))
        exported.rename(value, exported.fresh(name))


def _by_weight(graph: Graph, table: OperatorTable) -> dict[str, Value]:
    """What weighted operators define, by the name of the stored weight; shared weights left out."""
    found: dict[str, list[Value]] = {}
    for node in graph.nodes:
        operator = table.get(node.op)
        value = node.operands.get(operator.weight.operand) if operator and operator.weight else None
        while isinstance(value, Value) and value.producer is not None:
            value = next(value.producer.inputs, None)
        if isinstance(value, Value) and value.is_const:
            found.setdefault(value.name, []).append(node.output)
    return {name: values[0] for name, values in found.items() if len(values) == 1}


def _restore_names(exported: Graph, graph: Graph) -> None:
    """Give symbolic dimensions the names they had, and nodes their origin."""
    symbols = {
        new: old
        for before, after in zip(graph.inputs, exported.inputs, strict=True)
        for old, new in zip(before.shape or (), after.shape or (), strict=False)
        if isinstance(new, str) and isinstance(old, str)
    }
    origins = {v.name: n.origin for n in graph.nodes for v in n.outputs}
    last = Origin()
    for value in exported.inputs:
        value.type = _renamed(value.type, symbols)
    for node in exported.nodes:
        last = origins.get(node.output.name, last)
        node.origin = last
        for value in node.outputs:
            value.type = _renamed(value.type, symbols)


def _renamed(type: TensorType, symbols: Mapping[str, str]) -> TensorType:
    if type.shape is None:
        return type
    dims = (
        re.sub(r"[A-Za-z_]\w*", lambda m: symbols.get(m[0], m[0]), d) if isinstance(d, str) else d
        for d in type.shape
    )
    return TensorType(type.dtype, tuple(dims))


# -- errors --------------------------------------------------------------------------------------


def _explained(graph: Graph, error: Exception, reason: SparqcError) -> SparqcError:
    """The error that names the operator torch.onnx stopped at, and where the model calls it."""
    chain: list[BaseException] = [error]
    while (cause := chain[-1].__cause__) is not None:
        chain.append(cause)
    texts = " ".join(str(e) for e in chain)
    stopped = {f"{name}.{overload}" for name, overload in _OVERLOAD.findall(texts)}
    told = next((no_form(n) for n in graph.nodes if n.op in stopped), reason)
    detail = next(iter(str(chain[-1]).strip().splitlines()), type(error).__name__)
    return SparqcError(f"{told.message}, and torch.onnx cannot export it: {detail}", hint=told.hint)


_OVERLOAD = re.compile(r"op='([\w.]+)', overload='(\w+)'")
