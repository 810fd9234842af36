"""The values that options take: how they are written, checked and described."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

Scalar = None | bool | int | float | str | Path
#: What an option in a pipeline can be.
OptionValue = Scalar | tuple[Scalar, ...]

_NAMES = {
    bool: ("true or false", "truth values"),
    int: ("an integer", "integers"),
    float: ("a number", "numbers"),
    str: ("a string", "strings"),
    Path: ("a path", "paths"),
    NoneType: ("none", "nones"),
}
_MISFIT = object()


def spell(value: OptionValue | Sequence[Scalar]) -> str:
    """A value as it is written in a pipeline; a path is a string there.

    >>> spell(("a", 1, None, True))
    '["a", 1, none, true]'
    """
    if isinstance(value, (str, Path)):
        return json.dumps(str(value), ensure_ascii=False)
    if isinstance(value, (tuple, list)):
        return f"[{', '.join(map(spell, value))}]"
    if value is None or isinstance(value, bool):
        return str(value).lower()
    return repr(value)


def convert(value: Any, annotation: Any) -> Any:
    """The value as its annotation wants it: an integer becomes a float, a string a path, a list a
    tuple.

    Annotations are bool, int, float, str, Path, Literal, `tuple[T, ...]` and unions of these with
    None.
    Raises ValueError where the value does not fit; the message continues "the option … ".
    """
    for kind in _alternatives(annotation):
        fitting = _fit(value, kind)
        if fitting is not _MISFIT:
            return fitting
    raise ValueError(f"takes {describe(annotation)}, not {_shown(value)}")


def describe(annotation: Any) -> str:
    """What an option takes, in words: 'one of "max", "mse"', "an integer, or none"."""
    kinds = sorted(_alternatives(annotation), key=lambda kind: kind is NoneType)
    return ", or ".join(_describe(kind) for kind in kinds)


def is_supported(annotation: Any) -> bool:
    """Whether an option can have this annotation."""
    return all(_is_supported(kind) for kind in _alternatives(annotation))


def _alternatives(annotation: Any) -> tuple[Any, ...]:
    if get_origin(annotation) in (Union, UnionType):
        return get_args(annotation)
    return (NoneType if annotation is None else annotation,)


def _shown(value: Any) -> str:
    """A value that does not fit; of what no option takes only the type, for it may be a tensor."""
    if isinstance(value, (tuple, list)):
        return f"[{', '.join(map(_shown, value))}]"
    return spell(value) if isinstance(value, Scalar) else f"a value of type {type(value).__name__}"


def _fit(value: Any, kind: Any) -> Any:
    if get_origin(kind) is Literal:
        same = (c for c in get_args(kind) if c == value and type(c) is type(value))
        return next(same, _MISFIT)
    if get_origin(kind) is tuple:
        return _fit_items(value, get_args(kind)[0])
    if kind is float and type(value) is int:
        return float(value)
    if kind is Path and isinstance(value, (str, Path)):
        return Path(value)
    return value if type(value) is kind else _MISFIT  # True is no integer here


def _fit_items(value: Any, kind: Any) -> Any:
    if not isinstance(value, (tuple, list)):
        return _MISFIT
    items = tuple(_fit(item, kind) for item in value)
    return _MISFIT if _MISFIT in items else items


def _describe(kind: Any) -> str:
    if get_origin(kind) is Literal:
        choices = ", ".join(map(spell, get_args(kind)))
        return choices if len(get_args(kind)) == 1 else f"one of {choices}"
    if get_origin(kind) is tuple:
        item = get_args(kind)[0]
        plural = _NAMES[item][1] if item in _NAMES else f"values, each {_describe(item)}"
        return f"a list of {plural}"
    return _NAMES[kind][0]


def _is_supported(kind: Any) -> bool:
    if get_origin(kind) is Literal:
        return True
    if get_origin(kind) is tuple:
        arguments = get_args(kind)
        return len(arguments) == 2 and arguments[1] is Ellipsis and _is_supported(arguments[0])
    return kind in _NAMES
