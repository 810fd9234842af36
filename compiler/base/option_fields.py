"""Options that a person gives, each declared once: as a field of a frozen dataclass.

    @dataclass(frozen=True)
    class Options:
        exclude: tuple[str, ...] = option((), "Leave operators as they are.", metavar="SELECTOR")

        def __post_init__(self) -> None:
            read_options(self)

The name, the type and the default are those of the field.  From the declaration follow the keyword
in Python, the spelling on the command line (`sparqc.tools.terminal.options`), what a value is held
to, and the row in the documentation.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from sparqc.base.options import convert
from sparqc.errors import UsageError, did_you_mean

T = TypeVar("T")


@dataclass(frozen=True)
class OptionField:
    """One declared option."""

    name: str
    #: Its type: one of those of `sparqc.base.options`.
    kind: Any
    default: Any
    #: One sentence for people.
    help: str
    #: What stands for the value in help texts; "" for what the type says.
    metavar: str = ""
    #: The spelling on the command line.  Of an option that is on by default it switches it off.
    flag: str = ""
    #: The smallest number that it takes.
    at_least: int | None = None
    #: Whether it serves to find the step that breaks something.
    debugging: bool = False

    @property
    def is_repeatable(self) -> bool:
        """Whether it takes several values."""
        return get_origin(self.kind) is tuple

    @property
    def choices(self) -> tuple[str, ...]:
        """The words that it takes; none where it takes others than a few."""
        return get_args(self.kind) if get_origin(self.kind) is Literal else ()

    def read(self, value: object) -> Any:
        """The value as the option keeps it: a lone one becomes a list of one, a string a path.

        Raises UsageError where the option does not take it.
        """
        if self.is_repeatable and isinstance(value, (str, Path)):
            value = (value,)
        self._require_filled(value)
        if self.choices and isinstance(value, str) and value not in self.choices:
            what = self.metavar.lower() or "value"
            hint = did_you_mean(value, filter(None, self.choices))
            raise UsageError(f"{self.flag} {value}: there is no such {what}", hint=hint)
        try:
            found = convert(value, self.kind)
        except ValueError as error:
            listed = f'write it as {self.name}=["{self.metavar}", …]' if self.is_repeatable else ""
            raise UsageError(f"option {self.name!r} {error}", hint=listed) from error
        if self.at_least is not None and found is not None and found < self.at_least:
            raise UsageError(f"{self.flag} {found}: it has to be at least {self.at_least}")
        return found

    def _require_filled(self, value: object) -> None:
        """Raises UsageError for an empty name or path: it would name nothing, or everything.

        An option that takes one word may have a meaning for the empty one.
        """
        if self.kind is str or self.choices:
            return
        for item in value if isinstance(value, (tuple, list)) else (value,):
            if isinstance(item, str) and not item.strip():
                what = self.metavar.lower() or "value"
                hint = f"leave {self.flag} out, or give it a {what}"
                raise UsageError(f'{self.flag} "{item}": the {what} is empty', hint=hint)


def option(
    default: T,
    help: str,
    *,
    metavar: str = "",
    flag: str = "",
    at_least: int | None = None,
    debugging: bool = False,
) -> T:
    """A field of a dataclass that is an option; see `OptionField` for what the arguments mean.

    Without `flag` it is spelled as the field is named.
    """
    declared = {
        "help": help,
        "metavar": metavar,
        "flag": flag,
        "at_least": at_least,
        "debugging": debugging,
    }
    return dataclasses.field(default=default, metadata={_DECLARED: declared})


#: Where the metadata of a field holds what `option` was given.
_DECLARED = "sparqc.option"


def option_fields(cls: type[Any]) -> Mapping[str, OptionField]:
    """The options of a dataclass by name, in the order of its fields."""
    hints = get_type_hints(cls)
    found = {}
    for field in dataclasses.fields(cls):
        if _DECLARED in field.metadata:
            declared = dict(field.metadata[_DECLARED])
            declared["flag"] = declared["flag"] or f"--{field.name.replace('_', '-')}"
            kind = hints[field.name]
            found[field.name] = OptionField(field.name, kind, field.default, **declared)
    return MappingProxyType(found)


def read_options(instance: Any) -> None:
    """Hold each option of a frozen dataclass to its declaration: for `__post_init__`.

    Raises UsageError for a value that an option does not take.
    """
    for name, declared in option_fields(type(instance)).items():
        object.__setattr__(instance, name, declared.read(getattr(instance, name)))
