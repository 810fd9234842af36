"""Operators outside the table, exported by torch.onnx: they alone, not the graph around them.

All of a graph go through the exporter in one call, since a call takes half a second whatever it
exports; equal ones go once.  They share neither inputs nor symbolic sizes there.
"""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import onnx
import torch
from torch import nn

from sparqc.errors import NoForm, SparqcError
from sparqc.ir.export.piece import Piece, cut
from sparqc.ir.export.regions import Region, unknown_value
from sparqc.ir.export.trace_sizes import TraceSizes
from sparqc.ir.export.weights import with_weights_folded
from sparqc.ir.fx.tensor import TORCH_DTYPES, tensor_of
from sparqc.ir.fx.write import write_fx
from sparqc.ir.graph import Array, Graph, TensorType, Value
from sparqc.ir.onnx.read import read_onnx
from sparqc.ir.onnx.write import no_form
from sparqc.ir.vocabulary.table import OperatorTable

#: The lowest opset that the exporter writes.
LOWEST = 18


class TorchExporter:
    """Exports regions of one graph; `example` gives the symbolic sizes to trace with."""

    def __init__(
        self, graph: Graph, table: OperatorTable, opset: int, example: Sequence[Array]
    ) -> None:
        self.table, self.opset = table, max(opset, LOWEST)
        self.sizes = TraceSizes(graph.inputs, example)
        self.known: dict[str, Graph] = {}

    def prepare(self, regions: Sequence[Region]) -> None:
        """Export regions together; one that fails is left for `export` to explain."""
        known = [region for region in regions if unknown_value(region) is None]
        pieces = {piece.key: piece for piece in map(cut, known)}
        try:
            found = self._exported(list(pieces.values()))
        except _Refused:
            return
        self.known.update(zip(pieces, found, strict=True))

    def export(self, region: Region, reason: NoForm | None = None) -> tuple[Piece, Graph]:
        """A region as it is cut out, and its ONNX graph.

        Raises SparqcError, naming operator, module and source line, where torch.onnx cannot export
        it, or only for one value of a symbolic size.
        """
        if (value := unknown_value(region)) is not None:
            refusal = reason or no_form(region.nodes[0])
            raise SparqcError(
                f"{refusal.message}, and the type of {value.name!r} is unknown", hint=refusal.hint
            )
        piece = cut(region)
        if piece.key not in self.known:
            try:
                (self.known[piece.key],) = self._exported([piece])
            except _Refused as refused:
                raise _explained(region, refused, reason) from refused
        graph = self.known[piece.key]
        _require_free_sizes(region, piece, graph)
        return piece, with_weights_folded(graph, piece.inputs, self.table)

    def _exported(self, pieces: Sequence[Piece]) -> list[Graph]:
        """The ONNX graphs of pieces."""
        inputs = [v for piece in pieces for v in piece.graph.inputs]
        args = [t for piece in pieces for t in self._arguments(piece)]
        module = _Together([write_fx(p.graph, self.table) for p in pieces],
                           [len(p.inputs) for p in pieces])  # fmt: skip
        names = [f"y{i}" for i in range(sum(len(p.outputs) for p in pieces))]
        model = _model(module, args, inputs, names, self.opset)
        return _taken_apart(read_onnx(model, self.table), pieces)

    def _arguments(self, piece: Piece) -> Iterator[torch.Tensor]:
        """Tensors to trace with: of a constant its own, else zeros, which nobody looks at."""
        shapes = iter(self.sizes.shapes([v.shape or () for v in piece.graph.inputs]))
        for inner, value in zip(piece.graph.inputs, piece.inputs, strict=True):
            shape = next(shapes)
            if value.data is not None:
                yield tensor_of(value.data)
            else:
                dtype = TORCH_DTYPES.get(inner.type.dtype) or getattr(torch, inner.type.dtype)
                yield torch.zeros(shape, dtype=dtype)


class _Refused(Exception):
    """torch.onnx does not export something; the cause says why."""


