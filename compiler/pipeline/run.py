"""Pipelines: which passes run, in which order, with which options.

`parse` reads the text that a person types and `str` prints it back; presets are expanded and edits
carried out on the way, so that the printed form says exactly what runs.  `run` checks everything
that can be checked before it changes anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from sparqc.errors import SparqcError, UsageError
from sparqc.ir.graph import Graph
from sparqc.pipeline.action import Action
from sparqc.pipeline.catalogue import find, passes
from sparqc.pipeline.edit import insert, remove
from sparqc.pipeline.parse import Entry, Insert, Remove, parse_entries
from sparqc.pipeline.presets import presets
from sparqc.pipeline.steps import Item, Items, Option, Pipeline, Repeat, Step, mapped
from sparqc.rewrite.context import Context

__all__ = ["Item", "Items", "Option", "Pipeline", "Repeat", "Step", "parse", "run"]

#: How many rounds of one `repeat` may change the graph.
MOST_ROUNDS = 100


def parse(text: str, file: str = "--passes") -> Pipeline:
    """The pipeline that a text stands for: presets expanded, edits carried out.

    Raises UsageError, with the place in `file`, for text that is no pipeline, an unknown pass, an
    edit that finds no pass to work on, and a preset that contains itself.  Options and levels are
    the business of `Pipeline.check`.
    """
    return Pipeline(_expand(parse_entries(text, file), ()))


def _expand(entries: Sequence[Entry], inside: tuple[str, ...]) -> Items:
    """The items of the entries; `inside` are the presets that are being expanded."""

    def resolve(item: Item) -> Items:
        return mapped((item,), lambda step: _resolve(step, inside))

    items: Items = ()
    for entry in entries:
        if isinstance(entry, Remove):
            items = remove(items, entry)
        elif isinstance(entry, Insert):
            items = insert(items, entry, resolve(entry.item))
        else:
            items += resolve(entry)
    return items


def _resolve(step: Step, inside: tuple[str, ...]) -> Items:
    """The step, or what the preset of that name holds."""
    preset = presets().get(step.name)
    if preset is None:
        find(step.name, step.span, presets())
        return (step,)
    _check_preset(step, inside)
    return _expand(parse_entries(preset.passes, f"preset {preset.name}"), (*inside, preset.name))


def _check_preset(step: Step, inside: tuple[str, ...]) -> None:
    if step.name in passes():
        raise UsageError(f"{step.name!r} names both a pass and a preset", span=step.span)
    if step.name in inside:
        path = " -> ".join((*inside, step.name))
        raise UsageError(f"the preset {step.name!r} contains itself: {path}", span=step.span)
    if step.options:
        raise UsageError(
            f"{step.name!r} is a preset, which takes no options",
            span=step.options[0].span,
            hint=f"exchange one of its passes: {step.name}, +PASS{{…}}@instead=PASS",
        )


def run(pipeline: Pipeline, graph: Graph, context: Context) -> Graph:
    """The graph after all passes that are meant for one of its level; those that conclude run once
    more where a pass behind them changed it.

    Raises UsageError before anything runs where `Pipeline.check` does, and SparqcError where a
    `repeat` finds no fixed point.
    """
    plan, _ = pipeline.for_level(graph.level)
    plan.check(graph.level)
    stale: list[Step] = []  # concluded by now, and the graph is another one since
    concluded: list[Step] = []
    for item in plan.items:
        version = graph.version
        graph, changes = _run((item,), graph, context)
        concluding = [step for step in item.steps if step.cls.concludes]
        if not concluding and (changes or graph.version != version):
            stale += concluded
            concluded.clear()
        concluded += concluding
        stale = [step for step in stale if step not in concluding]
    for step in stale:
        graph, _ = _run_step(step, graph, context)
    return graph


def _run(items: Items, graph: Graph, context: Context) -> tuple[Graph, int]:
    changes = 0
    for item in items:
        one = _run_repeat if isinstance(item, Repeat) else _run_step
        graph, count = one(item, graph, context)  # type: ignore[arg-type]
        changes += count
    return graph, changes


def _run_step(step: Step, graph: Graph, context: Context) -> tuple[Graph, int]:
    action = cast(Action, context.action)  # rewrites know only the part of it that applies rules
    context.batch = 0
    try:
        return action.pass_(step.make(), graph, context)
    except SparqcError as error:
        if context.random_calibration and context.batch:
            raise _on_random_data(error, context.batch) from error
        raise


def _on_random_data(error: SparqcError, batch: int) -> SparqcError:
    """An error that no real data may give."""
    cause = (
        f"this was random calibration data (batch {batch}), which need not be valid for the model: "
        "calibrate on real inputs, by calibration() of model.py, calibration= in Python, or "
        "--calibration FILE"
    )
    hint = f"{error.hint}\n  {cause}" if error.hint else cause
    return SparqcError(error.message, span=error.span, hint=hint)


def _run_repeat(repeat: Repeat, graph: Graph, context: Context) -> tuple[Graph, int]:
    total = 0
    for _ in range(MOST_ROUNDS):
        graph, changes = _run(repeat.items, graph, context)
        total += changes
        if not changes:
            return graph, total
    raise SparqcError(
        f"{repeat} still changes the graph after {MOST_ROUNDS} rounds",
        span=repeat.span,
        hint="one of these passes undoes what another does: run them without repeat",
    )
