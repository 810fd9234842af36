"""Take the mean error that pruning and quantization cause out of the layers' biases."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from sparqc.errors import SparqcError
from sparqc.ir.dtypes import numpy_dtype
from sparqc.ir.graph import Array, Graph, Node, Value
from sparqc.ir.layer_names import name_of
from sparqc.ir.samples import is_free
from sparqc.ir.uncalibrated import is_uncalibrated
from sparqc.numerics.arrays import Floats
from sparqc.passes.correct_bias.mean_error import MeanError
from sparqc.passes.correct_bias.site import BiasSite, bias_sites
from sparqc.passes.on_data.batches import check_limit, not_finite
from sparqc.passes.on_data.held_out import Split
from sparqc.passes.on_data.judge import Judge
from sparqc.passes.on_data.observe import Observer, size_of
from sparqc.passes.on_data.stepwise import open_stepper
from sparqc.passes.on_data.transaction import Judgement, judged, note, too_few
from sparqc.pipeline.passbase import Pass
from sparqc.pipeline.registry import register
from sparqc.rewrite.context import Batch, Context

#: Bytes of wanted outputs for which a batch is cut into parts, at most down to single images.
_LIMIT = 256 << 20


@dataclass(frozen=True)
class Correction:
    """What became of the bias of one layer."""

    layer: str  # name of the value that the weighted operator defines
    module: str
    #: Root mean square over the channels of what was added to the bias.
    shift: float = 0.0
    #: Root mean square of the layer's output in the model as it was read.
    signal: float = 0.0
    #: Why the bias stays; "" where it was corrected.
    reason: str = ""


@dataclass(frozen=True)
class BiasCorrection:
    """The fact that `correct-bias` leaves: a row for each layer."""

    layers: tuple[Correction, ...] = ()


@register
@dataclass(frozen=True)
class CorrectBias(Pass):
    """Correct the layers' biases by the mean error of each output channel, on calibration data.

    Rounding weights and activations moves the mean of what a layer gives, and so does pruning.  The
    outputs are compared with those of the model as it was read, layer by layer in one pass over the
    data: each layer sees the corrections of those in front of it, as far as they are known by then.
    An error that the activation behind the layer cuts off does not count, nor one that is not
    larger than its own uncertainty over the images.  A layer without a bias gets one.  In front of
    a residual Add and its activation, the bias makes up for the error of the sum.

    The errors are measured without a quarter of each calibration batch.  That quarter judges: the
    corrections stay only where they bring the outputs nearer to those of the model as it was read,
    all of them, or those of a half or a quarter of the layers.  With fewer than 8 such samples
    nothing is corrected.  `always` measures on everything, and corrects untried.

    Runs behind `calibrate`.  Source: M. Nagel et al., Data-Free Quantization Through Weight
    Equalization and Bias Correction, ICCV 2019, section 4.2 and appendix D; the mean there is taken
    in front of the activation, which costs accuracy where errors depend on the sign.
    """

    name = "correct-bias"
    preserves = "lossy"
    needs_reference = True
    always: bool = False
    batches: int | None = None  # at most so many; none: all

    def __post_init__(self) -> None:
        check_limit(self.batches)

    def is_separable(self) -> bool:
        """Each layer by itself."""
        return True

    def run(self, graph: Graph, context: Context) -> int:
        """Change the biases; returns how many."""
        reference = _reference(graph, context)
        found = list(bias_sites(graph, reference, context.table))
        sites = [site for _, site in found if isinstance(site, BiasSite)]
        split = Split(graph, context, self.batches, judged=not self.always)
        measured = _Measurement(sites, graph, context)
        if sites:
            measured.take(split.fitted())
        verdict = None
        if not self.always and sites:
            verdict = self._judged(measured, reference, split, context)
            note(context.facts, verdict)
            if not verdict.reason and not verdict.undone:
                measured.take(enumerate(split.held, 1))  # what judged makes them surer
        rows = [
            _row(node, reason=site)
            if isinstance(site, str)
            else _carry_out(graph, site, measured.errors[site.node], verdict)
            for node, site in found
        ]
        context.facts.put(BiasCorrection(tuple(rows)))
        return sum(not row.reason for row in rows)

    def _judged(
        self, measured: _Measurement, reference: Graph, split: Split, context: Context
    ) -> Judgement:
        """Which layers to correct."""
        if reason := too_few(split):
            return Judgement(self.name, split.samples, reason=reason)
        errors = {
            node.output.name: error for node, error in measured.errors.items() if not error.is_small
        }

        def build(kept: Sequence[str]) -> Graph:
            trial = measured.graph.clone()
            for node, site in bias_sites(trial, reference, context.table):
                if isinstance(site, BiasSite) and node.output.name in kept:
                    _add(trial, site, errors[node.output.name].shift)
            return trial

        judge = Judge(reference, split.held, context.table)
        return judged(list(errors), build, judge, self.name)


def _carry_out(
    graph: Graph, site: BiasSite, error: MeanError, verdict: Judgement | None
) -> Correction:
    """Correct a bias, where the judge has kept that."""
    layer = site.node.output.name
    if not error.is_small and verdict is not None and layer not in verdict.kept:
        undone = "undone: the outputs came no nearer on data that is held back"
        return _row(site.node, reason=verdict.reason or undone)
    return _correct(graph, site, error)


def _reference(graph: Graph, context: Context) -> Graph:
    """The graph as it was read; `SparqcError` where this pass cannot compare with it."""
    reference = context.reference
    if reference is None or reference.level != graph.level:
        raise SparqcError(
            "correct-bias compares with the model as it was read, which is of another level here",
            hint="run it in front of `export`",
        )
    for node in graph.nodes:
        if is_uncalibrated(node):
            raise SparqcError(
                f"correct-bias: the quantizer {name_of(node)!r} has no scale yet",
                hint="run it behind `calibrate`",
            )
    return reference


class _Measurement:
    """The mean error of each layer, as far as data was taken in."""

    def __init__(self, sites: Sequence[BiasSite], graph: Graph, context: Context) -> None:
        self.graph, self._context, self._sites = graph, context, sites
        self.errors = {site.node: MeanError(site.axis, site.bounds) for site in sites}

    def take(self, batches: Iterable[tuple[int, Batch]]) -> None:
        """Run data through the reference and through the graph with its corrections so far."""
        reference, table = self._context.reference, self._context.table
        assert reference is not None
        by_wanted = {site.wanted: self.errors[site.node] for site in self._sites}
        by_value = {site.value: self.errors[site.node] for site in self._sites}
        observer = Observer(reference, list(by_wanted), table)
        stepper = open_stepper(self.graph, list(by_value), table)
        images = max(1, _LIMIT // max(1, size_of(by_wanted)))

        def expect(value: Value, array: Array) -> None:
            by_wanted[value].expect(array)

        def correct(value: Value, array: Array) -> Array:
            return by_value[value].correct(array)

        for number, batch in batches:
            for part in _parts(batch, images if is_free(self.graph.inputs) else None):
                observer.run(part, expect)
                stepper.run(part, correct)
            for site in self._sites:
                _require_finite(self.errors[site.node].shift, site, number)


def _parts(batch: Batch, images: int | None) -> Iterator[Batch]:
    """The batch in parts of so many images; whole for None."""
    if images is None:
        yield batch
        return
    for start in range(0, len(batch[0]), images):
        yield [array[start : start + images] for array in batch]


def _require_finite(shift: Floats, site: BiasSite, number: int) -> None:
    if not np.isfinite(shift).all():
        raise not_finite(repr(site.value.name), number, "mean")


def _correct(graph: Graph, site: BiasSite, error: MeanError) -> Correction:
    """Add to the bias what it lacks."""
    if error.is_small:
        return _row(site.node, 0.0, error.signal, "its mean error is no larger than chance")
    _add(graph, site, error.shift)
    return _row(site.node, error.size, error.signal)


def _add(graph: Graph, site: BiasSite, shift: Floats) -> None:
    old = site.bias
    if old is None:
        name = f"{site.node.output.name}.bias"
        data = shift.astype(numpy_dtype(site.node.output.type.dtype) or np.float32)
        graph.set_operand(site.place, site.operand, graph.constant(data, name))
        return
    assert old.data is not None
    data = (old.data + shift).astype(old.data.dtype)
    if old.readers == (site.place,) and not old.is_output:
        old.data = data
    else:
        graph.set_operand(site.place, site.operand, graph.constant(data, old.name))


def _row(node: Node, shift: float = 0.0, signal: float = 0.0, reason: str = "") -> Correction:
    return Correction(node.output.name, node.origin.module, shift, signal, reason)