def _model(
    module: nn.Module,
    args: Sequence[torch.Tensor],
    inputs: Sequence[Value],
    output_names: Sequence[str],
    opset: int,
) -> onnx.ModelProto:
    dynamic = (tuple(map(_dynamic, inputs)),)
    with warnings.catch_warnings(), _quiet():
        warnings.simplefilter("ignore")
        try:
            program = torch.export.export(module, tuple(args), dynamic_shapes=dynamic, strict=False)
            result: Any = torch.onnx.export(
                program,
                dynamo=True,
                opset_version=opset,
                input_names=[f"x{i}" for i in range(len(inputs))],
                output_names=output_names,
                optimize=True,
                verbose=False,
            )
        except Exception as error:  # torch raises whatever its many layers raise
            raise _Refused from error
    model: onnx.ModelProto = result.model_proto
    return model


class _Together(nn.Module):
    """Modules side by side: each takes some of the arguments, and all results are given."""

    def __init__(self, parts: Sequence[nn.Module], counts: Sequence[int]) -> None:
        super().__init__()
        self.parts, self.counts = nn.ModuleList(parts), counts

    def forward(self, *args: Any) -> tuple[Any, ...]:
        results: list[Any] = []
        rest = list(args)
        for part, count in zip(self.parts, self.counts, strict=True):
            given, rest = rest[:count], rest[count:]
            result = part(*given)
            results += result if isinstance(result, list | tuple) else [result]
        return tuple(results)


def _taken_apart(graph: Graph, pieces: Sequence[Piece]) -> list[Graph]:
    if len(pieces) == 1:
        return [graph]
    found, inputs, outputs = [], 0, 0
    for piece in pieces:
        part = graph.clone()
        part.set_outputs(
            part.outputs[outputs : outputs + len(piece.outputs)], piece.graph.output_names
        )
        part.drop_dead()
        part.inputs = part.inputs[inputs : inputs + len(piece.inputs)]
        inputs, outputs = inputs + len(piece.inputs), outputs + len(piece.outputs)
        found.append(part)
    return found


def _dynamic(value: Value) -> dict[int, Any]:
    dims = enumerate(value.shape or ())
    return {i: torch.export.Dim.DYNAMIC for i, d in dims if isinstance(d, str)}


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


# -- errors --------------------------------------------------------------------------------------


def _require_free_sizes(region: Region, piece: Piece, exported: Graph) -> None:
    """Refuse what holds for one value of a symbolic size only."""
    pairs = [
        *zip(piece.inputs, exported.inputs, strict=True),
        *zip(piece.outputs, exported.outputs, strict=True),
    ]
    for value, read in pairs:
        for size in _fixed(value.type, read.type):
            refusal = no_form(region.nodes[0])
            raise SparqcError(
                f"{refusal.message}, and torch.onnx exports it for one size of {value.name!r} "
                f"only: {size}",
                hint=refusal.hint,
            )


def _fixed(free: TensorType, exported: TensorType) -> Iterator[str]:
    """The symbolic sizes of a type that are numbers in another."""
    for size, number in zip(free.shape or (), exported.shape or (), strict=False):
        if isinstance(size, str) and isinstance(number, int):
            yield f"{size} = {number}"


def _explained(region: Region, error: Exception, reason: NoForm | None) -> SparqcError:
    """The error that names the operator torch.onnx stopped at, and where the model calls it."""
    chain: list[BaseException] = [error]
    while (cause := chain[-1].__cause__) is not None:
        chain.append(cause)
    texts = " ".join(str(e) for e in chain)
    stopped = {f"{name}.{overload}" for name, overload in _OVERLOAD.findall(texts)}
    named = next((n for n in region.nodes if n.op in stopped), region.nodes[0])
    refusal = reason or no_form(named)
    detail = next(iter(str(chain[-1]).strip().splitlines()), type(error).__name__)
    return SparqcError(
        f"{refusal.message}, and torch.onnx cannot export it: {detail}", hint=refusal.hint
    )


_OVERLOAD = re.compile(r"op='([\w.]+)', overload='(\w+)'")
