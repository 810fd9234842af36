"""Which layers stay dense or in float: the ways to keep each, and the path from fast to exact."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from sparqc.errors import UsageError
from sparqc.job.layers import Keep


@dataclass(frozen=True)
class Way:
    """One way to keep a layer.

    `loss` is what it costs alone, in points of the metric (below 0 where the metric came out
    better) or as noise over signal; `noise` is always the latter.  `seconds` are predicted, more
    than for the fastest way or less than for the planned one.
    """

    keep: Keep
    loss: float
    noise: float
    seconds: float


@dataclass(frozen=True)
class Choice:
    """How each layer is kept, by its name, with the sums over the layers."""

    keeps: Mapping[str, Keep]
    loss: float
    noise: float
    seconds: float


Ways = Mapping[str, Sequence[Way]]


def path(ways: Ways) -> list[Choice]:
    """Choices from the fastest to the float network: each changes one layer of the one before.

    The next change is the one that wins back most for the time that it costs: first by the
    loss, then, where a coarse metric sees no difference, by the noise.  By the sums over layers a
    later choice is never faster.
    """
    useful = {name: undominated(some) for name, some in ways.items()}
    current = {name: some[0] for name, some in useful.items()}
    found = [_choice(current)]
    while changes := [
        (name, way)
        for name, some in useful.items()
        for way in some[some.index(current[name]) + 1 :]
    ]:
        name, way = max(changes, key=lambda change: _gain(current[change[0]], change[1]))
        current[name] = way
        found.append(_choice(current))
    return found


def undominated(ways: Sequence[Way]) -> list[Way]:
    """The ways for which no other is as fast and as good, from fast to slow."""
    kept: list[Way] = []
    for way in sorted(ways, key=lambda w: (w.seconds, w.noise, max(w.loss, 0.0))):
        if not any(k.noise <= way.noise and max(k.loss, 0) <= max(way.loss, 0) for k in kept):
            kept.append(way)
    return kept


def _gain(now: Way, then: Way) -> tuple[float, float]:
    """What is won back for each second."""
    seconds = then.seconds - now.seconds
    won, quieter = max(now.loss, 0.0) - max(then.loss, 0.0), now.noise - then.noise
    if seconds <= 0:
        return (math.inf, math.inf)
    return max(won, 0.0) / seconds, quieter / seconds


def _choice(ways: Mapping[str, Way]) -> Choice:
    return Choice(
        {name: way.keep for name, way in ways.items()},
        loss=sum(way.loss for way in ways.values()),
        noise=sum(way.noise for way in ways.values()),
        seconds=sum(way.seconds for way in ways.values()),
    )


def staircase(choices: Sequence[Choice]) -> list[Choice]:
    """Without those for which a later one is as fast: what float layers cost depends on their
    neighbours, so that a path that was fast by its sums need not be."""
    kept: list[Choice] = []
    for choice in reversed(choices):
        if not kept or choice.seconds < kept[-1].seconds:
            kept.append(choice)
    return kept[::-1]


def first_within(choices: Sequence[Choice], limit: float) -> int:
    """The fastest choice whose layers' losses add up to no more; the last where none does."""
    within = (i for i, choice in enumerate(choices) if choice.loss <= limit)
    return next(within, len(choices) - 1)


@dataclass(frozen=True)
class Found:
    """The index of a choice on the path, and whether it is within the limit."""

    index: int
    reached: bool


def search(count: int, start: int, limit: float, loss: Callable[[int], float]) -> Found:
    """The first choice of a path whose `loss`, with all layers together, is within the limit.

    Sums over layers are only a guess, where to `start`: from there it goes on in growing strides
    until one is within the limit, and back by halves.  `loss` is asked for few choices: it measures
    a whole network.  Where even the last one is beyond the limit, that with the least loss of those
    that were measured is given, as not reached.
    """
    seen: dict[int, float] = {}

    def within(index: int) -> bool:
        seen[index] = loss(index)
        return seen[index] <= limit

    low, high, stride = -1, start, 1
    while not within(high):
        if high == count - 1:
            return Found(min(seen, key=lambda i: (seen[i], i)), reached=False)
        low, high, stride = high, min(count - 1, high + stride), 2 * stride
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if within(middle) else (middle, high)
    return Found(high, reached=True)


# -- budgets -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Budget:
    """What may be lost: points of the metric, or dB of signal to noise against dense INT8."""

    amount: float
    unit: Literal["points", "dB"]

    def __str__(self) -> str:
        return f"{self.amount:g} dB" if self.unit == "dB" else f"{self.amount:g} points"


_BUDGET = re.compile(r"\s*(?P<number>[-+]?[\d.]+(?:e[-+]?\d+)?)\s*(?P<unit>dB)?\s*", re.IGNORECASE)


def parse_budget(text: str) -> Budget:
    """`0.5` points, `1.5dB`; UsageError for anything else, and for less than nothing."""
    hint = "points of the metric: --budget 0.5; or signal to noise: --budget 1.5dB"
    found = _BUDGET.fullmatch(text)
    try:
        amount = float(found["number"]) if found else math.nan
    except ValueError:
        amount = math.nan
    if found is None or not math.isfinite(amount):
        raise UsageError(f"--budget {text}: this is no amount", hint=hint)
    if amount < 0:
        raise UsageError(f"--budget {text}: a budget is not negative", hint=hint)
    return Budget(amount, "dB" if found["unit"] else "points")
