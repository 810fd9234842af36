"""A float network, where its quantizers and masks would stand, and what they would be.

Everything that needs rules or calibration data is done once, here: the layers are pruned,
quantizers are placed, and their ranges are measured on the float network.  What one layer loses is
then measured on copies in which it alone keeps its quantizers or its mask.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np

from sparqc.errors import SparqcError, UsageError
from sparqc.ir.constants import constant_value
from sparqc.ir.graph import Array, Graph, Node, Value
from sparqc.ir.layer_names import layer_name
from sparqc.ir.quantizers import DEQUANTIZE, DEQUANTIZERS, FAKE_QUANTIZE, QUANTIZE
from sparqc.ir.vocabulary.table import OperatorTable
from sparqc.ir.weighted import weight_of
from sparqc.job.layers import Keep, state
from sparqc.job.open import Job
from sparqc.passes.masks.pruning import Pruning
from sparqc.passes.place.decide import Decider, Decision
from sparqc.passes.place.placement import Layer, Placement
from sparqc.passes.prune import Prune
from sparqc.pipeline import run as pipelines
from sparqc.pipeline.run import Option, Pipeline, Step
from sparqc.pipeline.steps import mapped
from sparqc.rewrite.context import Context
from sparqc.rewrite.facts import Facts

#: The passes whose effect is measured layer by layer; here they run on a copy, or not at all.
_MEASURED = {"prune", "reestimate"}
#: The passes that set scales.
_SCALES = ("calibrate", "untie")
#: A node by what it gives, and one of its operands.
SlotName = tuple[str, str]


@dataclass(frozen=True, eq=False)
class Masked:
    """The weight of one operator with its mask, as the folded float network would hold it."""

    node: str
    weight: Array
    #: Whether a BatchNorm stood behind it, whose statistics are measured again after pruning.
    renormalized: bool
    #: Whether pruning changed weights that it keeps, and biases with them.
    repaired: bool = False


@dataclass(frozen=True, eq=False)
class StudyLayer:
    """What one decision is about: the weighted operators of a fusion (nearly always one)."""

    name: str  # of the value that the first of them gives
    module: str
    op: str
    shape: tuple[int | str, ...]
    #: How the pipeline keeps it by itself.
    keep: Keep
    #: All operators of the fusion, and those of them with a weight, by what they give.
    nodes: tuple[str, ...]
    weights: tuple[str, ...]
    #: Where quantizers stand that are there for its sake.
    slots: frozenset[SlotName] = frozenset()
    masked: tuple[Masked, ...] = ()

    @property
    def title(self) -> str:
        """What people call it."""
        return layer_name(self.name, self.module)


@dataclass(frozen=True, eq=False)
class Study:
    """The network with every quantizer in place, scales measured, and all weights dense."""

    #: The folded float network, and the same with quantizers.
    plain: Graph
    placed: Graph
    context: Context
    layers: tuple[StudyLayer, ...]
    #: Measures the scales of weights that were masked; None where nothing is quantized.
    calibrate: Step | None
    #: What the passes decided.
    facts: Facts
    #: Passes that work on the network as a whole, and are not part of a layer's own loss.
    apart: tuple[str, ...] = ()

    @property
    def excluded(self) -> list[Layer]:
        """The layers with weights that a person keeps in float."""
        return [
            row
            for row in self.facts.get(Placement, Placement()).layers
            if row.weight and row.reason.startswith("excluded by")
        ]


def study(job: Job) -> Study:
    """Prune, place and calibrate copies of the job's graph, which stays as it is.

    Raises UsageError where the pipeline neither prunes nor quantizes, SparqcError where a pass
    fails or nothing is left to measure.
    """
    line = passes_of_level(job)
    names = {step.name for step in line.steps}
    if not names & {"prune", "place"}:
        raise UsageError(
            f"the pipeline neither prunes nor quantizes: {job.pipeline}",
            hint="leave --passes out, or give it `prune` or `place`",
        )
    context = replace(job.context, facts=Facts())
    if any(step.cls.needs_reference for step in line.steps):
        context.reference = job.graph.clone()
    before, behind = _split(line, "prune")
    dense = pipelines.run(before, job.graph.clone(), context)
    folding, placing = _split(_up_to(behind, _SCALES), "place")
    folding, placing = _without(folding), _without(placing)
    masks = _masks(dense, folding, _step(line, "prune"), context, "reestimate" in names)
    plain = pipelines.run(folding, dense, context)
    placed = pipelines.run(placing, plain.clone(), context)
    masked = {name: _fitted(mask, plain, context.table) for name, mask in masks.items()}
    layers = tuple(_layers(plain, placed, context, masked))
    if not layers:
        raise SparqcError(
            "no layer of this model is to be sparse or in INT8: there is nothing to measure",
            hint="the report of `sparqc compile` has the reasons",
        )
    calibrate = _step(line, "calibrate")
    apart = tuple(str(step) for step in _apart(line))
    return Study(plain, placed, context, layers, calibrate, context.facts, apart)


# -- the pipeline ------------------------------------------------------------------------------


def passes_of_level(job: Job) -> Pipeline:
    """The passes that decide the numbers: up to the export, or, on ONNX, to the last lossy one."""
    line = job.pipeline.for_level(job.graph.level)[0]
    for index, item in enumerate(line.items):
        if any(step.cls.gives for step in item.steps):
            return Pipeline(line.items[:index])
    lossy = [i for i, item in enumerate(line.items) if any(map(_decides, item.steps))]
    return Pipeline(line.items[: lossy[-1] + 1] if lossy else ())


def _decides(step: Step) -> bool:
    return step.cls.preserves == "lossy" and not step.cls.carries_out


def _split(line: Pipeline, name: str) -> tuple[Pipeline, Pipeline]:
    """What stands in front of the first step of that name, and from there on; where there is no
    such step, everything stands in front of it, but in front of `prune` nothing does."""
    for index, item in enumerate(line.items):
        if any(step.name == name for step in item.steps):
            return Pipeline(line.items[:index]), Pipeline(line.items[index:])
    return (Pipeline(), line) if name == "prune" else (line, Pipeline())


def _up_to(line: Pipeline, names: Collection[str]) -> Pipeline:
    """What stands up to the last step of these names; everything where there is none."""
    last = [i for i, item in enumerate(line.items) if any(s.name in names for s in item.steps)]
    return Pipeline(line.items[: last[-1] + 1]) if last else line


def _apart(line: Pipeline) -> Iterator[Step]:
    """The lossy steps behind the calibration."""
    measured = len(_up_to(line, _SCALES).items)
    for item in line.items[measured:]:
        yield from filter(_decides, item.steps)


def _step(line: Pipeline, name: str) -> Step | None:
    return next((step for step in line.steps if step.name == name), None)


def _without(line: Pipeline) -> Pipeline:
    return Pipeline(mapped(line.items, lambda s: () if s.name in _MEASURED else (s,)))


# -- masks -------------------------------------------------------------------------------------

#: With these `prune` permutes channels first.
_PERMUTING = (Option("method", "permuted"), Option("permute", True))


def _masks(
    dense: Graph, folding: Pipeline, step: Step | None, context: Context, again: bool
) -> dict[str, Masked]:
    """What pruning makes of each layer, all of them pruned at once; `again` says that statistics
    are measured again behind it.  Channels that pruning permutes are permuted in `dense` too."""
    if step is None:
        return {}
    if any(option in step.options for option in _PERMUTING):
        _permute(dense, context, cast(Prune, step.make()).dense)
        left = tuple(option for option in step.options if option not in _PERMUTING)
        step = Step(step.name, left, step.span)
    pruned = pipelines.run(Pipeline((step,)), dense.clone(), context)
    names = context.facts.get(Pruning, Pruning()).masks
    repaired = {n for n in names if _is_repaired(n, dense, pruned, context.table)}
    normalized = {n for n in names if again and _has_statistics(_node(dense, n))}
    folded = pipelines.run(folding, pruned, context)
    return {
        name: Masked(
            name, _weight(folded, name, context.table), name in normalized, name in repaired
        )
        for name in names
    }


def _permute(dense: Graph, context: Context, words: Sequence[str]) -> None:
    from sparqc.passes.masks.sparse_layers import sparse_layers
    from sparqc.passes.permute import permute_channels

    sparse = {x.weight: x for x in reversed(sparse_layers(dense, context, words)) if not x.reason}
    permute_channels(dense, context, list(reversed(sparse.values())))


def _is_repaired(name: str, dense: Graph, pruned: Graph, table: OperatorTable) -> bool:
    """Whether pruning changed weights that it keeps."""
    before, after = _weight(dense, name, table), _weight(pruned, name, table)
    return not np.array_equal(after, before * (after != 0))


def _has_statistics(node: Node) -> bool:
    """Whether a BatchNorm alone reads what the operator gives."""
    readers = node.output.readers
    if len(readers) != 1 or readers[0].op != "nn.batch_norm":
        return False
    mean, var = (readers[0].operands[slot] for slot in ("mean", "var"))
    return isinstance(mean, Value) and isinstance(var, Value) and mean.is_const and var.is_const


def _fitted(mask: Masked, plain: Graph, table: OperatorTable) -> Masked:
    """The masked weight on the numbers of the float network, which passes may have rescaled
    otherwise than those of the pruned one."""
    if mask.repaired:
        return mask
    data = _weight(plain, mask.node, table)
    return replace(mask, weight=(data * (mask.weight != 0)).astype(data.dtype))


def _node(graph: Graph, name: str) -> Node:
    """The operator that gives a value; a layer keeps its name through all passes."""
    node = graph.value(name).producer
    assert node is not None
    return node


def _weight(graph: Graph, name: str, table: OperatorTable) -> Array:
    found = weight_of(_node(graph, name), table)
    assert found is not None
    return cast(Array, constant_value(found.weight, table))


# -- layers ------------------------------------------------------------------------------------


def _layers(
    plain: Graph, placed: Graph, context: Context, masked: Mapping[str, Masked]
) -> Iterator[StudyLayer]:
    """The decisions about INT8 or 2:4 operators that multiply, in the order of the network."""
    decider = Decider(plain, context)
    order = {node: index for index, node in enumerate(plain.nodes)}
    taken = {n for d in decider.decisions if not d.reason for node in d.match.nodes
             for n in _names(node)}  # fmt: skip
    found: list[tuple[int, StudyLayer]] = []
    for decision in decider.decisions:
        nodes = sorted(decision.match.nodes, key=order.__getitem__)
        first = next((n for n in nodes if weight_of(n, context.table)), nodes[-1])
        keep = state(first.output.name, context.facts)
        if keep == "float" or not decision.multiplies(context.table):
            continue
        layer = _layer(decision, nodes, first, keep, context.table)
        slots = frozenset(_slots(decision, placed, taken)) if "int8" in keep else frozenset()
        masks = tuple(masked[name] for name in layer.weights if name in masked)
        found.append((order[first], replace(layer, slots=slots, masked=masks)))
    yield from (layer for _, layer in sorted(found, key=lambda item: item[0]))


def _layer(
    decision: Decision, nodes: list[Node], first: Node, keep: Keep, table: OperatorTable
) -> StudyLayer:
    weights = [n for n in nodes if weight_of(n, table)]
    known = weight_of(first, table)
    return StudyLayer(
        name=first.output.name,
        module=first.origin.module,
        op=first.op,
        shape=(known.weight.shape or ()) if known else (),
        keep=keep,
        nodes=tuple(name for n in nodes for name in _names(n)),
        weights=tuple(n.output.name for n in weights),
    )


def _names(node: Node) -> list[str]:
    return [v.name for v in node.outputs]


def _slots(decision: Decision, placed: Graph, taken: set[str]) -> Iterator[SlotName]:
    """Where the operators of a fusion read codes, and where what they give is read in codes by
    operators in float, which nobody but the fusion asked for."""
    for node in decision.match.nodes:
        yield from _carried(_node(placed, node.output.name))
    for carrier in _carriers_of(placed.value(decision.match.root.output.name)):
        for reader in carrier.output.readers:
            if reader.output.name not in taken:
                slots = reader.slots_of(carrier.output)
                yield from ((reader.output.name, slot) for slot in slots)


def _carried(node: Node) -> Iterator[SlotName]:
    for slot, operand in node.operands.items():
        values = operand if isinstance(operand, tuple) else (operand,)
        if any(v is not None and v.producer and v.producer.op in DEQUANTIZERS for v in values):
            yield node.output.name, slot


def _carriers_of(value: Value) -> Iterator[Node]:
    """The nodes that hand a value over in codes."""
    for reader in value.readers:
        if reader.op == QUANTIZE:
            yield from (n for n in reader.output.readers if n.op == DEQUANTIZE)
        elif reader.op == FAKE_QUANTIZE:
            yield reader
