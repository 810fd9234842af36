"""Knobs: where the knowledge of a target leaves a choice, a person can make it.

A knob is a table of a file `knobs.toml` beside the pattern files, which ask for it as
`knob.attention`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from types import MappingProxyType

from sparqc.base.toml_tables import Table, tables
from sparqc.declared.gpus import Gpu, default_gpus
from sparqc.errors import UsageError, did_you_mean


@dataclass(frozen=True)
class Knob:
    """One choice."""

    name: str
    #: One sentence for people.
    doc: str
    #: What is taken without a wish.
    default: str = ""
    #: The words it may be set to; none for a number.
    values: tuple[str, ...] = ()
    #: The reference that the default rests on.
    source: str = ""
    #: What of the GPU the default is, in place of a `default`: `sms`, `l2`.
    gpu: str = ""
    #: The smallest number that it takes; none: any.
    at_least: float | None = None

    def read(self, word: str) -> str | float:
        """The value that a word stands for; UsageError where it is none of the knob's."""
        if self.values:
            if word not in self.values:
                hint = f"it may be: {', '.join(self.values)}"
                raise UsageError(f"the knob {self.name!r} has no value {word!r}", hint=hint)
            return word
        try:
            number = float(word)
        except ValueError:
            raise UsageError(f"the knob {self.name!r} is a number, not {word!r}") from None
        if not math.isfinite(number):
            raise UsageError(f"the knob {self.name!r} is a finite number, not {word!r}")
        if self.at_least is not None and number < self.at_least:
            raise UsageError(f"the knob {self.name!r} is {self.at_least:g} or more, not {word!r}")
        return int(number) if number.is_integer() else number


@cache
def knobs() -> Mapping[str, Knob]:
    """Every knob by name.

    Raises SparqcError where a file is broken, two distributions declare one name, or a default is
    not one of the values.
    """
    return MappingProxyType({n: _knob(table) for n, table in tables("knobs.toml", "knobs").items()})


def _knob(table: Table) -> Knob:
    found = table.read_as(Knob)
    if bool(found.default) == bool(found.gpu):
        raise table.error("a knob has either a `default` or the figure of a `gpu` that it is")
    if found.gpu and found.gpu not in ("sms", "l2"):
        raise table.error(f"a GPU has no figure {found.gpu!r}", "it has sms and l2")
    if found.gpu:
        found = replace(found, default=_figure(default_gpus()[0], found.gpu))
    found.read(found.default)
    return found


def knobs_of(chosen: Gpu) -> tuple[str, ...]:
    """The knobs that are figures of a GPU, as words: `multiprocessors=108`."""
    return tuple(f"{k.name}={_figure(chosen, k.gpu)}" for k in knobs().values() if k.gpu)


def _figure(chosen: Gpu, name: str) -> str:
    return f"{getattr(chosen, name):g}"


def knob(name: str) -> Knob:
    """The knob of that name; UsageError where there is none."""
    if name not in knobs():
        raise UsageError(f"there is no knob {name!r}", hint=did_you_mean(name, knobs()))
    return knobs()[name]


def parse_knobs(words: str) -> dict[str, str]:
    """`attention=int8, concat_ratio=8` as a table; UsageError for what is no knob or no value."""
    found: dict[str, str] = {}
    for word in filter(None, (w.strip() for w in words.split(","))):
        name, equals, value = (part.strip() for part in word.partition("="))
        if not equals:
            raise UsageError(f"{word!r} sets no knob", hint="write it as attention=int8")
        knob(name).read(value)
        found[name] = value
    return found
