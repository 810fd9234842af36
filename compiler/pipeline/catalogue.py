"""Every pass that there is, from modules and from pattern files, by its name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from sparqc.base.options import OptionValue
from sparqc.base.plugins import PASSES, load_group
from sparqc.errors import Span, UsageError, did_you_mean
from sparqc.pipeline.library import register_rule_passes
from sparqc.pipeline.passbase import Pass
from sparqc.pipeline.registry import build, registered


def passes() -> Mapping[str, type[Pass]]:
    """Every pass by name, sorted.  The first call imports what entry points name.

    A pattern file with rules is a pass too.
    """
    load_group(PASSES)
    register_rule_passes()
    return MappingProxyType(dict(sorted(registered().items())))


class UnknownPass(UsageError):
    """A pass that is not known, or not yet: Python that is imported later may register it."""


def find(name: str, span: Span | None = None, others: Iterable[str] = ()) -> type[Pass]:
    """The pass of that name; UnknownPass where there is none, with `others` among the guesses."""
    known = passes()
    if name not in known:
        hint = unknown_pass_hint(name, [*known, *others])
        raise UnknownPass(f"there is no pass {name!r}", span=span, hint=hint)
    return known[name]


def unknown_pass_hint(name: str, known: Iterable[str]) -> str:
    """What to do where there is no pass of that name: the nearest, and how one becomes known."""
    close = did_you_mean(name, known) or "list them with: sparqc passes"
    own = "one of your own is known once model.py, --import FILE.py or a plug-in imports it"
    return f"{close}\n  {own}; that of a pattern file, with --patterns FILE"


def make(name: str, options: Mapping[str, OptionValue] = MappingProxyType({})) -> Pass:
    """The registered pass of that name with options other than its defaults.

    Raises UsageError for an unknown pass, an unknown option, and a value it does not take.
    """
    return build(find(name), options)
