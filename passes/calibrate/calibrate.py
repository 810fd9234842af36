"""Measure the scales of the quantizers that `place` inserted."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

import numpy as np

from sparqc.errors import SparqcError
from sparqc.ir.constants import constant_value, is_constant
from sparqc.ir.graph import Array, Graph, Node, TensorType, Value, dtype_name
from sparqc.ir.layer_names import layer_name
from sparqc.ir.quantizers import ROUNDERS
from sparqc.ir.uncalibrated import is_uncalibrated, source
from sparqc.ir.vocabulary.table import OperatorTable
from sparqc.numerics.finite import require_finite
from sparqc.numerics.int8_codes import channel_amax, safe_scale
from sparqc.passes.adopt.adopted import ADOPTED, known_amax, known_weight_amax, to_measure
from sparqc.passes.calibrate.calibrators import Calibrator, Method, calibrator
from sparqc.passes.calibrate.histogram import Histogram
from sparqc.passes.calibrate.merge_ranks import merge_histograms
from sparqc.passes.calibrate.range_quality import (
    outliers_of_array,
    outliers_of_histogram,
    snr_of_array,
    snr_of_histogram,
)
from sparqc.passes.calibrate.refine import OTHERS, Choice, refined
from sparqc.passes.half.widened import ends_in_half
from sparqc.passes.on_data.batches import calibration_batches, check_limit, not_finite
from sparqc.passes.on_data.held_out import Split
from sparqc.passes.on_data.observe import Observer
from sparqc.passes.on_data.transaction import note
from sparqc.pipeline.passbase import Pass
from sparqc.pipeline.registry import register
from sparqc.ranks.ranks import together
from sparqc.rewrite.context import Batch, Context

#: A value that loses so many dB because others share its scale may be given one of its own.
LEAST_LOSS = 1.0


@dataclass(frozen=True)
class Range:
    """What was found for one quantized value."""

    value: str
    module: str
    #: The constant that holds the scale; the values of one scale group name the same.
    scale: str
    #: How the range was chosen: the method, or "weight" (the maximum of each channel).
    method: str
    #: max|x| of the value itself; the ratio to other values of its group is a cost in accuracy.
    largest: float
    #: The range: what the largest code stands for.  Per channel the largest one.
    amax: float
    #: One step of the codes.  Per channel the largest one.
    step: float
    #: The share of the value's elements beyond the range.
    clipped: float = 0.0
    #: Scales are per channel where this is not 0.
    channels: int = 0
    #: Channels that are zero throughout and got a stand-in scale; (0,) for a whole tensor.
    dead: tuple[int, ...] = ()
    #: Signal-to-noise ratio of the codes against the value, in dB; None where that is all zero.
    snr_db: float | None = None
    #: The largest magnitude over that which 99.99 % of the elements stay below.
    outliers: float = 1.0
    #: The range that the value would have if it shared its scale with no other, and its ratio then.
    alone: float = 0.0
    alone_db: float | None = None

    @property
    def lost_db(self) -> float:
        """What the value loses of its ratio because others share its scale."""
        if self.snr_db is None or self.alone_db is None:
            return 0.0
        return max(0.0, self.alone_db - self.snr_db) if math.isfinite(self.snr_db) else 0.0


@dataclass(frozen=True)
class CalibratedRanges:
    """The fact that `calibrate` leaves: a row for each quantized value."""

    ranges: tuple[Range, ...] = ()


@register
@dataclass(frozen=True)
class Calibrate(Pass):
    """Measure the scale of every quantizer that has none yet.

    Weights take max|w| / 127 per output channel.  Activations are observed while the calibration
    data runs through the float model; `method` chooses the range from the histogram of |x|: "mse"
    (the smallest mean squared error of INT8), "entropy" (the smallest KL divergence),
    "percentile", or "max".  All values that share one scale share one histogram.

    "mse" is the default: it does not hang on a single outlier as "max" does, and it needs no smooth
    distribution, while "entropy" misjudges inputs in which one value is very frequent (a plain
    background).

    `refine` looks for activations that other methods serve better, first all, then halves and
    quarters of the network, by what its outputs are on up to 32 samples; what it finds stays only
    where the outputs come nearer to those in float on others, a quarter of each batch.
    """

    name = "calibrate"
    preserves = "lossy"
    method: Method = "mse"
    percentile: float = 99.99  # of "percentile"
    refine: bool = False
    batches: int | None = None  # at most so many; none: all

    def __post_init__(self) -> None:
        calibrator(self.method, self.percentile)
        check_limit(self.batches)

    def is_separable(self) -> bool:
        """Each scale by itself."""
        return True

    def run(self, graph: Graph, context: Context) -> int:
        """Set the scales; returns how many."""
        groups = _groups(graph, context)
        for group in groups:
            if not group.is_weight:
                group.known = known_amax(group.values, context)
                group.measured = to_measure(group.values, context)
        # Walked first: on how many samples ranges were measured is what was walked last.
        split = Split(graph, context, self.batches)
        fitted = split.few() if self.refine and any(g.measured for g in groups) else []
        reference = graph.clone() if fitted else graph
        seen = _observe(groups, graph, context, self.batches)
        rows: dict[_Group, list[Range]] = {}
        for group in groups:
            if group.is_weight:
                rows[group] = list(_set_from_weights(group, context))
            else:
                rows[group] = list(self._set(group, seen, self.method))
        if fitted:
            rows |= self._refined(groups, rows, seen, (graph, reference), (fitted, split), context)
        context.facts.put(CalibratedRanges(tuple(r for group in groups for r in rows[group])))
        return len(groups)

    def _refined(
        self,
        groups: Sequence[_Group],
        rows: Mapping[_Group, list[Range]],
        seen: dict[Value, Histogram],
        graphs: tuple[Graph, Graph],
        data: tuple[Sequence[Batch], Split],
        context: Context,
    ) -> dict[_Group, list[Range]]:
        """The rows of the groups that other methods serve better: their scales are set anew."""
        choices = {
            group: self._choice(group, seen)
            for group in groups
            if group.measured
            and group.known is None
            and rows[group][0].amax
            # Who loses by the scale of others is left to `untie`, which starts from what it lost.
            and max(row.lost_db for row in rows[group]) < LEAST_LOSS
        }
        methods, found = refined(*graphs, list(choices.values()), *data, context.table)
        note(context.facts, found)
        return {
            group: list(self._set(group, seen, methods[choice.scale]))
            for group, choice in choices.items()
            if choice.scale in methods
        }

    def _set(self, group: _Group, seen: dict[Value, Histogram], method: Method) -> Iterator[Range]:
        return _set_from_histograms(group, seen, calibrator(method, self.percentile), method)

    def _choice(self, group: _Group, seen: dict[Value, Histogram]) -> Choice:
        """The range of a group by each method."""
        merged = _merged(group, seen)
        amax = {
            method: calibrator(method, self.percentile).amax(merged)
            for method in dict.fromkeys((self.method, *OTHERS))
        }
        return Choice(group.scale.name, group.high, amax, self.method)


@dataclass(eq=False)
class _Group:
    """Values that share one scale, each with a quantizer of it."""

    scale: Value
    #: Whether it shall be a number that FP16 holds.
    in_half: bool = False
    values: dict[Value, Node] = field(default_factory=dict)
    #: Values that are constant expressions; where all are, the group is a weight.
    constants: set[Value] = field(default_factory=set)
    #: The range that another tool has measured, and the values that it says nothing of.
    known: float | None = None
    measured: list[Value] = field(default_factory=list)

    @property
    def is_weight(self) -> bool:
        """Whether the scale follows from constants alone."""
        return len(self.constants) == len(self.values)

    @property
    def quantizers(self) -> Iterable[Node]:
        """One quantizer for each value."""
        return self.values.values()

    @property
    def axis(self) -> int | None:
        """The channel axis; None: per tensor."""
        axis = next(iter(self.quantizers)).attributes.get("axis")
        return axis if isinstance(axis, int) else None

    @property
    def high(self) -> int:
        """The largest code."""
        return min(cast(int, node.attributes.get("high", 127)) for node in self.quantizers)

    def set(self, amax: Array, *, adopted: bool = False) -> Array:
        """Set the scale, a scalar or one for each channel; returns it in float64.

        What another tool has measured stays as it is: its network was trained with it.
        """
        assert self.scale.data is not None
        in_half = self.in_half and not adopted
        data = safe_scale(amax / self.high, self.scale.data.dtype, in_half=in_half)
        self.scale.data = data
        self.scale.type = TensorType(dtype_name(data.dtype), data.shape)
        return data.astype(np.float64)


def _groups(graph: Graph, context: Context) -> list[_Group]:
    """The scales that are not known yet, in the order of their first quantizers."""
    in_half = ends_in_half(context)
    groups: dict[Value, _Group] = {}
    for node in graph.nodes:
        if node.op not in ROUNDERS or not is_uncalibrated(node):
            continue
        scale, value = cast(Value, node.operands["scale"]), source(node)
        group = groups.setdefault(scale, _Group(scale, in_half))
        group.values.setdefault(value, node)
        if is_constant(value, context.table):
            group.constants.add(value)
    return list(groups.values())


def _observe(
    groups: list[_Group], graph: Graph, context: Context, batches: int | None
) -> dict[Value, Histogram]:
    """Run the calibration data; a histogram for each value that is not constant."""
    quantizers = {v: g.values[v] for g in groups for v in g.measured}
    seen = {value: Histogram() for value in quantizers}
    constants = [v for v in seen if is_constant(v, context.table)]  # among activations
    for value in constants:
        seen[value].add(_finite_constant(value, quantizers[value], context.table))
    observed = [v for v in seen if not is_constant(v, context.table)]
    number = 0

    def show(value: Value, array: Array) -> None:
        try:
            seen[value].add(array)
        except ValueError:
            raise not_finite(_place(value, quantizers[value]), number) from None

    if observed:
        observer = Observer(graph, observed, context.table)
        with together(context.ranks):
            for number, batch in calibration_batches(graph, context, batches):
                if context.ranks.takes(number - 1):
                    observer.run(batch, show)
        merge_histograms([seen[value] for value in observed], number, context.ranks)
    return seen


def _finite_constant(value: Value, quantizer: Node, table: OperatorTable) -> Array:
    """The array of a constant expression; `SparqcError` where it has NaN or infinite elements."""
    array = cast(Array, constant_value(value, table))
    require_finite(array, f"the weight {_place(value, quantizer)}")
    return array


def _set_from_weights(group: _Group, context: Context) -> Iterator[Range]:
    """max|w| for each channel, over all weights of the group, unless another tool's fits."""
    weights = {v: _finite_constant(v, q, context.table) for v, q in group.values.items()}
    found = {value: channel_amax(data, group.axis) for value, data in weights.items()}
    ((value, data), *others) = weights.items()
    known = None if others else known_weight_amax(value, data, group.axis, context)
    amax = np.max(list(found.values()), axis=0) if known is None else known
    steps = group.set(amax, adopted=known is not None)
    for value, quantizer in group.values.items():
        yield Range(
            value=value.name,
            module=quantizer.origin.module,
            scale=group.scale.name,
            method="weight" if known is None else ADOPTED,
            largest=float(found[value].max()),
            amax=float(amax.max()),
            step=float(steps.max()),
            channels=amax.size if amax.ndim else 0,
            dead=tuple(int(i) for i in np.flatnonzero(amax == 0)),
            snr_db=snr_of_array(weights[value], steps, group.axis, group.high),
            outliers=outliers_of_array(weights[value]),
            alone=float(amax.max()),
        )


