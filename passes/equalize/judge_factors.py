"""Whether factors bring the outputs nearer once the network is in INT8, on data held back."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import cast

import numpy as np

from sparqc.ir.constants import is_constant
from sparqc.ir.graph import Array, Graph, Value
from sparqc.ir.uncalibrated import is_uncalibrated, source
from sparqc.ir.vocabulary.table import OperatorTable
from sparqc.numerics.arrays import Floats
from sparqc.passes.adopt.adopted import Adoption
from sparqc.passes.calibrate.calibrate import Calibrate
from sparqc.passes.correct_bias.correct_bias import CorrectBias
from sparqc.passes.equalize.equalized import Equalization, Equalized
from sparqc.passes.equalize.group import ChannelGroup, channel_groups
from sparqc.passes.equalize.scale_weights import scale_weights
from sparqc.passes.on_data.held_out import Split
from sparqc.passes.on_data.judge import Judge
from sparqc.passes.on_data.transaction import Judgement, judged, too_few
from sparqc.passes.place.place import Place
from sparqc.rewrite.context import Context

#: How many trials there are: each quantizes the network anew.
_TRIALS = 4
#: On how many samples the biases of a trial are corrected.
_CORRECTED = 64


def judge_factors(
    graph: Graph,
    groups: Sequence[ChannelGroup],
    factors: Mapping[ChannelGroup, Floats],
    split: Split,
    name: str,
    context: Context,
    *,
    corrected: bool,
) -> Judgement:
    """Which groups keep their factors: of all groups of the graph, those that have some.

    `corrected` takes the mean errors into the biases of each network that is judged.
    """
    if not factors:
        return Judgement(name)
    if reason := too_few(split):
        return Judgement(name, split.samples, reason=reason)
    trials = _Trials(graph, groups, factors, context, corrected)
    judge = Judge(graph, split.held, context.table)
    return judged([name_of_group(g) for g in factors], trials.build, judge, name, _TRIALS)


def name_of_group(group: ChannelGroup) -> str:
    """What a group is called: after the first layer that writes its channels."""
    return group.writers[0].node.output.name


@dataclass
class _Trials:
    """The graph in INT8, with the factors of some groups.

    Ranges are measured twice only, without factors and with all: those of a group's values follow
    from its own factors alone, whatever the other groups have.
    """

    graph: Graph
    groups: Sequence[ChannelGroup]
    factors: Mapping[ChannelGroup, Floats]
    context: Context
    corrected: bool
    #: The scale of each quantized value, without factors and with all.
    _plain: dict[str, Array] = field(default_factory=dict)
    _scaled: dict[str, Array] = field(default_factory=dict)

    def build(self, kept: Sequence[str]) -> Graph:
        """The graph with the factors of these groups, quantized and calibrated."""
        trial, scaled = self.graph.clone(), set[str]()
        same = channel_groups(trial, self.context.table)
        for group, own in zip(self.groups, same, strict=True):
            if group in self.factors and name_of_group(group) in kept:
                scale_weights(own, self.factors[group])
                scaled |= {value.name for value in group.axes}
        context = self._context(bool(kept), trial.clone())
        Place().run(trial, context)
        scales = dict(_scales(trial, self.context.table))
        if self._scaled:
            for name, scale in scales.items():
                found = (self._scaled if name in scaled else self._plain).get(name)
                if found is not None:  # one scale serves all values of its group
                    scale.data = np.asarray(np.fmax(_array(scale), found))
        Calibrate().run(trial, context)
        if not self._scaled:
            known = self._scaled if kept else self._plain
            known.update((name, _array(scale)) for name, scale in scales.items())
        if self.corrected:
            few = Split(self.graph, self.context).few(_CORRECTED)
            CorrectBias(always=True).run(trial, replace(context, calibration=lambda: few))
        return trial

    def _context(self, is_scaled: bool, reference: Graph) -> Context:
        """A context whose facts are the trial's own."""
        facts = self.context.facts.copy()
        if (taken := facts.get(Adoption)) is not None:
            facts.put(copy.deepcopy(taken))
        if is_scaled:
            facts.put(Equalization((Equalized((), (), 0),)))  # ranges taken over are stale
        scales = dict(self.context.scales)
        return replace(self.context, facts=facts, scales=scales, reference=reference)


def _scales(graph: Graph, table: OperatorTable) -> Iterator[tuple[str, Value]]:
    """The scale of each activation that is still to be calibrated, by the name of the value."""
    for node in graph.nodes:
        if is_uncalibrated(node) and not is_constant(source(node), table):
            yield source(node).name, cast(Value, node.operands["scale"])


def _array(scale: Value) -> Array:
    return cast(Array, scale.data)
