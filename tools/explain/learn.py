"""What a real engine shows of its weighted operators: a witness, without names and weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, cast, get_args

import onnx

from sparqc.base.text import shortened
from sparqc.declared.gpus import Gpu
from sparqc.declared.targets import profiles
from sparqc.errors import SparqcError
from sparqc.ir.vocabulary.operator import Operator
from sparqc.ir.vocabulary.table import default_table
from sparqc.ir.vocabulary.traits import DATA
from sparqc.predict.engine import LedgerRow, PredictedEngine
from sparqc.predict.witness import Dtype, Epilogue, SeenKernel
from sparqc.tools.engine.int8_coverage import operators_as_built
from sparqc.tools.engine.kernel import EngineTensor, Kernel
from sparqc.tools.engine.listings.listing import Listing
from sparqc.tools.engine.onnx_weights import constant_values, weighted_nodes
from sparqc.tools.explain.match_kernels import match_kernels
from sparqc.tools.explain.releases import built_with, release
from sparqc.tools.explain.sparse_choices import sparse_allowed
from sparqc.tools.explain.witness_text import witness_name, witness_text

#: A witness is written of an engine in which at least this share of the layers was found.
ENOUGH = 0.5
#: So many of what is left out are named.
_NAMED = 4

_FLOATS = frozenset({"float4", "float8", "float16", "bfloat16", "float32"})


@dataclass(frozen=True)
class Learned:
    """A witness, and how much of the engine there is in it."""

    name: str
    #: The entries in front of the kernels.
    head: Mapping[str, Any]
    kernels: tuple[SeenKernel, ...]
    #: The weighted operators of the model.
    layers: int
    #: What else is to be said.
    notes: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The file."""
        return witness_text(self.name, self.head, self.kernels)


def learn(
    engine: PredictedEngine, listing: Listing, model: onnx.ModelProto, gpu: Gpu, version: str = ""
) -> Learned:
    """The witness that a listing of the kernels of an engine gives.

    `model` has the node names that the listing may know; `version` is that of the compiler, "" for
    what the listing says.

    Raises:
        UsageError: the version is not known, or the prediction is for another one.
        SparqcError: the listing is cut, of another model, tells of too few of its layers, or shows
            sparse kernels of weights that are not 2:4.
    """
    number = built_with(version or listing.compiler, engine.target)
    if listing.cut:
        raise SparqcError(
            "the listing ends in the middle, and no witness is written of a part of an engine",
            hint="export it anew",
        )
    seen = _Engine(engine, listing, model)
    rows = engine.ledger
    found = list(filter(None, map(seen.kernel, rows)))
    if not found or len(found) < ENOUGH * len(rows):
        raise SparqcError(
            f"the listing tells of only {len(found)} of {len(rows)} weighted operators, and no "
            f"witness is written: {shortened(list(seen.left_out.values()), _NAMED)}",
            hint="build the engine from this very file with detailed profiling verbosity, and give "
            "the sizes that it was built for: --batch or --shape",
        )
    head = {
        "gpu": gpu.name,
        "compiler": release(profiles()[engine.target].compiler)[0],
        "version": number,
        "batch": _batch(engine),
        "quantized": _quantized(engine, found),
    }
    name = witness_name(head, found)
    return Learned(name, head, tuple(found), len(rows), tuple(seen.notes(found)))


def _quantized(engine: PredictedEngine, found: Sequence[SeenKernel]) -> str:
    """How INT8 came about: a file without Q/DQ was calibrated by the compiler."""
    if engine.weights:
        return "q-dq"
    return "calibration" if any(k.computes == "int8" for k in found) else "none"


def _batch(engine: PredictedEngine) -> int:
    sizes = (shape[0] for _, shape in engine.shapes if shape)
    return next((size for size in sizes if isinstance(size, int) and size), 1)


