"""Holds every pass of a compile to its word: what it promised to keep is computed before and after.

Unlike `--check`, which compares the outputs of the whole graph on all example inputs, the gate
compares operator by operator on one sample, and computes only what a pass changed.  So it is cheap
enough to be always on, and tells which operator departs.  Of passes that may change numbers it
measures what they did to the outputs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import version

from sparqc.errors import SparqcError
from sparqc.ir.boundary import decode, encode, ends_of
from sparqc.ir.data_sizes import may_differ
from sparqc.ir.graph import Array, Graph, Value
from sparqc.ir.levels.execute import open_runner
from sparqc.ir.uncalibrated import without_uncalibrated
from sparqc.ir.vocabulary.table import OperatorTable
from sparqc.pipeline.drift import CLOSE_HALF, Drift, measure, what_to_do
from sparqc.pipeline.events import RuleEvent
from sparqc.pipeline.passbase import Pass
from sparqc.pipeline.whole_outputs import (
    OwnRounding,
    computes_in_half,
    excess,
    judge_float,
    rounds_to_codes,
)
from sparqc.rewrite.context import Context
from sparqc.validation.amplification import HALF, SINGLE, rounded_outputs
from sparqc.validation.compare import after_export, after_pass, is_unchanged
from sparqc.validation.departure import Departure, are_finite
from sparqc.validation.reference import Reference

#: So many operators that depart are named.
NAMED = 5
#: What whole outputs may move by, relative to their largest magnitude, where a pass keeps no more
#: than these: the rounding of many operators.
CLOSE_OUTPUTS = 1e-3
#: The side in pixels to which images are cut where the network takes any size: operators are
#: compared one by one, and do the same on every pixel.
SIDE = 64


class BrokenWord(SparqcError):
    """A pass changed numbers that it promised to keep."""

    def __init__(self, message: str, hint: str, departures: Sequence[Departure]) -> None:
        super().__init__(message, hint=hint)
        #: The operators that give other numbers, in order.
        self.departures = departures


@dataclass(frozen=True)
class Loss:
    """The outputs behind one pass that may change numbers."""

    pass_: str
    #: Against those of the model as it was read.
    drift: Drift


@dataclass(frozen=True)
class _Known:
    """What a graph's values are, as long as it is what it was: constants are changed in place."""

    graph: Graph
    version: int
    constants: Sequence[tuple[Value, Array | None]]
    reference: Reference

    @classmethod
    def of(cls, graph: Graph, reference: Reference) -> _Known:
        """For a graph as it stands."""
        return cls(graph, graph.version, [(v, v.data) for v in graph.constants], reference)

    def holds_for(self, graph: Graph) -> bool:
        """Whether a graph is still that one."""
        same = graph is self.graph and graph.version == self.version
        return same and all(value.data is data for value, data in self.constants)


