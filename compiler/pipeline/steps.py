"""A pipeline as a value: passes with their options, in order, that print as text.

`sparqc.pipeline.run` parses and runs it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import chain

from sparqc.base.options import OptionValue, spell
from sparqc.errors import Span, UsageError
from sparqc.ir.types import Level
from sparqc.pipeline.catalogue import find, passes
from sparqc.pipeline.passbase import Pass
from sparqc.pipeline.registry import build


@dataclass(frozen=True)
class Option:
    """`name=value` between the braces of a step."""

    name: str
    value: OptionValue
    span: Span | None = field(default=None, compare=False, repr=False)

    def __str__(self) -> str:
        return f"{self.name}={spell(self.value)}"


@dataclass(frozen=True)
class Step:
    """One pass: `calibrate{method="entropy"}`."""

    name: str
    options: tuple[Option, ...] = ()
    span: Span | None = field(default=None, compare=False, repr=False)

    @classmethod
    def of(cls, instance: Pass) -> Step:
        """The step that makes such a pass: the options that are not the default."""
        plain = type(instance)()
        names = [n for n in type(instance).options() if getattr(plain, n) != getattr(instance, n)]
        return cls(instance.name, tuple(Option(n, getattr(instance, n)) for n in names))

    @property
    def cls(self) -> type[Pass]:
        """The class of the pass; UsageError for an unknown one."""
        return find(self.name, self.span)

    def make(self) -> Pass:
        """The pass; UsageError for an unknown pass or option, or a value that does not fit."""
        values = {option.name: option.value for option in self.options}
        spans = {option.name: option.span for option in self.options}
        return build(self.cls, values, self.span, spans)

    @property
    def steps(self) -> Iterator[Step]:
        """This one step."""
        yield self

    def check(self, level: Level) -> Level:
        """The level of the graph after the step; UsageError where it cannot run on `level`."""
        made = self.make()
        if made.level not in ("any", level):
            raise UsageError(
                f"the pass {self.name!r} runs on {made.level}, but here the graph is {level}",
                span=self.span,
                hint=_advice(made.level, level),
            )
        return made.gives or level

    def __str__(self) -> str:
        return self.name + (f"{{{', '.join(map(str, self.options))}}}" if self.options else "")


def _advice(wanted: str, level: Level) -> str:
    """Where the pass would meet a graph of the wanted level."""
    borders = [name for name, cls in passes().items() if cls.gives in (wanted, level)]
    side = "after" if any(passes()[name].gives == wanted for name in borders) else "before"
    return f"put it {side} {' or '.join(map(repr, borders))}" if borders else ""


@dataclass(frozen=True)
class Repeat:
    """`repeat(a, b)`: the items in order, again and again until a round changes nothing."""

    items: Items
    span: Span | None = field(default=None, compare=False, repr=False)

    @property
    def steps(self) -> Iterator[Step]:
        """The steps inside, in order."""
        return chain.from_iterable(item.steps for item in self.items)

    def check(self, level: Level) -> Level:
        """The same level; UsageError where an item cannot run on it or changes it."""
        if Pipeline(self.items).check(level) != level:
            raise UsageError(
                "a pass inside 'repeat' changes the level of the graph", span=self.span
            )
        return level

    def __str__(self) -> str:
        return f"repeat({', '.join(map(str, self.items))})"


Item = Step | Repeat
Items = tuple[Item, ...]


def mapped(items: Items, change: Callable[[Step], Items]) -> Items:
    """The items with each step changed into others; a repeat that is left empty goes."""
    result: list[Item] = []
    for item in items:
        if isinstance(item, Step):
            result += change(item)
        elif inner := mapped(item.items, change):
            result.append(Repeat(inner, item.span))
    return tuple(result)


@dataclass(frozen=True)
class Pipeline:
    """Items in the order in which they run."""

    items: Items = ()

    @property
    def steps(self) -> Iterator[Step]:
        """Every step in the order of the text, those inside `repeat` once."""
        return chain.from_iterable(item.steps for item in self.items)

    @property
    def quantizes(self) -> bool:
        """Whether a pass places quantizers."""
        return any(step.cls.places_quantizers for step in self.steps)

    def carries_out(self, option: str) -> bool:
        """Whether a pass looks at an option of the compile."""
        return any(option in step.cls.carries_out for step in self.steps)

    def check(self, level: Level) -> Level:
        """The level of the graph after the pipeline has run on one of `level`.

        Raises UsageError for an unknown pass or option, an option of the wrong type, and a pass
        that meets a graph of a level that it does not run on.
        """
        for item in self.items:
            level = item.check(level)
        return level

    def for_level(self, level: Level) -> tuple[Pipeline, tuple[str, ...]]:
        """What is meant for a model that comes in as `level`, and the text of what is not.

        For a model that comes in as ONNX the passes that run on FX only are left out, export among
        them; nothing is left out for one that comes in as FX.
        """
        if level == "fx":
            return self, ()
        kept = mapped(self.items, lambda step: () if step.cls.level == "fx" else (step,))
        return Pipeline(kept), tuple(str(s) for s in self.steps if s.cls.level == "fx")

    def __str__(self) -> str:
        return ", ".join(map(str, self.items))