class _Engine:
    """The kernels of an engine beside the predicted ones."""

    def __init__(self, engine: PredictedEngine, listing: Listing, model: onnx.ModelProto) -> None:
        self.matched = match_kernels(listing.kernels, model)
        self.types = {n.name: n.op_type for n in model.graph.node}
        fixed = constant_values(model)
        self.skips = {
            n.name for n in model.graph.node if n.op_type == "Add" and fixed.isdisjoint(n.input)
        }
        weighing = weighted_nodes(model)
        self.weighing = {w.node for w in weighing}
        self.built = {o.node: o for o in operators_as_built(weighing, self.matched.kernels)}
        listed = {node for kernel in self.matched.kernels for node in kernel.nodes}
        #: Of each predicted kernel, by its nodes, those that no name of a kernel holds: listings up
        #: to 8.5 leave out a ReLU behind a convolution.
        self.unlisted = {n: set(k.nodes) - listed for k in engine.kernels for n in k.nodes}
        self.sizes = {n: {t.elements for t in k.outputs} for k in engine.kernels for n in k.nodes}
        #: Whether sparse kernels were allowed, for sure.
        self.allowed = sparse_allowed(listing.kernels, listing.sparsity)
        #: The layers in kernels of which other nodes may have other names.
        self.by_weight = 0
        #: Why a layer has no kernel here, by its node.
        self.left_out: dict[str, str] = {}

    def kernel(self, row: LedgerRow) -> SeenKernel | None:
        """What is seen of one weighted operator, None where nothing is for sure."""
        try:
            return self._kernel(row)
        except _Unsure as reason:
            self.left_out[row.node] = f"{row.title} ({reason})"
            return None

    def _kernel(self, row: LedgerRow) -> SeenKernel:
        sizes, real = row.sizes, self._real(row)
        if sizes is None:
            raise _Unsure("a size of it is not known, or it is of no known kind")
        built = self.built[row.node]
        if built.precision == "unknown":
            raise _Unsure("its type is not known")
        self._check_sizes(row, real)
        self.by_weight += real in self.matched.partly
        if self.allowed and real.sparse and not row.sparse:
            reason = next(c.reason for c in (row.two_four, row.size_rule) if not c.holds)
            raise SparqcError(
                f"the engine runs {row.title} sparse, which cannot be of this file: {reason}",
                hint="give the file that the engine was built from",
            )
        computes = "int8" if built.precision == "int8" else _float_type(real)
        return SeenKernel(
            operator=sizes.operator, k=sizes.k, c=sizes.c, rows=sizes.rows,
            computes=cast(Dtype, computes), kernel=sizes.kernel, stride=sizes.stride,
            groups=sizes.groups, reads=_types(real.inputs), writes=_types(real.outputs),
            epilogue=tuple(self._epilogue(row, real)), eligible=row.sparse,
            sparse=real.sparse if self.allowed and row.sparse else None,
            dense_us=None if self.allowed else _time(real),
            sparse_us=_time(real) if self.allowed else None,
        )  # fmt: skip

    def _real(self, row: LedgerRow) -> Kernel:
        """The one kernel that multiplies in an operator."""
        operator = self.built.get(row.node)
        named = [k for k in self.matched.kernels if row.node in k.nodes]
        found = [k for k in named if operator is not None and k.name == operator.kernel]
        if len(found) != 1:
            raise _Unsure("no kernel names it" if not found else "several kernels name it")
        (real,) = found
        if real in self.matched.partly and not _weighs(row, real):
            raise _Unsure("a piece of its kernel's name is no node of the file")
        if len(self.weighing.intersection(real.nodes)) != 1:
            raise _Unsure("its kernel has several layers")
        return real

    def _check_sizes(self, row: LedgerRow, real: Kernel) -> None:
        sizes = row.sizes
        expected = {None if sizes is None else sizes.k * sizes.rows}
        for node in real.nodes:
            expected |= self.sizes.get(node, set())
        if not real.outputs or not all(t.sized for t in real.outputs):
            raise _Unsure("the engine was built for a range of sizes")
        if not any(prod(t.dims) in expected for t in real.outputs):
            there = "x".join(map(str, real.outputs[0].dims))
            raise _Unsure(f"it gives {there} in the engine, and another size here")

    def _epilogue(self, row: LedgerRow, real: Kernel) -> Iterator[Epilogue]:
        nodes = {*real.nodes, *self.unlisted.get(row.node, ())}
        adds = not self.skips.isdisjoint(nodes)
        if real in self.matched.partly:  # its nodes are not all known, what it reads is
            adds = len(set(real.inputs)) > 1
        if adds:
            yield "add"
        types = (self.types[node] for node in nodes if node in self.types)
        rows = [row for type_ in types for row in default_table().for_onnx(type_)]
        if any(map(_is_activation, rows)):
            yield "activation"
        if any("spatial" in row.traits for row in rows):
            yield "pool"

    def notes(self, found: Sequence[SeenKernel]) -> Iterator[str]:
        """What else a person wants to know."""
        if self.left_out:
            yield f"left out: {shortened(list(self.left_out.values()), _NAMED)}"
        if self.by_weight:
            yield (
                f"{self.by_weight} layers are known by their weights alone: whether an activation "
                "or a pool is in their kernels is as predicted"
            )
        if not self.allowed and any(k.eligible for k in found):
            yield (
                "no kernel ran sparse, and the listing does not say whether sparse ones were "
                "allowed: the witness leaves open which layers would have"
            )
        if not any(k.timed for k in found):
            yield "no times: give those of `trtexec --exportProfile` with --profile"


class _Unsure(Exception):
    """Why nothing is learned of a layer."""


def _is_activation(row: Operator) -> bool:
    """Whether an operator computes each number of its result of one that it reads."""
    alone = set(DATA).intersection(row.operand_names) == {"x"}
    return (
        alone and "elementwise" in row.traits and not {"view", "converts"}.intersection(row.traits)
    )


def _weighs(row: LedgerRow, real: Kernel) -> bool:
    """Whether a kernel has a weight of the size of that of an operator."""
    sizes = [size for size in row.shape if isinstance(size, int)]
    return len(sizes) == len(row.shape) and any(prod(c.dims) == prod(sizes) for c in real.constants)


def _float_type(real: Kernel) -> str:
    """What a kernel multiplies in that does not in INT8: the type of its data, or its weight."""
    types = (t.dtype for t in (*real.inputs, *real.constants))
    return next((t for t in types if t in _FLOATS), "float32")


def _types(tensors: Sequence[EngineTensor]) -> tuple[Dtype, ...]:
    types = [t.dtype for t in tensors if t.dtype in get_args(Dtype)]
    return cast(tuple[Dtype, ...], tuple(types)) if len(types) == len(tensors) else ()


def _time(real: Kernel) -> float | None:
    return real.time or None