@dataclass
class Gate:
    """Compares the graph with itself before each pass, on one sample."""

    #: Gives so many samples, or all that there are: one array for each input, in the types that the
    #: model was read with.
    draw: Callable[[int], Sequence[Array]]
    #: What each pass that may change numbers did to the outputs, in order.
    losses: list[Loss] = field(default_factory=list)
    #: How many operators were compared with what they were.
    compared: int = 0
    #: Why nothing is compared (any more); "" where all is.
    silent: str = ""
    #: What whole outputs are compared on: a few samples.
    _batch: Sequence[Array] = ()
    #: The outputs on them before any pass, and in front of the pass that is pending.
    _original: Sequence[Array] | None = None
    _outputs: Sequence[Array] | None = None
    _pending: Pass | None = None
    #: The network in front of that pass with other roundings, where the pass keeps the outputs.
    _own: OwnRounding | None = None
    #: The graph as it stood behind a pass, and what it was then.
    _known: _Known | None = None
    #: The graph in front of a pass that may lose, and the scales of its inputs and outputs.
    _in_front: tuple[Graph, Mapping[str, float]] | None = None
    _cut: bool = True
    #: The model as it was read with other roundings, as long as no pass may have changed numbers.
    _whole: OwnRounding | None = None

    @cached_property
    def sample(self) -> Sequence[Array]:
        """What operators are compared on."""
        return self.draw(1)

    def widen(self) -> bool:
        """Take two samples, which some models need; tells whether there are two, and were not."""
        wider = self.draw(2)
        if [a.shape for a in wider] == [a.shape for a in self.sample]:
            return False
        self.sample, self._cut = wider, True
        return True

    def begin(
        self, batch: Sequence[Array], outputs: Sequence[Array] | None, own: OwnRounding
    ) -> None:
        """What the model gives for a few samples before any pass; None where it does not run.

        `batch` holds an array for each input, in the types that the model was read with; `own`
        gives its outputs on them with other roundings.
        """
        self._batch, self._whole = batch, own
        self._original = self._outputs = outputs

    def run(self, graph: Graph, context: Context) -> list[Array]:
        """What the model gives for the sample before any pass; SparqcError where it does not run.

        Where no image is cut for them, its operators are known then, too.
        """
        if any(_cut(array) is not array for array in self.sample):
            return open_runner(graph, context.table).run(self.sample)[0]
        reference = Reference.of(graph, self.sample, context.table)
        self._known = _Known.of(graph, reference)
        return reference.outputs

    def before(self, pass_: Pass, graph: Graph, context: Context) -> None:
        """Compute what the graph's values are, unless that is known, and follow its changes."""
        if self.silent:
            return
        if self._known is not None and not self._known.holds_for(graph):
            self._known = None
        if _may_lose(pass_):
            # Run only if the pass changes something: of most compiles `half` does not.
            self._in_front = graph.clone(), dict(context.scales)
        elif self._known is None:
            self._take(graph, context)
        graph.replaced = []

    def after(
        self,
        pass_: Pass,
        before: Graph,
        graph: Graph,
        changes: int,
        context: Context,
        rules: Sequence[RuleEvent],
    ) -> None:
        """Hold a pass that has run to its word; BrokenWord with what departs.

        `before` is the graph that it was given, `graph` the one that it gave; where it changed it
        in place they are the same.  `rules` are the applications among its changes.
        """
        replaced, before.replaced = before.replaced or [], None
        in_front, self._in_front = self._in_front, None
        if self.silent:
            return
        stood = self._known
        if stood is not None and graph is before and is_unchanged(graph, stood.reference):
            self._known = _Known.of(graph, stood.reference)
            return
        if _may_lose(pass_):
            self._known = None
            if changes:
                lossy = pass_.preserves == "lossy"
                if in_front is not None:
                    if self._pending or self._outputs is None:
                        self._end_in_front(*in_front, context)
                    self._own = None if lossy else self._own_rounding(*in_front, context)
                self._pending = pass_
                if lossy:
                    self._whole = None
            return
        assert self._known is not None
        known, sample, table = self._known.reference, self._sample(graph, context), context.table
        try:
            if graph is before:
                places = pass_.places_quantizers
                reference, departures = after_pass(
                    graph, known, replaced, sample, table, places_quantizers=places
                )
            else:
                before.kept = None  # a runner with weights of its own, and nobody runs that again
                became = dict(replaced)
                if graph.level == before.level:  # a copy, in which values have their names
                    others = pass_.changed_on_purpose(context)
                    same = (v for v in known.arrays if v.name in graph and v.name not in others)
                    became = {v: graph.value(v.name) for v in same}
                reference, departures = after_export(
                    graph, known, became, sample, table, excuses=not pass_.coarsens
                )
        except SparqcError as error:  # the parts that changed do not run on the sample
            self._known, self.silent = None, f"behind {pass_.name}: {error.message}"
            return
        if departures:
            raise _broken(pass_, departures, rules, context.table)
        self.compared += reference.compared
        self._known = _Known.of(graph, reference)

    def _take(self, graph: Graph, context: Context) -> None:
        try:
            reference = Reference.of(graph, self._sample(graph, context), context.table)
        except SparqcError as error:
            if self._cut:  # the network takes images of one size only
                self._cut = False
            elif not self.widen():
                self.silent = error.message
                return
            self._take(graph, context)
        else:
            if not are_finite(reference.outputs) and self.widen():  # the variance of one is none
                self._take(graph, context)
                return
            self._known = _Known.of(graph, reference)

    def _sample(self, graph: Graph, context: Context) -> Sequence[Array]:
        """The sample in the types that the inputs have now."""
        sample = [_cut(array) for array in self.sample] if self._cut else self.sample
        return encode(sample, ends_of(graph), context.scales)

    def end(self, outputs: Sequence[Array], graph: Graph) -> None:
        """What the graph gives for these samples now: measures the last pass that may lose.

        Raises SparqcError where that pass promised to keep the outputs, and they moved further than
        rounding explains.
        """
        pass_, before, own = self._pending, self._outputs, self._own
        self._outputs, self._pending, self._own = outputs, None, None
        if self._original is None:
            self._original = outputs
        if pass_ is None or before is None:
            return
        # Detections above a threshold may be more or fewer behind each pass.
        same = [
            index
            for index, value in enumerate(graph.outputs)
            if all(
                (a := known[index].shape) == (b := outputs[index].shape)
                or not may_differ(a, b, value, graph)
                for known in (self._original, before)
            )
        ]

        def compared(arrays: Sequence[Array]) -> list[Array]:
            return [arrays[index] for index in same]

        names = [graph.output_names[index] for index in same]
        original, before, outputs = map(compared, (self._original, before, outputs))
        self.losses.append(Loss(pass_.name, measure(original, outputs, names)))
        drift = measure(before, outputs, names)
        if pass_.preserves == "lossy" or own is None:
            return
        half = computes_in_half(graph)
        allowed = CLOSE_HALF if half else CLOSE_OUTPUTS
        if drift.relative <= allowed:
            return
        if math.isinf(drift.relative) or excess(
            before, outputs, map(compared, own(HALF if half else SINGLE)), allowed
        ):
            raise SparqcError(
                f"the pass {pass_.name} promises {pass_.preserves} results, but the output "
                f"{drift.worst!r} moves: {drift}",
                hint=what_to_do(pass_.name),
            )

    def judge(
        self, expected: Sequence[Array], actual: Sequence[Array], graph: Graph
    ) -> tuple[str, ...]:
        """Hold the outputs of the finished graph to those of the model, where no pass may have
        changed them; a note where they lie apart for no fault.

        Raises SparqcError where they lie apart by a fault.
        """
        if self._whole is None or rounds_to_codes(graph) or computes_in_half(graph):
            return ()
        return judge_float(expected, actual, graph.output_names, self._whole)

    def release(self) -> None:
        """Let go of graphs and arrays, so that who keeps a finished compile does not keep these."""
        self._original = self._outputs = self._pending = self._known = self._in_front = None
        self._batch, self._own, self._whole = (), None, None
        self.__dict__.pop("sample", None)

    def _own_rounding(
        self, graph: Graph, scales: Mapping[str, float], context: Context
    ) -> OwnRounding:
        """The outputs of a graph on the few samples, with other roundings."""
        batch, table = encode(self._batch, ends_of(graph), scales), context.table

        def own(step: float) -> Iterator[list[Array]]:
            for outputs in rounded_outputs(graph, batch, table, step):
                yield decode(outputs, graph.output_names, scales)

        return own

    def _end_in_front(self, graph: Graph, scales: Mapping[str, float], context: Context) -> None:
        """What the pending pass made of the outputs; silent where the graph does not run."""
        try:
            batch = encode(self._batch, ends_of(graph), scales)
            copy = without_uncalibrated(graph)
            outputs, _ = open_runner(copy, context.table, shared=False).run(batch)
        except SparqcError as error:
            self.silent = error.message
            return
        self.end(decode(outputs, graph.output_names, scales), graph)


