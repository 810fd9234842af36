"""Keep of what a pass proposes only what brings the network nearer on data that it did not use.

First everything is tried at once.  Where that is refused, the halves are, and their halves, as long
as trials are left: each trial runs the network on the samples that are held back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from sparqc.ir.graph import Graph
from sparqc.passes.on_data.changes import changes_between, make
from sparqc.passes.on_data.held_out import LEAST, SHARE, Split
from sparqc.passes.on_data.judge import Judge, decibels, gain
from sparqc.rewrite.context import Context
from sparqc.rewrite.facts import Facts

#: How many trials one pass may take.
TRIALS = 8
#: The whole is kept where its gain is more than so many standard errors: one in six gains that are
#: chance alone, and are small then.
WHOLE = 1.0
#: And a part of it where its gain is more than so many: there are several, and the best would else
#: be the luckiest.
PART = 2.0


@dataclass(frozen=True)
class Judgement:
    """What became of the proposals of one pass."""

    pass_: str
    #: How many samples judged.
    samples: int = 0
    kept: tuple[str, ...] = ()
    undone: tuple[str, ...] = ()
    #: The signal-to-noise ratio of the outputs on them in dB, before and with what is kept.
    before_db: float = 0.0
    after_db: float = 0.0
    #: What all proposals together gain in dB, and the standard error of that.
    whole_db: float = 0.0
    error_db: float = 0.0
    trials: int = 0
    #: Why nothing was judged, nor done; "" where it was.
    reason: str = ""


@dataclass(frozen=True)
class Judgements:
    """The fact of what the judge said of each pass, in the order in which they ran."""

    passes: tuple[Judgement, ...] = ()


def note(facts: Facts, judgement: Judgement) -> None:
    """Add what became of a pass to the fact."""
    known = facts.get(Judgements, Judgements())
    facts.put(Judgements((*known.passes, judgement)))


def renamed(judgement: Judgement, names: Mapping[str, str]) -> Judgement:
    """The judgement, its parts called by other names."""
    kept, undone = (tuple(names[n] for n in part) for part in (judgement.kept, judgement.undone))
    return replace(judgement, kept=kept, undone=undone)


def too_few(split: Split) -> str:
    """Why the data cannot judge; "" where it can."""
    held = split.samples
    if held >= LEAST:
        return ""
    return (
        f"{held} calibration samples are held back to judge by, and fewer than {LEAST} say too "
        f"little: give at least {LEAST * SHARE}, in batches of {SHARE} or more"
    )


def keep_what_helps(
    graph: Graph,
    worked: Graph,
    reference: Graph,
    split: Split,
    name: str,
    context: Context,
    judge: Judge | None = None,
) -> Judgement:
    """Do to a graph what a pass did to a copy of it, as far as that helps on what is held back.

    Returns the judgement, which is noted too; its names are those of layers.  `judge` is one that
    is there already.
    """
    if reason := too_few(split):
        return _noted(Judgement(name, split.samples, reason=reason), context)
    changes = changes_between(graph, worked, context.table)

    def build(layers: Sequence[str]) -> Graph:
        copy = graph.clone()
        make(copy, [change for layer in layers for change in changes[layer]])
        return copy

    judge = judge or Judge(reference, split.held, context.table)
    found = judged(list(changes), build, judge, name)
    make(graph, [change for layer in found.kept for change in changes[layer]])
    return _noted(found, context)


def judged(
    parts: Sequence[str],
    build: Callable[[Sequence[str]], Graph],
    judge: Judge,
    name: str,
    trials: int = TRIALS,
    price: Callable[[Sequence[str]], float] | None = None,
) -> Judgement:
    """Which of some parts to keep, where `build` gives the graph with some of them, and `price` the
    dB that these have to bring."""
    if not parts:
        return Judgement(name)
    search = _Search(parts, build, judge, trials, price or (lambda _: 0.0))
    search.run()
    return Judgement(
        name,
        samples=len(search.first),
        kept=search.kept,
        undone=tuple(part for part in parts if part not in search.kept),
        before_db=decibels(search.first),
        after_db=decibels(search.best),
        whole_db=search.whole.decibels,
        error_db=search.whole.error,
        trials=search.count,
    )


def _noted(judgement: Judgement, context: Context) -> Judgement:
    note(context.facts, judgement)
    return judgement


@dataclass
class _Search:
    """Parts that are kept so far, and the noise with them."""

    parts: Sequence[str]
    build: Callable[[Sequence[str]], Graph]
    judge: Judge
    trials: int
    price: Callable[[Sequence[str]], float]
    kept: tuple[str, ...] = ()
    count: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self.first = self.best = self.judge.noise(self.build(()))

    def run(self) -> None:
        """Try the whole, then smaller and smaller parts of what was refused."""
        waiting = [tuple(self.parts)]
        while waiting and self.count < self.trials:
            tried = waiting.pop(0)
            chosen = {*self.kept, *tried}
            together = tuple(part for part in self.parts if part in chosen)
            noise = self.judge.noise(self.build(together))
            found = gain(self.best, noise)
            if not self.count:
                self.whole = found
            self.count += 1
            more = self.price(together) - self.price(self.kept)
            if found.exceeds(WHOLE if len(tried) == len(self.parts) else PART, more):
                self.kept, self.best = together, noise
            elif len(tried) > 1:
                half = len(tried) // 2
                waiting += [tried[:half], tried[half:]]
