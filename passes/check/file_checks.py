"""Checks of what the graph of an ONNX file does not show: what was left out, opsets, opaque parts.

Their words, grades and sources stand in `file_checks.toml` of the pattern packages; here stands how
each is found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Literal

import onnx

from sparqc.base.toml_tables import Table, tables
from sparqc.declared.element_types import unread_types
from sparqc.declared.misread import misread
from sparqc.ir.graph import Graph, Node, Value, dtype_name
from sparqc.ir.onnx.adapter import opset_of
from sparqc.ir.onnx.meaning.faults import Fault
from sparqc.ir.onnx.meaning.numbers import weight_faults
from sparqc.ir.onnx.order import subgraphs_of
from sparqc.ir.operators.quantization import OPSET_OF_HALF_SCALES
from sparqc.ir.quantizers import CONVERSIONS, onnx_conversions, runs_in_int8
from sparqc.ir.weighted import weighted
from sparqc.passes.check.check import Finding, Grade
from sparqc.rewrite.context import Context

_ONNX_DOMAINS = frozenset(("", "ai.onnx", "ai.onnx.ml"))


@dataclass(frozen=True)
class FileCheck:
    """The words of one check."""

    name: str
    grade: Grade
    doc: str
    #: A sentence with the values of the model in braces.
    message: str
    cure: str
    source: str
    #: A prefix of the targets that it is for, "" for any.
    target: str = ""
    #: What its cure keeps of the numbers; "" where there is none.
    fixed: Literal["", "exact"] = ""

    def is_for(self, target: str) -> bool:
        """Whether it holds for a target profile."""
        return self.target in ("", target) or target.startswith(f"{self.target}-")

    def finding(self, nodes: tuple[str, ...], values: Mapping[str, object]) -> Finding:
        """A finding with these values."""
        message = self.message.format_map(dict(values))
        return Finding(self.name, self.grade, nodes, message, self.cure, self.source, self.fixed)


@dataclass(frozen=True)
class Subject:
    """A file that is checked: as it stands, and as the graph that was read from it."""

    model: onnx.ModelProto
    graph: Graph
    context: Context
    #: What keeps the model from being computed; its graph is empty then.
    faults: tuple[Fault, ...] = ()


#: What was found: the first outputs of the nodes, and the values of the sentence.
Found = Iterator[tuple[tuple[str, ...], dict[str, object]]]


@cache
def file_checks() -> Mapping[str, FileCheck]:
    """Every such check by its id; SparqcError for a table that no function belongs to."""
    found = {name: _checked(table) for name, table in tables("file_checks.toml", "checks").items()}
    return MappingProxyType(found)


def _checked(table: Table) -> FileCheck:
    if table.name not in _FIND:
        raise table.error("there is no such check", f"known: {', '.join(sorted(_FIND))}")
    return table.read_as(FileCheck)


def file_findings(subject: Subject, *, only: str = "") -> Iterator[Finding]:
    """What these checks, or the one of that name, find in a file, in the order of their tables."""
    for name, check in file_checks().items():
        if only in ("", name) and check.is_for(subject.context.target.name):
            for nodes, values in _FIND[name](subject):
                yield check.finding(nodes, values)


def _invalid_model(subject: Subject) -> Found:
    for fault in subject.faults:
        yield (fault.value,) if fault.value else (), {"fault": fault.message}


def _weight_not_finite(subject: Subject) -> Found:
    for node, what in weight_faults(subject.model):
        yield tuple(node.output[:1]), {"name": _title(node), "what": what}


def _opset(subject: Subject) -> Found:
    opset, target = opset_of(subject.model), subject.context.target
    if not target.min_opset <= opset <= target.max_opset:
        low, high = target.min_opset, target.max_opset
        yield (), {"opset": opset, "target": target.name, "low": low, "high": high}


def _unread_type(subject: Subject) -> Found:
    for found in unread_types(subject.model, subject.context.target):
        nodes = tuple(found.node.output[:1]) if found.node else (found.tensor,)
        name = _title(found.node) if found.node else found.tensor
        yield nodes, {"name": name, "type": found.type}


def _misread_form(subject: Subject) -> Found:
    for found in misread(subject.model, subject.context.target.name):
        form = found.form
        yield tuple(found.node.output[:1]), {
            "name": _title(found.node), "op": form.operator, "attribute": form.attribute,
            "value": found.value, "read_as": form.read_as, "source": form.source,
        }  # fmt: skip


# -- what a quantizer leaves out -----------------------------------------------------------------


def _missing_axis(subject: Subject) -> Found:
    for node in _quantizers(subject.model):
        value = _value(subject.graph, node.output[0])
        scale = value.producer.operands.get("scale") if value and value.producer else None
        shape = scale.shape if isinstance(scale, Value) else None
        if any(a.name == "axis" for a in node.attribute) or shape in (None, (), (1,)):
            continue
        yield (node.output[0],), {"name": _title(node), "count": shape[0] if shape else "?"}


def _missing_zero_point(subject: Subject) -> Found:
    for node in _quantizers(subject.model):
        if len(node.input) < 3 or not node.input[2]:
            yield (node.output[0],), {"name": _title(node)}


def _half_scale(subject: Subject) -> Found:
    opset = opset_of(subject.model)
    types = {t.name: t.data_type for t in subject.model.graph.initializer}
    halves = (onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16)
    for node in _quantizers(subject.model) if opset < OPSET_OF_HALF_SCALES else ():
        kind = types.get(node.input[1])
        if kind in halves:
            dtype = dtype_name(onnx.helper.tensor_dtype_to_np_dtype(kind))
            values = {"name": _title(node), "scale": node.input[1], "dtype": dtype, "opset": opset}
            yield (node.output[0],), values


def _scale_of_one_entry(subject: Subject) -> Found:
    stored = {t.name: tuple(t.dims) for t in subject.model.graph.initializer}
    for node in _quantizers(subject.model):
        value = _value(subject.graph, node.output[0])
        axis = value.producer.attributes.get("axis") if value and value.producer else None
        if stored.get(node.input[1]) == (1,) and node.input[0] not in stored and axis is None:
            yield (node.output[0],), {"name": _title(node), "scale": node.input[1]}


def _quantizers(model: onnx.ModelProto) -> Iterator[onnx.NodeProto]:
    return (n for n in model.graph.node if n.op_type in onnx_conversions() and n.output)


# -- what cannot be looked into ------------------------------------------------------------------


def _custom_operator(subject: Subject) -> Found:
    functions = {(f.domain, f.name) for f in subject.model.functions}
    for node in subject.model.graph.node:
        if node.domain not in _ONNX_DOMAINS and (node.domain, node.op_type) not in functions:
            values = {"name": _title(node), "op": node.op_type, "domain": node.domain}
            yield tuple(node.output[:1]), values


def _subgraph(subject: Subject) -> Found:
    for node in subject.model.graph.node:
        if any(subgraphs_of(attribute) for attribute in node.attribute):
            yield tuple(node.output[:1]), {"name": _title(node), "op": node.op_type}


def _unknown_rank(subject: Subject) -> Found:
    names = [v.name for v in _looked_at(subject) if v.shape is None]
    if names:
        name = ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
        yield tuple(names), {"count": len(names), "name": name}


def _looked_at(subject: Subject) -> dict[Value, None]:
    """What quantizers and operators with a weight read, each once, in the order of the graph."""
    table, found = subject.context.table, dict[Value, None]()
    for node in subject.graph.nodes:
        row = table.get(node.op)
        if node.op in CONVERSIONS or (row is not None and row.weight is not None):
            found |= dict.fromkeys(node.inputs)
    return found


def _float_remainder(subject: Subject) -> Found:
    layers = list(weighted(subject.graph, subject.context.table))
    in_float = [found.node for found in layers if not runs_in_int8(found.node)]
    bare = [node for node in in_float if node.output.type.dtype == "f32"]
    if bare and len(in_float) < len(layers) and subject.context.target.strongly_typed:
        names = tuple(n.output.name for n in bare)
        yield names, {"count": len(bare), "all": len(layers), "name": names[0]}


def _title(node: onnx.NodeProto) -> str:
    return node.name or next(iter(node.output), node.op_type)


def _value(graph: Graph, name: str) -> Value | None:
    return graph.value(name) if name in graph else None


_FIND: Mapping[str, Callable[[Subject], Found]] = {
    "invalid-model": _invalid_model, "weight-not-finite": _weight_not_finite, "opset": _opset,
    "unread-type": _unread_type, "misread-form": _misread_form, "missing-axis": _missing_axis,
    "missing-zero-point": _missing_zero_point,
    "half-scale-opset": _half_scale, "custom-operator": _custom_operator, "subgraph": _subgraph,
    "scale-of-one-entry": _scale_of_one_entry, "unknown-rank": _unknown_rank,
    "float-remainder": _float_remainder,
}  # fmt: skip


# -- the cure of a missing axis ------------------------------------------------------------------


def write_axes(subject: Subject) -> int:
    """Give quantizers without an axis the one that their scales fit; returns how many had none.

    ONNX's default is 1.  Where the scales do not fit that, and fit one other axis, that one is
    meant: the file is from a parser's side that takes 0.  Writing a graph always writes the axis.
    """
    count = 0
    for (name,), _ in _missing_axis(subject):
        value = _value(subject.graph, name)
        axis = _fitting_axis(value.producer) if value and value.producer else None
        if axis is not None and value is not None and value.producer is not None:
            value.producer.attributes["axis"] = axis
            count += 1
    subject.graph.version += 1
    return count


def _fitting_axis(node: Node) -> int | None:
    data, scale = node.operands["x"], node.operands["scale"]
    if not isinstance(data, Value) or not isinstance(scale, Value):
        return None
    if data.shape is None or scale.shape is None or len(scale.shape) != 1:
        return None
    fitting = [axis for axis, size in enumerate(data.shape) if size == scale.shape[0]]
    return 1 if 1 in fitting else fitting[0] if len(fitting) == 1 else None