def _set_from_histograms(
    group: _Group, seen: dict[Value, Histogram], method: Calibrator, name: Method
) -> Iterator[Range]:
    """The range that the method chooses for everything that the group's values were."""
    merged = _merged(group, seen)
    amax = max(method.amax(merged) if group.measured else 0.0, group.known or 0.0)
    step = float(group.set(np.array(amax), adopted=group.known is not None))
    shared = len(group.values) > 1 and group.known is None
    for value, quantizer in group.values.items():
        measured = value in seen
        snr = snr_of_histogram(seen[value], step, group.high) if measured else None
        own, own_db = amax, snr
        if shared and measured and seen[value].maximum:
            own = min(amax, method.amax(seen[value]))
            own_db = snr_of_histogram(seen[value], own / group.high, group.high)
        yield Range(
            value=value.name,
            module=_module(value, quantizer),
            scale=group.scale.name,
            method=name if measured else ADOPTED,
            largest=seen[value].maximum if measured else amax,
            amax=amax,
            step=step,
            clipped=seen[value].share_above(amax) if measured else 0.0,
            dead=() if amax else (0,),
            snr_db=snr,
            outliers=outliers_of_histogram(seen[value]) if measured else 1.0,
            alone=own,
            alone_db=own_db,
        )


def _merged(group: _Group, seen: dict[Value, Histogram]) -> Histogram:
    """What all values of a group were, which have one scale for the whole tensor."""
    merged = Histogram()
    for value, quantizer in group.values.items():
        if group.axis is not None:
            raise SparqcError(
                f"{_place(value, quantizer)} has a scale for each channel, and is no weight",
                hint="activations are quantized per tensor",
            )
        if value in seen and not seen[value].total:
            raise SparqcError(
                f"the quantizer of {_place(value, quantizer)} saw no data",
                hint="the calibration data does not reach it; exclude the layer, or remove it",
            )
        if value in seen:
            merged.merge(seen[value])
    return merged


def _module(value: Value, quantizer: Node) -> str:
    """The module that made the value; that of the quantizer for inputs and constants."""
    return (value.producer or quantizer).origin.module


def _place(value: Value, quantizer: Node) -> str:
    """The value and its module, for messages."""
    return repr(layer_name(value.name, _module(value, quantizer)))
