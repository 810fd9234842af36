"""Take the mean error that pruning and quantization cause out of the layers' biases."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from sparqc.errors import SparqcError
from sparqc.ir.graph import Array, Graph, Node, Value
from sparqc.ir.layer_names import name_of
from sparqc.ir.samples import is_free
from sparqc.ir.uncalibrated import is_uncalibrated
from sparqc.numerics.arrays import Floats
from sparqc.passes.correct_bias.mean_error import MeanError
from sparqc.passes.correct_bias.site import BiasSite, bias_sites
from sparqc.passes.on_data.batches import calibration_batches, check_limit, not_finite
from sparqc.passes.on_data.observe import Observer, size_of
from sparqc.passes.on_data.stepwise import open_stepper
from sparqc.pipeline.passbase import Pass
from sparqc.pipeline.registry import register
from sparqc.rewrite.context import Batch, Context

#: A shift below this share of the output is the rounding of float sums.
_LEAST = 1e-5
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

    Runs behind `calibrate`.  Source: M. Nagel et al., Data-Free Quantization Through Weight
    Equalization and Bias Correction, ICCV 2019, section 4.2 and appendix D; the mean there is taken
    in front of the activation, which costs accuracy where errors depend on the sign.
    """

    name = "correct-bias"
    preserves = "lossy"
    needs_reference = True
    batches: int | None = None  # at most so many; none: all

    def __post_init__(self) -> None:
        check_limit(self.batches)

    def run(self, graph: Graph, context: Context) -> int:
        """Change the biases; returns how many."""
        reference = _reference(graph, context)
        found = list(bias_sites(graph, reference, context.table))
        sites = [site for _, site in found if isinstance(site, BiasSite)]
        errors = {site.node: MeanError(site.axis, site.bounds) for site in sites}
        if sites:
            _measure(sites, errors, graph, context, self.batches)
        rows = [
            _row(node, reason=site)
            if isinstance(site, str)
            else _correct(graph, site, errors[node])
            for node, site in found
        ]
        context.facts.put(BiasCorrection(tuple(rows)))
        return sum(not row.reason for row in rows)


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


def _measure(
    sites: Sequence[BiasSite],
    errors: dict[Node, MeanError],
    graph: Graph,
    context: Context,
    batches: int | None,
) -> None:
    """Run the data through the reference and through the graph with its corrections so far."""
    reference = context.reference
    assert reference is not None
    by_wanted = {site.wanted: errors[site.node] for site in sites}
    by_value = {site.value: errors[site.node] for site in sites}
    observer = Observer(reference, list(by_wanted), context.table)
    stepper = open_stepper(graph, list(by_value), context.table)
    images = max(1, _LIMIT // max(1, size_of(by_wanted)))

    def expect(value: Value, array: Array) -> None:
        by_wanted[value].expect(array)

    def correct(value: Value, array: Array) -> Array:
        return by_value[value].correct(array)

    for number, batch in calibration_batches(graph, context, batches):
        for part in _parts(batch, images if is_free(graph.inputs) else None):
            observer.run(part, expect)
            stepper.run(part, correct)
        for site in sites:
            _require_finite(errors[site.node].shift, site, number)


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
    shift, signal = error.shift, error.signal
    size = math.sqrt(float(np.mean(shift**2)))
    if size <= _LEAST * signal:
        return _row(site.node, 0.0, signal, "its mean error is no larger than chance")
    _add(graph, site, shift)
    return _row(site.node, size, signal)


def _add(graph: Graph, site: BiasSite, shift: Floats) -> None:
    old = site.bias
    if old is None:
        name = f"{site.node.output.name}.bias"
        graph.set_operand(site.node, site.operand, graph.constant(shift.astype(np.float32), name))
        return
    assert old.data is not None
    data = (old.data + shift).astype(old.data.dtype)
    if old.readers == (site.node,) and not old.is_output:
        old.data = data
    else:
        graph.set_operand(site.node, site.operand, graph.constant(data, old.name))


def _row(node: Node, shift: float = 0.0, signal: float = 0.0, reason: str = "") -> Correction:
    return Correction(node.output.name, node.origin.module, shift, signal, reason)
