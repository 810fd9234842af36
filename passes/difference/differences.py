"""All differences between a graph with quantizers and its plan, as priced findings."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace

from sparqc.declared.gpus import Gpu
from sparqc.errors import SparqcError
from sparqc.ir.graph import Graph
from sparqc.ir.quantizers import CONVERSIONS, onnx_conversions
from sparqc.passes.adopt.adopted import Adoption
from sparqc.passes.check.finding import Finding
from sparqc.passes.difference.arrivals import arrivals
from sparqc.passes.difference.difference import Difference, Kind, Sides
from sparqc.passes.difference.extra import extra
from sparqc.passes.difference.kinds import LEFT_IN_FLOAT, SUPPORTED
from sparqc.passes.difference.missing import missing
from sparqc.passes.difference.plan import Plan, plan_of
from sparqc.passes.difference.price import Price, prices
from sparqc.passes.difference.scales import scales
from sparqc.passes.difference.sparse import sparse_findings
from sparqc.predict.built_types import as_built
from sparqc.predict.engine import PredictedKernel, Tensor
from sparqc.predict.kernel_time import kernel_seconds
from sparqc.predict.predict import Prediction, prediction
from sparqc.rewrite.context import Context

#: The share of the engine's time from which on all differences of one name are `slow`: two builds
#: of one file differ by about as much.
WORTH = 0.02


@dataclass(frozen=True)
class Compared:
    """What the placement of a graph's quantizers, and of its 2:4 weights, is worth."""

    #: Where quantizers stand otherwise than planned, the dearest first.
    placement: tuple[Finding, ...] = ()
    #: What is 2:4 for nothing.
    sparse: tuple[Finding, ...] = ()
    #: None where there are no quantizers, or they cannot be taken out.
    plan: Plan | None = None

    @property
    def findings(self) -> tuple[Finding, ...]:
        """All of them."""
        return (*self.placement, *self.sparse)


def compared(graph: Graph, context: Context, gpu: Gpu) -> Compared:
    """Hold an ONNX graph against its plan: findings with their prices on a GPU, the dearest
    first."""
    now = prediction(graph, context)
    sparse = tuple(sparse_findings(now.engine, graph))
    if not any(node.op in CONVERSIONS for node in graph.nodes):
        return Compared(sparse=sparse)
    try:
        sides = _sides(graph, context, now)
        placement = (*_priced(sides, gpu), *_left(sides, gpu))
    except SparqcError as error:
        return Compared((_not_compared(error, graph),), sparse)
    return Compared(placement, sparse, sides.plan)


def _sides(graph: Graph, context: Context, now: Prediction) -> Sides:
    arriving = dict(arrivals(now.units))
    plan = plan_of(graph, context, arriving, now.engine.ledger)
    return Sides(plan, now, arriving)


def _differences(sides: Sides) -> list[Difference]:
    return list(dict.fromkeys([*missing(sides), *extra(sides), *scales(sides)]))


def _priced(sides: Sides, gpu: Gpu) -> Iterator[Finding]:
    found = _differences(sides)
    if not found:
        return
    known = prices(found, sides.now.engine, sides.then.engine, gpu)
    pairs = sorted(zip(found, known, strict=True), key=lambda p: -(p[1].share if p[1] else 0))
    whole: dict[str, float] = defaultdict(float)
    for difference, price in pairs:
        whole[difference.id] += 1 if price is None else price.share
    for difference, price in pairs:
        curable = difference.value not in sides.plan.unmeasured
        yield Finding(
            id=difference.id,
            grade="slow" if _is_slow(difference.id, whole[difference.id]) else "note",
            nodes=tuple(dict.fromkeys((difference.reader, difference.value))),
            message=difference.message,
            cure=_cure(difference.kind, curable),
            source=difference.source,
            fix="lossy" if curable else "",
            cost=_cost(price, gpu) if price else "",
            share=price.share if price else None,
        )


def _is_slow(id: str, share: float) -> bool:
    return share >= WORTH and id not in SUPPORTED


def _left(sides: Sides, gpu: Gpu) -> Iterator[Finding]:
    """A note for each layer that was left in float, with what INT8 would save."""
    adoption = sides.plan.context.facts.get(Adoption, Adoption())
    engine = as_built(sides.now.engine)
    whole = sum(kernel_seconds(k, gpu) for k in engine.kernels)
    kernels = {value: kernel for kernel in engine.kernels for value in kernel.values}
    for decision in sides.plan.placing.decider.decisions:
        names = [n.output.name for n in decision.match.nodes]
        layer = next((n for n in names if n in adoption.left_in_float), None)
        if layer is None or decision.reason != adoption.left_in_float[layer]:
            continue
        message = f"{layer} was left in float; the target would run it in INT8"
        kernel = kernels.get(layer)
        if kernel is not None and not kernel.unsized and whole:
            saved = kernel_seconds(kernel, gpu) - kernel_seconds(_in_int8(kernel), gpu)
            message += f", which saves {100 * saved / whole:.2g} % of the time on an {gpu.doc}"
        yield Finding(
            LEFT_IN_FLOAT.id, "note", (layer,), message,
            "if that was no decision for accuracy, quantize it: `sparqc compile FILE --passes "
            "adopt{float_layers=quantize},int8`", LEFT_IN_FLOAT.source,
        )  # fmt: skip


def _in_int8(kernel: PredictedKernel) -> PredictedKernel:
    """The same kernel reading codes, and writing floats."""
    return replace(
        kernel,
        int8=True,
        inputs=tuple(map(_codes, kernel.inputs)),
        weights=tuple(map(_codes, kernel.weights)),
    )


def _codes(tensor: Tensor) -> Tensor:
    return replace(tensor, dtype="i8")


def _not_compared(error: SparqcError, graph: Graph) -> Finding:
    """A note where codes are of types that the rules say nothing of, and `other-codes` does."""
    other = {f"onnx.{name}" for name in onnx_conversions()}
    return Finding(
        "not-compared", "note" if any(n.op in other for n in graph.nodes) else "slow", (),
        f"where quantizers stand was not held against the rules: {error.message}",
        error.hint, "sparqc",
    )  # fmt: skip


def _cost(price: Price, gpu: Gpu) -> str:
    if price.seconds <= 0:
        return f"it costs no time on an {gpu.doc}"
    traffic = f", {price.bytes / 1e6:.3g} MB of traffic" if price.bytes > 0 else ""
    return f"it costs {100 * price.share:.2g} % of the time on an {gpu.doc}{traffic}"


def _cure(kind: Kind, curable: bool) -> str:
    if not curable:
        return "its range was never measured: `sparqc compile FILE --passes int8` measures it"
    return {
        "missing": "quantize it", "extra": "take the pair away", "scale": "give them one scale",
    }[kind]  # fmt: skip
