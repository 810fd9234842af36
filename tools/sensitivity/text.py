"""What `sparqc sensitivity` says to a person."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator

from rich.console import Console
from rich.table import Table

from sparqc.report.show import show
from sparqc.report.tables import operator_text, plain_table, shape_text
from sparqc.tools.sensitivity.judge import Score
from sparqc.tools.sensitivity.measure import LayerLoss
from sparqc.tools.sensitivity.result import HeldOut, Result, Scale, Target
from sparqc.tools.sensitivity.together import Point

#: More layers than this are counted instead of shown.
SHOWN = 40


def render(result: Result, console: Console, *, whole: bool) -> None:
    """What was measured, the layers by their loss, and the choices."""
    for line in _summary(result):
        show(console, line, soft_wrap=True)
    rows = result.ranked if whole else result.ranked[:SHOWN]
    show(console, "", _table(result, rows))
    if len(rows) < len(result.rows):
        show(console, f"... and {len(result.rows) - len(rows)} more layers: --verbose shows them")
    lines = list(_choices(result))
    if lines:
        show(console, "")
    for line in lines:
        show(console, line, soft_wrap=True)


def _summary(result: Result) -> Iterator[str]:
    scale = result.scale
    yield f"{result.model} for {result.target}: what each layer alone loses, the rest in float"
    if scale.is_noise:
        yield "  metric     snr: signal to noise of the outputs on the calibration data, in dB"
    else:
        better = "lower" if scale.lower_is_better else "higher"
        reached = _figure(scale, scale.baseline)
        yield (
            f"  metric     {scale.name}, {better} is better: its change from {reached}, which the "
            "float network reaches"
        )
    shapes = ", ".join(f"{n}: {'x'.join(map(str, s or ()))}" for n, s in result.shapes)
    yield (
        f"  speed      {result.gpu}, {shapes}: about {_us(result.planned_seconds)} as planned, "
        f"{_us(result.float_seconds)} in float"
    )
    for note in result.notes:
        yield f"  note       {note}"


def _table(result: Result, rows: list[LayerLoss]) -> Table:
    table = plain_table(
        "layer", "operator", "weight", "INT8", "2:4", "both", "dense +us", "float +us", "keep"
    )
    table.columns[0].overflow = "fold"
    for index in range(3, 8):
        table.columns[index].justify = "right"
    for row in rows:
        table.add_row(*_cells(result, row))
    return table


def _cells(result: Result, row: LayerLoss) -> Iterator[str]:
    layer, seconds = row.layer, {w.keep: w.seconds for w in result.ways[row.layer.name]}
    yield layer.title
    yield operator_text(layer.op)
    yield shape_text([d for d in layer.shape if isinstance(d, int)])
    for score in (row.int8, row.sparse, row.both):
        yield "" if score is None else _change(result.scale, score)
    for keep in ("int8", "float"):
        other = keep != layer.keep and keep in seconds
        yield f"{round(1e6 * seconds[keep], 2) + 0.0:.2f}" if other else ""
    yield result.keeps[layer.name]


def _change(scale: Scale, score: Score) -> str:
    """Points, with their sign, or the SNR that is left."""
    if scale.is_noise or score.metric is None or scale.baseline.metric is None:
        return "inf" if math.isinf(score.snr) else f"{score.snr:.1f}"
    return f"{score.metric - scale.baseline.metric:+.3g}"


def _choices(result: Result) -> Iterator[str]:
    if result.together:
        held_out = result.chosen is not None and result.chosen.held_out is not None
        where = " on the samples that did not choose" if held_out else ""
        yield f"all layers together, measured{where}, with the predicted time of a batch"
    for name, point in result.together.items():
        yield f"  {name:<10} {_point(result, point)}"
    if result.chosen is None:
        return
    target = result.chosen
    limit = _level(result.scale, result.scale.reached(target.limit))
    counts = ", ".join(f"{n} {keep}" for keep, n in Counter(result.keeps.values()).most_common())
    if target.reached:
        yield f"  within the budget of {target.budget} ({limit}): {counts}"
        yield from _held_out(result, target)
        return
    missing = result.scale.loss(result.together["chosen"].score)
    gap = (
        f"{result.scale.reached(target.limit) - result.scale.reached(missing):.2f} dB"
        if result.scale.is_noise
        else f"{missing - target.limit:.4g} points"
    )
    yield (
        f"  the budget of {target.budget} ({limit}) cannot be reached: the best choice misses it "
        f"by {gap}; {counts}"
    )
    yield from _held_out(result, target)


def _held_out(result: Result, target: Target) -> Iterator[str]:
    """What the choice is worth where it was not made."""
    if target.held_out is None:
        return
    scale, found = result.scale, target.held_out
    low, high = (_level(scale, end) for end in scale.interval(found.estimate))
    chose = (result.samples + 1) // 2
    # Where nothing was lost in any fold, there is nothing to tell the spread from.
    sure = f", with 95 % between {low} and {high}" if found.estimate.error else ""
    yield (
        f"  chosen on {chose} samples; on the {result.samples - chose} others "
        f"{scale.name} {_level(scale, scale.reached(found.estimate.loss))}{sure}: {_verdict(found)}"
    )


def _verdict(found: HeldOut) -> str:
    loss, error = found.estimate.loss, found.estimate.error
    if loss > found.limit:
        return "beyond the budget there; a smaller --budget spares more"
    if loss + error > found.limit:
        return "within the budget there, though so few samples do not prove it"
    return "within the budget there too"


def _point(result: Result, point: Point) -> str:
    scale = result.scale
    text = f"{scale.name} {_figure(scale, point.score)}"
    if not scale.is_noise:
        text += f" ({_change(scale, point.score)}), {point.score.snr:.1f} dB"
    return f"{text}, about {_us(point.seconds)}"


def _figure(scale: Scale, score: Score) -> str:
    return _level(scale, scale.of(score))


def _level(scale: Scale, value: float) -> str:
    return f"{value:.2f} dB" if scale.is_noise else f"{value:.6g}"


def _us(seconds: float) -> str:
    return f"{1e3 * seconds:.3g} ms" if seconds >= 1e-3 else f"{1e6 * seconds:.3g} us"