def _may_lose(pass_: Pass) -> bool:
    """Whether the values inside of the graph may be others afterwards."""
    return pass_.preserves == "lossy" or pass_.keeps == "outputs"


def _cut(array: Array) -> Array:
    """The middle of a batch of images, [batch, channels, height, width]."""
    if array.ndim != 4 or min(array.shape[2:]) <= SIDE:
        return array
    top, left = ((size - SIDE) // 2 for size in array.shape[2:])
    return array[:, :, top : top + SIDE, left : left + SIDE]


def _broken(
    pass_: Pass,
    departures: Sequence[Departure],
    rules: Sequence[RuleEvent],
    table: OperatorTable,
) -> BrokenWord:
    first = departures[0]
    names = {v.name for v in first.node.outputs}
    rule = next((e for e in reversed(rules) if names.intersection(e.after)), None)
    by = f", made by the rule {rule.rule} ({rule.span})" if rule else ""
    more = [str(d) for d in departures[1:NAMED]]
    if len(departures) > NAMED:
        more.append(f"and {len(departures) - NAMED} more")
    lines = "".join(f"\n  then {text}" for text in more)
    return BrokenWord(
        f"the pass {pass_.name} promises {pass_.preserves} results, but {first}{by}{lines}",
        _advice(pass_, first, rule.rule if rule else pass_.name, table),
        departures,
    )


def _advice(pass_: Pass, first: Departure, name: str, table: OperatorTable) -> str:
    """What to do about an operator that departs; `name` is the rule or pass that made it."""
    if pass_.gives is None:
        return what_to_do(name)
    row = None if first.was is None else table.get(first.was.op)
    if first.was is not None and (row is None or row.onnx is None):
        return (
            f"torch.onnx wrote it (onnxscript {version('onnxscript')}), and wrote it wrong: "
            "a newer onnxscript may be right, else spell the model without this operator"
        )
    return "report it together with the model, and spell the model without this operator"
