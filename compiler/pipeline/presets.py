"""Presets: pipelines with a name, in `presets.toml` beside the pattern files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType

from sparqc.base.toml_tables import tables


@dataclass(frozen=True)
class Preset:
    """A pipeline that a person can call by name."""

    name: str
    #: The pipeline as text; it may name other presets.
    passes: str
    #: One line for people.
    help: str


@cache
def presets() -> Mapping[str, Preset]:
    """Every preset by name.

    Raises SparqcError where a file is broken or two distributions declare one name.
    """
    found = tables("presets.toml", "presets")
    return MappingProxyType({name: table.read_as(Preset) for name, table in found.items()})
