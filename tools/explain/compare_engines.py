"""A predicted engine beside a real one: the operators and kernels in which they differ."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import onnx

from sparqc.ir.quantizers import onnx_conversions
from sparqc.predict.engine import PredictedEngine, PredictedKernel
from sparqc.tools.engine.int8_coverage import operators_as_built
from sparqc.tools.engine.kernel import Kernel
from sparqc.tools.engine.listings.kernel_names import NO_KERNEL
from sparqc.tools.engine.onnx_weights import weighted_nodes
from sparqc.tools.engine.report import EngineOperator
from sparqc.tools.explain.comparison import Comparison, Difference
from sparqc.tools.explain.match_kernels import match_kernels
from sparqc.tools.explain.sides import Sides
from sparqc.tools.explain.sparse_choices import SparseChoices, sparse_allowed
from sparqc.tools.explain.text import operators_text


def compare(
    engine: PredictedEngine,
    kernels: Sequence[Kernel],
    model: onnx.ModelProto,
    cut: bool = False,
    sparsity: bool | None = None,
) -> Comparison:
    """Lay a prediction beside the kernels of an engine of the same model.

    `model` has the node names that both know; `cut` says that the listing ends in the middle,
    `sparsity` whether sparse kernels were allowed, where that is known.

    Raises:
        SparqcError: where no kernel names a node of the model, or the engine is another model's.
    """
    matched = match_kernels(kernels, model)
    # Their names in a kernel say little: a compiler folds the numbers of Q and DQ into others.
    quantizers = {n.name for n in model.graph.node if n.op_type in onnx_conversions()}
    sides = Sides(engine, matched, quantizers)
    operators = operators_as_built(weighted_nodes(model), matched.kernels)
    precision = list(_precision(engine, operators))
    told = {node for difference in precision for node in difference.nodes}
    allowed = sparse_allowed(kernels, sparsity)
    sparse = SparseChoices(engine, operators, matched.kernels if allowed else ())
    launched = [k for k in kernels if k.layer_type != NO_KERNEL]
    times = [k.time for k in kernels if k.time is not None]
    open_ = [] if not cut else ["the listing ends in the middle: what stands there whole counts"]
    open_ += sides.open()
    unknown = sum(o.precision == "unknown" for o in operators)
    if unknown:
        open_.append(f"of {unknown} of {len(operators)} weighted ops it does not say how they run")
    return Comparison(
        kernels=(len(engine.kernels), len(launched)),
        int8=(len(engine.int8_nodes), sum(o.precision == "int8" for o in operators)),
        traffic=(
            engine.bytes_read + engine.bytes_written,
            sum(k.bytes_read + k.bytes_written for k in launched),
        ),
        differences=(
            *precision,
            *sparse.differences(),
            *_split(sides.predicted, sides.real),
            *_merged(sides.predicted, sides.real),
            *_types(pair for pair in sides.pairs if told.isdisjoint(pair[0].nodes)),
            *_quantizers(sides, whole=not open_),
        ),
        groups=(len(sides.groups), len(sides.real_groups)),
        alike=len(sides.pairs),
        sparse=sparse.counts if sparse.pairs else None,
        quantizers=sides.quantizer_counts,
        notes=(*open_, *sides.remarks()),
        time=sum(times) if times else None,
        whole=not open_,
    )


def _types(pairs: Iterable[tuple[PredictedKernel, Kernel]]) -> Iterator[Difference]:
    """Where a kernel reads or writes codes in another place than was predicted."""
    for ours, real in pairs:
        if not (real.inputs and real.outputs):
            continue
        sides = (
            (_codes(t.dtype == "i8" for t in ours.inputs),
             _codes(t.dtype == "i8" for t in ours.outputs)),
            (_codes(t.dtype == "int8" for t in dict.fromkeys(real.inputs)),
             _codes(t.dtype == "int8" for t in real.outputs)),
        )  # fmt: skip
        if sides[0] != sides[1]:
            (reads, writes), (reads_there, writes_there) = sides
            yield Difference(
                "types", ours.nodes, (ours.name,), (real.name,),
                f"{ours.title}: predicted {reads} -> {writes}, runs {reads_there} -> "
                f"{writes_there}",
            )  # fmt: skip


def _codes(tensors: Iterable[bool]) -> str:
    """`INT8 + float`, the codes first."""
    return " + ".join("INT8" if codes else "float" for codes in sorted(tensors, reverse=True))


def _quantizers(sides: Sides, *, whole: bool) -> Iterator[Difference]:
    """Q and DQ that are kernels of their own on one side alone."""
    ours = {node: k for k in sides.predicted_own for node in k.nodes}
    for node, kernel in sides.own.items():
        if node not in ours:
            message = f"{node} runs as a kernel of its own"
            yield Difference("quantizer", (node,), (), (kernel.name,), message)
    for predicted in sides.predicted_own if whole else ():
        if sides.own.keys().isdisjoint(predicted.nodes):
            message = f"{predicted.nodes[0]} was predicted as a kernel of its own, and is none"
            yield Difference("quantizer", predicted.nodes, (predicted.name,), (), message)


def _precision(
    engine: PredictedEngine, operators: Iterable[EngineOperator]
) -> Iterator[Difference]:
    rows = {row.node: row for row in engine.ledger}
    for operator in operators:
        row = rows.get(operator.node)
        if row is None or operator.precision == "unknown":
            continue
        if row.int8 != (operator.precision == "int8"):
            ours, theirs = ("INT8", "float") if row.int8 else ("float", "INT8")
            reason = operator.reason if row.int8 else row.int8_in.reason
            yield Difference(
                "precision", (row.node,), (row.kernel,), (operator.kernel,),
                f"{row.title}: predicted in {ours}, runs in {theirs} ({reason})",
            )  # fmt: skip


def _split(
    predicted: Iterable[tuple[PredictedKernel, list[str]]],
    real: Sequence[tuple[Kernel, list[str]]],
) -> Iterator[Difference]:
    holders: dict[str, list[Kernel]] = {}
    for kernel, nodes in real:
        for node in nodes:
            holders.setdefault(node, []).append(kernel)
    for ours, nodes in predicted:
        found = dict.fromkeys(k for node in nodes for k in holders.get(node, ()))
        if len(found) > 1:
            names = tuple(k.name for k in found)
            message = f"{ours.title} [{operators_text(ours)}] runs as {len(names)} kernels: "
            message += ", ".join(names)
            yield Difference("split", tuple(nodes), (ours.name,), names, message)


def _merged(
    predicted: Iterable[tuple[PredictedKernel, list[str]]],
    real: Iterable[tuple[Kernel, list[str]]],
) -> Iterator[Difference]:
    owner = {node: kernel for kernel, nodes in predicted for node in nodes}
    for kernel, nodes in real:
        found = dict.fromkeys(owner[node] for node in nodes if node in owner)
        if len(found) > 1:
            names = tuple(k.name for k in found)
            titles = ", ".join(k.title for k in found)
            message = f"{kernel.name} takes in {len(names)} predicted kernels: {titles}"
            yield Difference("merged", tuple(nodes), names, (kernel.name,), message)
