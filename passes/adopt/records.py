"""What is read off the quantizers of other tools before they go."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from sparqc.base.text import shortened
from sparqc.errors import SparqcError
from sparqc.ir.graph import Node, Value
from sparqc.ir.weighted import Weighted
from sparqc.passes.adopt.adopted import Adopted, Adoption, channel_sums, rules_of, slots_of
from sparqc.passes.adopt.foreign import FROM_CODES, TO_CODES, Grid, data_of

#: A range below this stands for nothing: the tool saw zeros only.
_NOTHING = 1e-30
#: By how much a product in float32 may exceed its factors.
_ROUNDING = 1e-6
UNCALIBRATED = "it was never calibrated"
PER_CHANNEL = "per channel, and no weight: the largest range for all channels"
CLAMPED = "the quantizer stood for a Relu or Clip, which is written"
LEFT = "the tool that quantized the model left it in float; adopt{float_layers=quantize} does not"


class Recorder:
    """Collects the ranges, while the quantizers still stand in the graph."""

    def __init__(self, stored: Mapping[Value, Grid]) -> None:
        self.adoption = Adoption()
        self.stored = stored
        self._changed: dict[str, list[str]] = {}
        #: Every operand that was quantized, whatever became of its range.
        self._read: set[str] = set()
        for value, grid in stored.items():
            self._weight_from_codes(value, grid)

    def quantizer(self, node: Node, grid: Grid) -> None:
        """Note one fake quantizer or Q; a DQ says nothing that its Q did not."""
        if node.op in FROM_CODES:
            return
        source, readers = data_of(node), _readers(node)
        origin = node.origin.module or node.output.name
        self._add(source, grid, readers, origin)

    def _weight_from_codes(self, value: Value, grid: Grid) -> None:
        if grid.high > 0xFFFF:
            return  # a bias, whose scale is that of the sums
        self._add(value, grid, list(slots_of(value)), value.name, stored=True)

    def _add(
        self,
        source: Value,
        grid: Grid,
        readers: Sequence[str],
        origin: str,
        *,
        stored: bool = False,
    ) -> None:
        self._read.update(readers)
        amax = np.atleast_1d(grid.amax)
        refusal = grid.refusal or (UNCALIBRATED if np.isnan(amax).any() else "")
        if refusal:
            self._note(f"{refusal}: its range is measured anew", source, origin)
            self.adoption.missing[source.name] = f"{origin}: {refusal}"
            return
        if np.isinf(amax).any() or (amax < 0).any():
            raise SparqcError(
                f"the quantizer {origin} has a range that is negative or infinite",
                hint="calibrate the model again in the tool that it comes from",
            )
        axis = grid.axis
        if axis is not None and not source.is_const:
            self._note(PER_CHANNEL, source, origin)
            axis, amax = None, amax.max(keepdims=True)
        if grid.conversion:
            self._note(grid.conversion, source, origin)
        amax = np.where(amax < _NOTHING, 0.0, amax)
        self.adoption.quantizers.append(
            Adopted(
                value=source.name,
                readers=tuple(readers),
                amax=tuple(amax.tolist()),
                axis=axis,
                origin=origin,
                weight=source.is_const,
                note=grid.conversion,
                on_grid=stored and grid.is_symmetric,
                steps=_steps(grid) if stored else (),
                rules=rules_of(source),
            )
        )

    def _note(self, what: str, source: Value, origin: str) -> None:
        self._changed.setdefault(what, []).append(
            source.name if source.name == origin else f"{source.name} ({origin})"
        )

    def finish(
        self, layers: Sequence[Weighted], keep_float: bool, clamped: Sequence[Value]
    ) -> Adoption:
        """What was found; `layers` are those of the graph without quantizers, `clamped` the values
        that got the activation back that a quantizer stood for."""
        adoption = self.adoption
        if clamped:
            self._changed[CLAMPED] = [value.name for value in clamped]
        axes = {found.weight.name: found for found in layers}
        adoption.quantizers = [_fingerprinted(a, axes.get(a.value)) for a in adoption.quantizers]
        left = [found for found in layers if self._read.isdisjoint(_operands(found.node))]
        if keep_float:
            adoption.left_in_float = {found.node.output.name: LEFT for found in left}
        adoption.notes = [f"{what}: {shortened(where)}" for what, where in self._changed.items()]
        return adoption


def _readers(node: Node) -> list[str]:
    """Who reads what a quantizer gives, behind its DQs."""
    if node.op not in TO_CODES:
        return list(slots_of(node.output))
    behind: Iterable[Node] = (d for d in node.output.readers if d.op in FROM_CODES)
    return [slot for dequantizer in behind for slot in slots_of(dequantizer.output)]


def _operands(node: Node) -> list[str]:
    return [f"{node.output.name}.{slot}" for slot in node.operands]


def _steps(grid: Grid) -> tuple[float, ...]:
    return () if grid.is_symmetric else tuple(np.atleast_1d(grid.scale).tolist())


def _fingerprinted(found: Adopted, layer: Weighted | None) -> Adopted:
    """With what the weight was when its range was set.

    Of a weight with a zero point each channel keeps its steps where 127 of them are enough, so that
    nothing is rounded again; where they are not, or it is no stored one, the scale is computed.
    """
    if not found.weight or layer is None or layer.weight.data is None:
        return found
    if found.axis not in (None, layer.channel_axis) or (found.note and not found.steps):
        return found
    largest, total = channel_sums(layer.weight.data, layer.channel_axis)
    if found.steps:
        kept = 127 * np.asarray(found.steps)
        amax = np.where(largest <= kept * (1 + _ROUNDING), kept, largest)
        found = replace(found, amax=tuple(amax.tolist()))
    return replace(found, largest=tuple(largest.tolist()), total=tuple(total.tolist()))
