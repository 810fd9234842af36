"""Accuracy against predicted speed, as a picture in one SVG file (or an HTML page around it)."""

from __future__ import annotations

import html
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sparqc.tools.sensitivity.result import Result

WIDTH, HEIGHT = 760, 460
_LEFT, _RIGHT, _TOP, _BOTTOM = 78, 24, 62, 66
#: Labels stay readable where the line runs behind them.
_HALO = 'paint-order="stroke" stroke="white" stroke-width="3"'
_LINE, _DOT, _MARK = "#3465a4", "#555753", "#cc0000"


@dataclass(frozen=True)
class _Dot:
    x: float  # microseconds
    y: float  # the metric
    label: str
    chosen: bool = False


@dataclass(frozen=True)
class _Axis:
    """From the figures of an axis to places on the page."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)

    def ticks(self) -> list[float]:
        """Round figures, four to eight of them."""
        rough = (self.high - self.low) / 5
        power = 10 ** math.floor(math.log10(rough))
        step = next(m * power for m in (1, 2, 5, 10) if m * power >= rough * 0.999)
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [i * step for i in range(first, last + 1)]


def picture(result: Result) -> str:
    """The SVG text: the predicted choices as a line, what was measured together as dots.

    Signal to noise of the float network is infinite; it is left out there.
    """
    line = [(1e6 * c.seconds, result.scale.reached(c.loss)) for c in result.path]
    line = [(x, y) for x, y in line if math.isfinite(y)]
    dots = [d for d in _dots(result) if math.isfinite(d.y)]
    points = [*line, *((d.x, d.y) for d in dots)] or [(0.0, 0.0)]
    x = _axis([p[0] for p in points], _LEFT, WIDTH - _RIGHT)
    levels = [p[1] for p in points] + [y for y in [_limit(result)] if y is not None]
    y = _axis(levels, HEIGHT - _BOTTOM, _TOP)
    body = [*_frame(result, x, y), *_budget(result, x, y), *_path(line, x, y), *_marks(dots, x, y)]
    inside = "\n".join(body)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" '
        f'viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">\n'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>\n{inside}\n</svg>\n'
    )


def page(result: Result) -> str:
    """An HTML page that holds the picture."""
    title = html.escape(f"{result.model}: accuracy and predicted speed")
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f"</head>\n<body>\n{picture(result)}</body></html>\n"
    )


def _dots(result: Result) -> Iterator[_Dot]:
    scale = result.scale
    chosen = result.together.get("chosen")
    for name, point in result.together.items():
        same = chosen is not None and point is not chosen and point.keeps == chosen.keeps
        if not same:
            yield _Dot(1e6 * point.seconds, scale.of(point.score), name, name == "chosen")
    if not scale.is_noise:
        yield _Dot(1e6 * result.float_seconds, scale.of(scale.baseline), "float")


def _axis(values: Sequence[float], start: float, end: float) -> _Axis:
    low, high = min(values), max(values)
    room = (high - low) * 0.08 or max(abs(high) * 0.05, 1e-6)
    return _Axis(low - room, high + room, start, end)


# -- elements ----------------------------------------------------------------------------------


def _text(x: float, y: float, text: str, extra: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" {extra}>{html.escape(text)}</text>'


def _rule(x1: float, y1: float, x2: float, y2: float, extra: str) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" {extra}/>'


def _frame(result: Result, x: _Axis, y: _Axis) -> Iterator[str]:
    yield _text(_LEFT, 24, f"{result.model} for {result.target}", 'font-size="15"')
    legend = "line: predicted from each layer's own loss; dots: measured with all layers together"
    yield _text(_LEFT, 44, legend, 'fill="#555753"')
    for tick in x.ticks():
        at = x.at(tick)
        yield _rule(at, _TOP, at, HEIGHT - _BOTTOM, 'stroke="#e6e6e6"')
        yield _text(at, HEIGHT - _BOTTOM + 18, f"{tick:g}", 'text-anchor="middle"')
    for tick in y.ticks():
        at = y.at(tick)
        yield _rule(_LEFT, at, WIDTH - _RIGHT, at, 'stroke="#e6e6e6"')
        yield _text(_LEFT - 8, at + 4, f"{tick:g}", 'text-anchor="end"')
    yield (
        f'<rect x="{_LEFT}" y="{_TOP}" width="{WIDTH - _LEFT - _RIGHT}" '
        f'height="{HEIGHT - _TOP - _BOTTOM}" fill="none" stroke="#888a85"/>'
    )
    shapes = ", ".join("x".join(map(str, s or ())) for _, s in result.shapes)
    across = f"predicted time of a batch ({shapes}) on {result.gpu}, µs"
    middle = (_LEFT + WIDTH - _RIGHT) / 2
    yield _text(middle, HEIGHT - 18, across, 'text-anchor="middle"')
    name = "signal to noise of the outputs, dB" if result.scale.is_noise else result.scale.name
    at = (_TOP + HEIGHT - _BOTTOM) / 2
    turned = f'text-anchor="middle" transform="rotate(-90 20 {at:.1f})"'
    yield _text(20, at, name, turned)


def _limit(result: Result) -> float | None:
    if result.chosen is None:
        return None
    level = result.scale.reached(result.chosen.limit)
    return level if math.isfinite(level) else None


def _budget(result: Result, x: _Axis, y: _Axis) -> Iterator[str]:
    level = _limit(result)
    if level is None or result.chosen is None:
        return
    at = y.at(level)
    yield _rule(x.start, at, x.end, at, f'stroke="{_MARK}" stroke-dasharray="5 4"')
    text = f"budget: {result.chosen.budget}"
    yield _text(x.end - 6, at - 5, text, f'text-anchor="end" fill="{_MARK}"')


def _path(line: Sequence[tuple[float, float]], x: _Axis, y: _Axis) -> Iterator[str]:
    places = " ".join(f"{x.at(a):.1f},{y.at(b):.1f}" for a, b in line)
    yield f'<polyline points="{places}" fill="none" stroke="{_LINE}" stroke-width="1.5"/>'
    for a, b in line:
        yield f'<circle cx="{x.at(a):.1f}" cy="{y.at(b):.1f}" r="2.2" fill="{_LINE}"/>'


def _marks(dots: Sequence[_Dot], x: _Axis, y: _Axis) -> Iterator[str]:
    taken: list[tuple[float, float]] = []
    for dot in sorted(dots, key=lambda d: not d.chosen):
        color, size = (_MARK, 7) if dot.chosen else (_DOT, 5)
        cx, cy = x.at(dot.x), y.at(dot.y)
        yield f'<circle cx="{cx:.1f}" cy="{cy:.1f}" r="{size}" fill="{color}"/>'
        right = cx > (x.start + x.end) / 2
        at = cy - 9
        while any(abs(at - other) < 14 and abs(cx - place) < 110 for place, other in taken):
            at += 15
        taken.append((cx, at))
        anchor = "end" if right else "start"
        side = cx - 10 if right else cx + 10
        yield _text(
            side, at, dot.label, f'text-anchor="{anchor}" fill="{color}" font-weight="bold" {_HALO}'
        )
