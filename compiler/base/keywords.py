"""Keywords of public functions, told to people who misspell them."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from sparqc.errors import UsageError, did_you_mean

P = ParamSpec("P")
R = TypeVar("R")


def keywords_of(call: Callable[..., Any]) -> tuple[str, ...]:
    """The names of the parameters of a function, without those that take whatever comes."""
    rest = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    return tuple(p.name for p in inspect.signature(call).parameters.values() if p.kind not in rest)


def suggests_keywords(call: Callable[P, R]) -> Callable[P, R]:
    """The same function, with a UsageError for a keyword that it does not take: which was meant."""
    known = keywords_of(call)

    @wraps(call)
    def checked(*args: P.args, **given: P.kwargs) -> R:
        for name in given:
            if name not in known:
                raise UsageError(
                    f"{call.__name__} takes no {name!r}", hint=did_you_mean(name, known)
                )
        return call(*args, **given)

    return checked
