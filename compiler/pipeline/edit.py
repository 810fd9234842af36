"""The edits of a pipeline: `-prune`, `+mine@after=export`, `@before=fold`, `@instead=fold`.

They work on the passes that stand before them in the text, those inside `repeat` included.
"""

from __future__ import annotations

from itertools import count

from sparqc.errors import Span, UsageError, did_you_mean
from sparqc.pipeline.catalogue import passes
from sparqc.pipeline.parse import Insert, Remove
from sparqc.pipeline.steps import Items, Step, mapped


def remove(items: Items, edit: Remove) -> Items:
    """Without the passes of that name; UsageError where there is none."""
    _occurrences(items, edit.name, edit.span)
    return mapped(items, lambda step: () if step.name == edit.name else (step,))


def insert(items: Items, edit: Insert, new: Items) -> Items:
    """With new items before the first pass of the anchor's name, after the last, or for each.

    UsageError where no pass has that name.
    """
    if edit.anchor is None:
        return items + new
    last = _occurrences(items, edit.anchor, edit.span) - 1
    chosen = {"before": range(1), "after": range(last, last + 1), "instead": range(last + 1)}
    seen = count()

    def put(step: Step) -> Items:
        if step.name != edit.anchor or next(seen) not in chosen[edit.place]:
            return (step,)
        return {"before": (*new, step), "after": (step, *new), "instead": new}[edit.place]

    return mapped(items, put)


def _occurrences(items: Items, name: str, span: Span | None) -> int:
    present = [step.name for item in items for step in item.steps]
    if name not in present:
        exists = name in passes()
        hint = _how_to_put_before(name) if exists else did_you_mean(name, present)
        raise UsageError(f"no pass {name!r} stands before this edit", span=span, hint=hint)
    return present.count(name)


def _how_to_put_before(name: str) -> str:
    """A pass that exists, but not in front of the edit: that of a pattern file is often meant."""
    return (
        f"an edit works on the passes in front of it, so name it there: {name}, default, …; "
        "a file of --patterns runs by itself only where the pipeline does not name its pass"
    )
