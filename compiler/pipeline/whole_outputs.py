"""Whether whole outputs that moved did so by rounding alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from sparqc.errors import SparqcError
from sparqc.ir.graph import Array, Graph
from sparqc.ir.uncalibrated import is_uncalibrated
from sparqc.pipeline.drift import CLOSE, measure, moves
from sparqc.validation.amplification import SINGLE

#: By how much more than the network's own rounding moves it an output may move.
MARGIN = 3.0
#: Gives the outputs of several runs of a network in which every operator rounds otherwise, by a
#: relative step.
OwnRounding = Callable[[float], Iterable[Sequence[Array]]]


def own_moves(before: Sequence[Array], runs: Iterable[Sequence[Array]]) -> list[float]:
    """By how much each output moves where operators round otherwise: the most of some runs."""
    found = [moves(before, run) for run in runs]
    return [max(column) for column in zip(*found, strict=True)]


def excess(
    before: Sequence[Array], after: Sequence[Array], runs: Iterable[Sequence[Array]], allowed: float
) -> tuple[int, float] | None:
    """The first output that moved by more than `allowed` and than rounding explains, and what
    rounding moves it by; None where there is none."""
    own = own_moves(before, runs)
    for index, (moved, by_rounding) in enumerate(zip(moves(before, after), own, strict=True)):
        if not moved <= max(allowed, MARGIN * by_rounding):
            return index, by_rounding
    return None


def judge_float(
    expected: Sequence[Array], actual: Sequence[Array], names: Sequence[str], own: OwnRounding
) -> tuple[str, ...]:
    """Hold the outputs of a compile that keeps numbers to those of the model: a note where only the
    network's own rounding explains how far they lie apart, none where they agree.

    Raises SparqcError where it does not.
    """
    drift = measure(expected, actual, names)
    if drift.relative <= CLOSE:
        return ()
    too_far = excess(expected, actual, own(SINGLE), CLOSE)
    if too_far is None:
        return (
            f"the network amplifies rounding, as with random weights: {drift.worst} moves by "
            f"{drift.relative:.2g} of its largest magnitude, and by as much where only the last "
            "bits of each operator's results differ; its operators were compared one by one",
        )
    index, by_rounding = too_far
    name = names[index] if index < len(names) else str(index)
    moved = measure(expected[index : index + 1], actual[index : index + 1], [name])
    raise SparqcError(
        f"no pass may change numbers, but the output {name} moves: {moved}; rounding explains "
        f"{by_rounding:.2g}",
        hint="--check pass names the pass; report it together with the model",
    )


def rounds_to_codes(graph: Graph) -> bool:
    """Whether a graph has quantizers: one code of another value moves all behind it."""
    return any(node.op.startswith("q.") and not is_uncalibrated(node) for node in graph.nodes)


def computes_in_half(graph: Graph) -> bool:
    """Whether an operator gives numbers of eleven bits or fewer."""
    return any(v.type.dtype in ("f16", "bf16") for node in graph.nodes for v in node.outputs)
