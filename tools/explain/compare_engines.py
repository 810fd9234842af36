"""A predicted engine beside a real one: the operators and kernels in which they differ."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import onnx

from sparqc.errors import SparqcError
from sparqc.ir.quantizers import onnx_conversions
from sparqc.predict.engine import PredictedEngine, PredictedKernel
from sparqc.tools.engine.int8_coverage import operators_as_built
from sparqc.tools.engine.kernel import Kernel
from sparqc.tools.engine.onnx_weights import weighted_nodes
from sparqc.tools.engine.report import EngineOperator
from sparqc.tools.engine.text import size_text
from sparqc.tools.explain.text import operators_text

#: More differences of one kind than this are counted instead of shown.
SHOWN = 12


@dataclass(frozen=True)
class Difference:
    """One place where the engine is not what was predicted.

    `kind` is `precision` (a weighted operator), `split` (one predicted kernel, several real ones)
    or `merged` (one real kernel, several predicted ones).
    """

    kind: str
    nodes: tuple[str, ...]
    predicted: tuple[str, ...]
    engine: tuple[str, ...]
    message: str

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {key: list(v) if isinstance(v, tuple) else v for key, v in vars(self).items()}


@dataclass(frozen=True)
class Comparison:
    """Both engines in figures, and their differences in order of execution."""

    kernels: tuple[int, int]
    int8: tuple[int, int]
    traffic: tuple[int, int]
    differences: tuple[Difference, ...]

    def of_kind(self, kind: str) -> list[Difference]:
        """The differences of one kind."""
        return [d for d in self.differences if d.kind == kind]

    def to_json(self) -> dict[str, Any]:
        """Plain data; pairs are (predicted, engine)."""
        pairs = {k: getattr(self, k) for k in ("kernels", "int8", "traffic")}
        named = {k: {"predicted": a, "engine": b} for k, (a, b) in pairs.items()}
        return {**named, "differences": [d.to_json() for d in self.differences]}


def compare(
    engine: PredictedEngine, kernels: Sequence[Kernel], model: onnx.ModelProto
) -> Comparison:
    """Lay a prediction beside the kernels of an engine of the same model.

    `model` has the node names that both know.  Raises SparqcError where no kernel names a node of
    the model.
    """
    types = {n.name: n.op_type for n in model.graph.node}
    # Their names in a kernel say little: a compiler folds the numbers of Q and DQ into others.
    quantizers = {name for name, op_type in types.items() if op_type in onnx_conversions()}
    named = types.keys() - quantizers
    real = [(k, [n for n in k.nodes if n in named]) for k in kernels]
    if not any(set(k.nodes) & types.keys() for k in kernels):
        raise SparqcError(
            "the listing names no node of this model",
            hint="build the engine with detailed profiling verbosity, and from this very file",
        )
    predicted = [(k, [n for n in k.nodes if n not in quantizers]) for k in engine.kernels]
    operators = operators_as_built(weighted_nodes(model), kernels)
    return Comparison(
        kernels=(len(engine.kernels), len(kernels)),
        int8=(len(engine.int8_nodes), sum(o.precision == "int8" for o in operators)),
        traffic=(
            engine.bytes_read + engine.bytes_written,
            sum(k.bytes_read + k.bytes_written for k in kernels),
        ),
        differences=(
            *_precision(engine, operators),
            *_split(predicted, real),
            *_merged(predicted, real),
        ),
    )


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


_TITLES = {
    "precision": "in another precision",
    "split": "split where one kernel was predicted",
    "merged": "merged where several kernels were predicted",
}


def comparison_lines(found: Comparison) -> Iterator[str]:
    """The comparison for a person."""
    yield "beside the engine           predicted  engine"
    yield f"  kernels                {found.kernels[0]:>12}  {found.kernels[1]}"
    yield f"  weighted ops in INT8   {found.int8[0]:>12}  {found.int8[1]}"
    traffic = [size_text(t) for t in found.traffic]
    yield f"  activation traffic     {traffic[0]:>12}  {traffic[1]}"
    if not found.differences:
        yield "  the engine is as predicted"
    for kind, title in _TITLES.items():
        some = found.of_kind(kind)
        if some:
            yield f"{title}: {len(some)}"
        yield from (f"  {d.message}" for d in some[:SHOWN])
        if len(some) > SHOWN:
            yield f"  ... and {len(some) - SHOWN} more: --json lists all of them"
