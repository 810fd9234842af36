"""Forms of ONNX that a target takes for something else, without a word.

A form is a table of a file `misread.toml` beside the pattern files.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType

import onnx

from sparqc.base.toml_tables import tables
from sparqc.ir.onnx.order import subgraphs_of
from sparqc.ir.onnx.stated import opsets_of_model
from sparqc.ir.vocabulary.onnx_schema import schema_of


@dataclass(frozen=True)
class MisreadForm:
    """Values of an attribute of one of ONNX's own operators, from one opset on."""

    name: str
    #: A prefix of the targets that misread it.
    target: str
    operator: str
    attribute: str
    values: tuple[str, ...]
    #: The opset that brought the form.
    since: int
    #: What the target takes it for.
    read_as: str
    #: Where that is known from.
    source: str

    def is_for(self, target: str) -> bool:
        """Whether a target profile misreads it."""
        return target == self.target or target.startswith(f"{self.target}-")


@dataclass(frozen=True)
class Misread:
    """One operator of a model in such a form."""

    form: MisreadForm
    node: onnx.NodeProto
    value: str


@cache
def misread_forms() -> Mapping[str, MisreadForm]:
    """Every form by name; SparqcError where a file is broken or two distributions declare one."""
    found = tables("misread.toml", "misread forms")
    return MappingProxyType({name: t.read_as(MisreadForm) for name, t in found.items()})


def misread(model: onnx.ModelProto, target: str) -> list[Misread]:
    """What a target profile misreads of a model, in subgraphs too."""
    opset = opsets_of_model(model).get("", 1)
    forms = [f for f in misread_forms().values() if f.is_for(target) and opset >= f.since]
    return [*_misread(model.graph, forms, opset)] if forms else []


def _misread(graph: onnx.GraphProto, forms: list[MisreadForm], opset: int) -> Iterator[Misread]:
    for node in graph.node:
        for form in forms:
            if node.op_type == form.operator and node.domain in ("", "ai.onnx"):
                value = _word(node, form.attribute, opset)
                if value in form.values:
                    yield Misread(form, node, value)
        for attribute in node.attribute:
            for inner in subgraphs_of(attribute):
                yield from _misread(inner, forms, opset)


def _word(node: onnx.NodeProto, name: str, opset: int) -> str:
    """The value of an attribute that is a word, its default where it is left out."""
    for attribute in node.attribute:
        if attribute.name == name:
            return str(attribute.s, "utf-8", "replace")
    schema = schema_of(node.op_type, "", opset)
    if schema is None or name not in schema.attributes:
        return ""
    default: bytes = schema.attributes[name].default_value.s
    return str(default, "utf-8")
