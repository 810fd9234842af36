"""Doors: modules that hand on names of others, each imported when it is first asked for."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any


def door(
    module: str, homes: Mapping[str, Sequence[str]]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """The `__getattr__` and the `__dir__` (PEP 562) of a module that hands names on.

    `homes` has for each defining module the names that are taken from it.
    """
    home_of = {name: home for home, names in homes.items() for name in names}

    def get(name: str) -> Any:
        """A public name, imported when it is first asked for."""
        if name not in home_of:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        return getattr(importlib.import_module(home_of[name]), name)

    def listed() -> list[str]:
        """The public names."""
        return sorted(home_of)

    return get, listed
