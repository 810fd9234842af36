"""Natives: the pure Python functions that pattern files call as `@name(...)`.

A native is typed, and its annotations say what it is given:

* `Array` (or `Array | None`): the array of a constant operand,
* `Value`: the operand itself, to look at its type or at the graph around it,
* anything else: an attribute, a dimension or a shape as plain Python.

It must be pure: the same arguments give the same result, and neither they nor the graph change.
The engine relies on this when it tries a match, gives it up and tries another one.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import numpy as np

from sparqc.base.plugins import load_natives
from sparqc.errors import Span, SparqcError
from sparqc.ir.graph import Value

F = TypeVar("F", bound=Callable[..., Any])

#: What a parameter is given: see the module docstring.
Kind = Literal["array", "value", "plain"]


@dataclass(frozen=True)
class Parameter:
    """One parameter of a native; `optional` ones take none for an absent operand."""

    name: str
    kind: Kind
    optional: bool = False


@dataclass(frozen=True)
class Native:
    """A registered function and what its signature says."""

    name: str
    function: Callable[..., Any]
    parameters: tuple[Parameter, ...]
    #: The fewest and the most arguments it takes; None: any number.
    least: int
    most: int | None
    #: What its annotation says that it gives; Any where there is none.
    result: Any = Any

    @property
    def span(self) -> Span | None:
        """Where it is defined; None where it is no function of Python."""
        return _span(inspect.unwrap(self.function))

    @property
    def place(self) -> str:
        """The file and line in which it is defined, or its module."""
        return f"{self.span.file}:{self.span.line}" if self.span else self.module

    @property
    def result_name(self) -> str:
        """The annotation of its result, as people write it."""
        return inspect.formatannotation(self.result)

    def gives(self, result: object) -> bool:
        """Whether its annotation allows a result, as far as that is looked into: True for one that
        says something else than numbers, truth, text, arrays, values, lists and none."""
        return _is_a(result, self.result)

    @property
    def module(self) -> str:
        """Where it is defined."""
        return self.function.__module__ or ""  # of what exec made, none

    @property
    def doc(self) -> str:
        """Its docstring."""
        return inspect.getdoc(self.function) or ""

    def takes(self, count: int) -> bool:
        """Whether it can be called with that many arguments."""
        return self.least <= count and (self.most is None or count <= self.most)

    def parameter(self, index: int) -> Parameter:
        """The parameter of an argument; all that follow `*args` belong to it."""
        return self.parameters[min(index, len(self.parameters) - 1)]


_natives: dict[str, Native] = {}


def native(name: str) -> Callable[[F], F]:
    """Decorator that makes a function callable as `@name(...)`.

    Raises SparqcError where another function has the name.
    """

    def decorate(function: F) -> F:
        known = _natives.get(name)
        # The same function again is a reloaded module or a repeated notebook cell.
        if known is not None and _path(known.function) != _path(function):
            raise SparqcError(
                f"two natives are named @{name}: {_path(known.function)} and {_path(function)}",
                span=_span(function),
                hint="rename one of them",
            )
        _natives[name] = describe(name, function)
        return function

    return decorate


def natives() -> Mapping[str, Native]:
    """Every native by name; the view follows later registrations.

    The first call imports what the entry points of passes name, as far as natives may stand there.
    """
    load_natives()
    return types.MappingProxyType(_natives)


def describe(name: str, function: Callable[..., Any]) -> Native:
    """What the signature of a function says, as a native of that name."""
    hints = get_type_hints(function)
    found = list(inspect.signature(function).parameters.values())
    positional = [p for p in found if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    rest = [p for p in found if p.kind is p.VAR_POSITIONAL]
    return Native(
        name=name,
        function=function,
        parameters=tuple(_parameter(p.name, hints.get(p.name, Any)) for p in positional + rest),
        least=sum(p.default is p.empty for p in positional),
        most=None if rest else len(positional),
        result=hints.get("return", Any),
    )


def _is_a(result: object, hint: Any) -> bool:
    """Whether something is what an annotation says; numbers of numpy count as those of Python."""
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return any(_is_a(result, member) for member in get_args(hint))
    if hint in (None, type(None)):
        return result is None
    if hint is bool:
        return isinstance(result, (bool, np.bool_))
    if hint in (int, float):
        kinds = (int, np.integer) if hint is int else (int, float, np.number)
        return isinstance(result, kinds) and not isinstance(result, bool)
    if hint is str or (isinstance(hint, type) and issubclass(hint, Value)):
        return isinstance(result, hint)
    if hint is np.ndarray or origin is np.ndarray:
        return isinstance(result, (np.ndarray, np.generic))
    if hint in (tuple, list) or origin in (tuple, list):
        return isinstance(result, (tuple, list))
    return True


def _parameter(name: str, hint: Any) -> Parameter:
    members = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
    kinds = {_kind(member) for member in members if member is not type(None)}
    kind: Kind = "array" if "array" in kinds else "value" if "value" in kinds else "plain"
    return Parameter(name, kind, type(None) in members)


def _kind(hint: Any) -> Kind:
    """The kind of one annotation; `tuple[Array, ...]` takes arrays as `Array` does."""
    if hint is np.ndarray or get_origin(hint) is np.ndarray:
        return "array"
    if isinstance(hint, type) and issubclass(hint, Value):
        return "value"
    inner = {_kind(argument) for argument in get_args(hint) if argument is not Ellipsis}
    return "array" if "array" in inner else "value" if "value" in inner else "plain"


def _path(function: Callable[..., Any]) -> str:
    return f"{function.__module__}.{function.__qualname__}"


def _span(function: Callable[..., Any]) -> Span | None:
    code = getattr(function, "__code__", None)
    return Span(code.co_filename, code.co_firstlineno, 1) if code else None
