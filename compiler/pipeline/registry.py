"""How a pass becomes known, whoever contributes it, and how one is made from its options."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, TypeVar, get_type_hints

from sparqc.base.options import OptionValue, convert, is_supported
from sparqc.base.plugins import distribution_of
from sparqc.errors import Span, SparqcError, UsageError, did_you_mean
from sparqc.lang.check.file_name import may_name_a_pass
from sparqc.pipeline.installed import pattern_files
from sparqc.pipeline.passbase import Pass

P = TypeVar("P", bound=Pass)

_passes: dict[str, type[Pass]] = {}


def register(cls: type[P]) -> type[P]:
    """Class decorator that makes a pass known under its name.

    Raises SparqcError where the class is no frozen dataclass of options with defaults, where the
    name is missing or not kebab-case, or where another class has it.
    """
    _check(cls)
    known = _passes.get(cls.name)
    # The same class again is a reloaded module, a repeated notebook cell, or a file read again.
    if known is not None and _path(known) != _path(cls):
        raise SparqcError(
            f"two passes are named {cls.name!r}: {_owner(known)} and {_owner(cls)}",
            hint="rename one of them, or uninstall the distribution that you do not need",
        )
    _passes[cls.name] = cls
    return cls


def registered() -> Mapping[str, type[Pass]]:
    """The passes registered so far; `sparqc.pipeline.catalogue.passes` loads all of them first."""
    return MappingProxyType(_passes)


def option_types(cls: type[Pass]) -> Mapping[str, Any]:
    """The type of each option of a pass."""
    hints = get_type_hints(cls)
    return {name: hints[name] for name in cls.options()}


def build(
    cls: type[Pass],
    options: Mapping[str, OptionValue] = MappingProxyType({}),
    span: Span | None = None,
    spans: Mapping[str, Span | None] = MappingProxyType({}),
) -> Pass:
    """A pass from its options; UsageError for an unknown one and a value it does not take.

    `span` is where the name of the pass was written, `spans` where each option was.
    """
    values = {
        option: _converted(cls, option, value, spans.get(option, span))
        for option, value in options.items()
    }
    try:
        return cls(**values)
    except ValueError as error:
        raise UsageError(f"pass {cls.name!r}: {error}", span=span) from error


def _converted(cls: type[Pass], option: str, value: OptionValue, span: Span | None) -> Any:
    known = option_types(cls)
    if option not in known:
        hint = did_you_mean(option, known) if known else "it takes no options"
        raise UsageError(f"pass {cls.name!r} has no option {option!r}", span=span, hint=hint)
    try:
        return convert(value, known[option])
    except ValueError as error:
        message = f"option {option!r} of pass {cls.name!r} {error}"
        raise UsageError(message, span=span) from error


def _check(cls: type[Pass]) -> None:
    name = getattr(cls, "name", None)
    if not isinstance(name, str) or not may_name_a_pass(name):
        raise SparqcError(
            f"the pass {_path(cls)} has the name {name!r}",
            hint='give it a kebab-case name: name = "drop-zero-bias", or drop_zero_bias.spq',
        )
    if "__dataclass_params__" not in vars(cls):
        raise SparqcError(
            f"the pass {_path(cls)} is no dataclass",
            hint="write @dataclass(frozen=True) between @register and the class",
        )
    hints = option_types(cls)
    for option, field in cls.options().items():
        _check_option(cls, option, field, hints[option])


def _check_option(
    cls: type[Pass], option: str, field: dataclasses.Field[Any], annotation: Any
) -> None:
    where = f"option {option!r} of the pass {_path(cls)}"
    missing = dataclasses.MISSING
    if field.default is missing and field.default_factory is missing:
        raise SparqcError(f"{where} has no default", hint="every option of a pass needs one")
    if not is_supported(annotation):
        raise SparqcError(
            f"{where} has the type {annotation!r}",
            hint="options are bool, int, float, str, Path, Literal, tuple[T, ...], or these | None",
        )


def _path(cls: type[Pass]) -> str:
    file: str | None = getattr(cls, "file", None)  # of a pass that a pattern file makes
    return file or f"{cls.__module__}.{cls.__qualname__}"


def _owner(cls: type[Pass]) -> str:
    """The pass, and the distribution it came with; without one it is a person's own."""
    path = _path(cls)
    from_files = (f.distribution for f in pattern_files() if f.label == path)
    owner = next(from_files, "") if hasattr(cls, "file") else distribution_of(cls.__module__)
    return f"{path} of the distribution {owner!r}" if owner else path
