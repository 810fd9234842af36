"""Which operands and results of an ONNX operator may be FP16: what its schema says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

import onnx

from sparqc.errors import SparqcError
from sparqc.ir.graph import Array, Node, Value
from sparqc.ir.onnx.write import write_node
from sparqc.ir.vocabulary.onnx_names import CAPTURED
from sparqc.ir.vocabulary.onnx_schema import schema_of
from sparqc.ir.vocabulary.operator import Emitted, OnnxEmitter
from sparqc.ir.vocabulary.raw import opsets_of
from sparqc.ir.vocabulary.table import OperatorTable
from sparqc.passes.half.types import FULL, Signature

_HALF_TENSOR = "tensor(float16)"


def signature_of(node: Node, table: OperatorTable) -> Signature:
    """What an operator's schema allows, at the opset of its graph."""
    if CAPTURED in node.operands:
        return Signature(reason="its subgraphs are left as they are")
    if any(v.type.dtype == "?" for v in (*node.inputs, *node.outputs)):
        return Signature(reason="the types of what it reads or gives are not known")
    emitter = _SchemaEmitter(opsets_of(node.graph))
    with suppress(SparqcError):
        write_node(node, table, emitter)
        return _with_hidden(emitter.signature(), node, emitter)
    return Signature(reason="it has no form in ONNX")


def _with_hidden(signature: Signature, node: Node, emitter: _SchemaEmitter) -> Signature:
    """Adds the constants that are written in another layout, as copies: these have the type of what
    the operator gives."""
    seen = {v for w in emitter.written for v in w.node.inputs if isinstance(v, Value)}
    hidden = {v for v in node.inputs if v.type.dtype == FULL and v.is_const and v not in seen}
    if not signature.results or not hidden:
        return signature
    return replace(signature, bound=signature.bound | hidden)


@dataclass(frozen=True)
class _Written:
    """One ONNX operator that was written for a node, with its schema."""

    schema: onnx.defs.OpSchema
    node: Emitted

    def operands(self) -> Iterator[tuple[Value, str]]:
        """Each FP32 operand with the name of its type in the schema."""
        yield from _typed(self.node.inputs, self.schema.inputs)

    def results(self) -> Iterator[tuple[Value, str]]:
        """Each FP32 result with the name of its type in the schema."""
        yield from _typed(self.node.outputs, self.schema.outputs)

    @property
    def gives_what_it_reads(self) -> bool:
        """Whether its result has the type of its operand, for want of an attribute that names it,
        though the schema has a variable for each (EyeLike, RandomNormalLike, Bernoulli)."""
        named = self.schema.attributes.get("dtype")
        if named is None or named.default_value.type or not self.schema.inputs:
            return False
        return "dtype" not in self.node.attributes

    def takes_half(self, type_name: str) -> bool:
        """Whether values of a type of the schema may be FP16."""
        constraints = {c.type_param_str: c.allowed_type_strs for c in self.schema.type_constraints}
        return _HALF_TENSOR in constraints.get(type_name, ())

    def is_free(self, type_name: str) -> bool:
        """Whether the type of one operand says nothing of any other value.

        That ONNX gives it a type variable of its own (the grid of a GridSample, the mask of an
        Attention) does not say so: a target computes with numbers of one type.
        """
        names = [p.type_str for p in (*self.schema.inputs, *self.schema.outputs)]
        if self.gives_what_it_reads:
            return False
        if self.schema.name not in _CASTS and any(
            _follows(self, p.type_str) for p in self.schema.outputs
        ):
            return False
        variadic = onnx.defs.OpSchema.FormalParameterOption.Variadic
        several = any(p.option == variadic for p in self.schema.inputs if p.type_str == type_name)
        return names.count(type_name) == 1 and not several


def _typed(
    values: Sequence[Value | str | None], parameters: Sequence[onnx.defs.OpSchema.FormalParameter]
) -> Iterator[tuple[Value, str]]:
    for index, value in enumerate(values):
        parameter = parameters[min(index, len(parameters) - 1)]
        if isinstance(value, Value) and value.type.dtype == FULL:
            yield value, parameter.type_str


@dataclass
class _SchemaEmitter(OnnxEmitter):
    """An `OnnxEmitter` that keeps what is written."""

    opsets: Mapping[str, int]
    written: list[_Written] = field(default_factory=list)
    unknown: str = ""
    opset: int = field(init=False)

    def __post_init__(self) -> None:
        self.opset = self.opsets[""]

    def add(self, emitted: Emitted) -> None:
        op_type, domain = emitted.op_type, emitted.domain
        schema = schema_of(op_type, domain, self.opsets.get(domain, 1))
        if schema is None:
            self.unknown = f"{domain}.{op_type} is no operator of ONNX: its types are not known"
        else:
            self.written.append(_Written(schema, emitted))

    def constant(self, array: Array, hint: str) -> str:
        return hint

    def temp(self, hint: str) -> str:
        return hint

    def signature(self) -> Signature:
        """What all that was written allows together."""
        if self.unknown:
            return Signature(reason=self.unknown)
        operands = [(w, v, t) for w in self.written for v, t in w.operands()]
        given = [(w, v, t) for w in self.written for v, t in w.results()]
        refused = {v for w, v, t in operands if not w.takes_half(t)}
        free = {v for w, v, t in operands if w.is_free(t)} - refused
        results = frozenset(v for w, v, t in given if _follows(w, t))
        if given and not results:
            names = ", ".join(dict.fromkeys(w.schema.name for w in self.written))
            return Signature(
                free=frozenset(free), reason=f"{names} gives no FP16 in opset {self.opset}"
            )
        bound = {v for _, v, _ in operands} - refused - free - results
        return Signature(frozenset(bound), frozenset(free), results)


#: Operators that take numbers of any type.
_CASTS = frozenset({"Cast", "CastLike"})
#: Operators whose result has the type that an attribute names.
_TYPED_BY_ATTRIBUTE = frozenset({"Cast", "ConstantOfShape"})


def _follows(written: _Written, type_name: str) -> bool:
    """Whether a result may be FP16: it shares its type with an operand, or an attribute names it.

    The results of random generators and the like have a type of their own, which stays.
    """
    if not written.takes_half(type_name):
        return False
    shared = any(p.type_str == type_name for p in written.schema.inputs)
    named = written.schema.name in _TYPED_BY_ATTRIBUTE
    return shared or named or written.gives_what_it_reads
