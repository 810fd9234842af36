"""Which operators stay in FP32 where the float remainder becomes FP16, and why."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import cast

import numpy as np

from sparqc.ir.boundary import encode, ends_of
from sparqc.ir.graph import Array, Graph, Node, Value
from sparqc.ir.layer_names import name_of, value_name
from sparqc.ir.quantizers import CONVERSIONS
from sparqc.ir.samples import first_samples
from sparqc.ir.weighted import weight_spec
from sparqc.lang.ast import PrecisionDecl, PrecisionRole
from sparqc.match.match import Index, Match, Matcher
from sparqc.numerics.finite import largest_magnitude
from sparqc.passes.half.magnitudes import Magnitudes
from sparqc.passes.half.rough import TooRough, around_quantizer
from sparqc.passes.half.types import FULL, Signature, as_half
from sparqc.passes.half.widened import Widened
from sparqc.passes.on_data.observe import Observer
from sparqc.passes.select import select
from sparqc.rewrite.context import Batch, Context

#: The largest FP16 number, and the least that has full precision.
LARGEST, LEAST = float(np.finfo(np.float16).max), float(np.finfo(np.float16).tiny)
#: A bound that is added to something may become no larger than this, so that the sum stays finite.
ADDEND = LARGEST / 2
#: How many calibration batches are looked at for values that FP16 does not hold.
BATCHES = 4
_INTEGERS = ("i16", "i32", "i64")

Reasons = Iterator[tuple[Node, str]]


@dataclass
class Kept:
    """Finds the operators to keep; `reasons` holds why, by operator.

    Constants beyond FP16 that may be clamped are clamped at once; `clamped` says to what magnitude.
    """

    graph: Graph
    context: Context
    signatures: Mapping[Node, Signature]
    #: Selectors of operators that a person wants in FP32.
    wishes: tuple[str, ...] = ()
    #: Values that are larger on the example inputs stay in FP32.
    largest: float = LARGEST
    _indices: dict[PrecisionRole, Index[PrecisionDecl]] = field(default_factory=dict)
    #: What clamped constants are added to, up to where they have their effect.
    masks: set[Value] = field(default_factory=set, init=False)

    def __post_init__(self) -> None:
        self.matcher = Matcher(self.context.rules, self.context.table, self.context.target.name)
        self.clamped: dict[Value, float] = {}
        self.reasons: dict[Node, str] = {}
        #: The `precision` that says so, where one does.
        self.declared: dict[Node, str] = {}
        for source in self._sources():
            for node, reason in source():
                if node in self.signatures and _computes(self.signatures[node]):
                    self.reasons.setdefault(node, reason)

    def _sources(self) -> tuple[Callable[[], Reasons], ...]:
        return (
            self._by_wish, self._by_model, self._by_pattern, self._by_constant, self._by_range,
            self._by_scale, self._by_integers, self._by_roughness, self._by_schema,
        )  # fmt: skip

    def _by_wish(self) -> Reasons:
        for node, wish in select(self.graph, self.wishes, self.context.table).items():
            yield node, f"half{{keep={wish}}} asks for it"

    def _by_model(self) -> Reasons:
        """What was FP32 in a model that was FP16: somebody, or an earlier compile, saw why."""
        full = self.context.facts.get(Widened, Widened()).full
        found = (n for n in self.graph.nodes if n.output.name in full)
        yield from ((n, "it is FP32 in the model, whose other operators are FP16") for n in found)

    def _by_schema(self) -> Reasons:
        yield from ((node, s.reason) for node, s in self.signatures.items() if s.reason)

    def _by_pattern(self) -> Reasons:
        """What a `precision` keeps in FP32; its description is the reason."""
        found = [m for node in self.graph.nodes for m in self._said("keeps fp32", node)]
        for match in sorted(found, key=lambda m: -len(m.nodes)):
            for node in match.nodes:
                self._declare(node, match)
                yield node, match.decl.doc

    def _declare(self, node: Node, match: Match) -> None:
        if node not in self.reasons:
            self.declared[node] = match.decl.name

    def _said(self, role: PrecisionRole, node: Node) -> Iterator[Match]:
        """The matches at a node of every `precision` of a role."""
        if role not in self._indices:
            found = self.context.rules.precisions(role, "onnx", self.context.target.name)
            self._indices[role] = Index(self.matcher, found)
        for decl in self._indices[role].at(node):
            if match := self.matcher.first(decl, node):
                yield match

    def siblings(self) -> dict[Node, tuple[Node, ...]]:
        """The operators that share a type, by each of them: what a `shares type` matches with one
        `x`."""
        groups: dict[tuple[str, object], list[Node]] = {}
        for node in self.graph.nodes:
            for match in self._said("shares type", node):
                groups.setdefault((match.decl.name, match.bindings["x"]), []).append(node)
        return {node: tuple(group) for group in groups.values() for node in group}

    # -- values that leave the range ---------------------------------------------------------------

    def _by_range(self) -> Reasons:
        """What reads or gives a value that is too large on the example inputs."""
        for value, seen in self._observed().items():
            if seen > (LARGEST if value in self.masks else self.largest):
                reason = f"{value_name(value)} reaches {seen:.3g} on the inputs that were tried"
                yield from ((n, reason) for n in _around(value))

    def _observed(self) -> dict[Value, float]:
        """max|x| of the computed FP32 values that nothing bounds, on the example inputs; nothing
        without these."""
        made = [v for n in self.graph.nodes for v in n.outputs if v.type.dtype == FULL]
        bounds = Magnitudes(self.graph, self.context.table) if made else None
        values = [v for v in made if bounds and bounds.of(v) > self.largest]
        found = {v: 0.0 for v in values}

        def show(value: Value, array: Array) -> None:
            finite = largest_magnitude(array)
            found[value] = max(found[value], finite if np.isfinite(finite) else 0.0)

        if values:
            observer = Observer(self.graph, values, self.context.table)
            for batch in self._batches():
                observer.run(batch, show)
        return found

    def _batches(self) -> Iterator[Batch]:
        """A few samples of the example inputs and of the first calibration batches."""
        context, ends = self.context, ends_of(self.graph)
        given = (
            context.calibration() if context.calibration and not context.random_calibration else ()
        )
        for batch in chain([context.example], islice(given, BATCHES)):
            if len(batch):
                few = first_samples(batch, self.graph.inputs)
                yield encode(few, ends, context.scales)

    # -- constants ---------------------------------------------------------------------------------

    def _by_constant(self) -> Reasons:
        """Operators with a constant beyond FP16; one that may be clamped is."""
        for value, data in self._numbers():
            largest = _finite_magnitude(data)
            if largest > LARGEST and (bound := self._bound(value)):
                self.clamped[value] = bound
                _clamp(value, bound)
            elif largest > LARGEST:
                yield from self._readers(
                    value, f"the constant {value_name(value)} holds {largest:.3g}"
                )
            elif 0 < largest < LEAST:
                found = self._readers(value, f"the constant {value_name(value)} is {largest:.3g}")
                yield from ((n, r) for n, r in found if not self._is_bias(value, n))

    def _numbers(self) -> Iterator[tuple[Value, Array]]:
        """The FP32 constants, and values that are filled with one number."""
        for constant in self.graph.constants:
            if constant.type.dtype == FULL and constant.data is not None:
                yield constant, constant.data
        for node in self.graph.nodes:
            fill = node.attributes.get("value")
            if node.op == "nn.constant_of_shape" and isinstance(fill, np.ndarray):
                yield node.output, fill

    def _readers(self, value: Value, reason: str) -> Reasons:
        known = ((n, self.signatures.get(n)) for n in value.readers)
        yield from ((n, reason) for n, s in known if s and value in s.bound)

    def _is_bias(self, value: Value, node: Node) -> bool:
        """Whether a constant is a bias: what FP16 takes from a small one is nothing to its sum.

        An epsilon is one number, and may be all that there is.
        """
        spec = weight_spec(node, self.context.table)
        many = value.data is not None and value.data.size > 1
        added = spec is not None and node.slots_of(value) == (spec.bias,)
        return added or (many and node.op == "nn.add")

    def _bound(self, value: Value) -> float:
        """To what a constant may be clamped; 0.0 where it may not."""
        carried: set[Value] = set()
        pending = [value]
        while pending:
            current = pending.pop()
            if current.is_output:
                return 0.0
            for node in current.readers:
                if next(self._said("takes bounds", node), None):
                    continue
                if not next(self._said("carries bounds", node), None):
                    return 0.0
                pending += [v for v in node.outputs if v not in carried]
                carried.update(node.outputs)
        self.masks |= carried
        return ADDEND if carried else LARGEST

    # -- scales ------------------------------------------------------------------------------------

    def _by_scale(self) -> Reasons:
        """What a quantizer reads or gives whose scale has no full precision in FP16.

        The quantizer itself stays in FP32, and so does what it is fused into: a Cast in between
        would cost the INT8 kernel.
        """
        for node in self.graph.nodes:
            scale = node.operands.get("scale")
            if node.op not in CONVERSIONS or not isinstance(scale, Value) or scale.data is None:
                continue
            if fits(scale.data):
                continue
            least = float(np.min(scale.data))
            reason = f"a scale of {name_of(node)} is {least:.3g}, which FP16 does not hold"
            yield from ((n, reason) for n in around_quantizer(node))

    # -- what was seen in FP16 ---------------------------------------------------------------------

    def _by_roughness(self) -> Reasons:
        """What gave other numbers in FP16 than rounding explains, when that was tried."""
        rough = self.context.facts.get(TooRough, TooRough()).operators
        for node in self.graph.nodes:
            if reason := rough.get(node.output.name):
                yield node, reason

    # -- integers ----------------------------------------------------------------------------------

    def _by_integers(self) -> Reasons:
        """Arithmetic on positions, time steps and sizes, which a `precision` keeps."""
        exact: set[Value] = set()
        for node in self.graph.nodes:
            if node.op == "nn.cast" and cast(Value, node.operands["x"]).type.dtype in _INTEGERS:
                exact.add(node.output)
            floats = [v for v in node.inputs if v.type.dtype == FULL and v.data is None]
            if not floats or not exact.issuperset(floats) or node.op == "nn.cast":
                continue
            if match := next(self._said("keeps integers", node), None):
                self._declare(node, match)
                exact.update(node.outputs)
                yield node, "it computes with integers, which FP16 holds up to 2048"
                for casted in (v.producer for v in floats):
                    if casted is not None and casted.op == "nn.cast":
                        yield casted, "integers, which FP16 holds up to 2048"


def fits(scale: Array) -> bool:
    """Whether every scale is finite and normal in FP16."""
    half = as_half(scale)
    return bool(np.isfinite(half).all() and (half >= np.float16(LEAST)).all())


def _computes(signature: Signature) -> bool:
    return bool(signature.bound or signature.results or signature.reason)


def _around(value: Value) -> list[Node]:
    """What gives a value, and what reads it."""
    producer = [value.producer] if value.producer is not None else []
    return [*producer, *value.readers]


def _clamp(value: Value, bound: float) -> None:
    """Limit the finite elements of a constant, or what a ConstantOfShape fills its result with."""
    data = value.data if value.producer is None else value.producer.attributes["value"]
    assert isinstance(data, np.ndarray)
    limited = np.where(np.isfinite(data), np.clip(data, -bound, bound), data).astype(data.dtype)
    if value.producer is None:
        value.data = limited
    else:
        value.producer.attributes["value"] = limited


def _finite_magnitude(data: Array) -> float:
    """max|x| over the finite elements, 0.0 where there is none."""
    largest = largest_magnitude(data)
    return largest if np.isfinite(largest) else largest_magnitude(data[np.isfinite(data)])
