"""The pattern files of every installed distribution, parsed."""

from __future__ import annotations

from functools import cache

from sparqc.base.plugins import DataFile, data_files
from sparqc.lang.ast import PatternFile
from sparqc.lang.parsed import parsed


def pattern_files() -> tuple[DataFile, ...]:
    """The pattern files of every installed distribution, sparqc's own first."""
    return data_files(".spq")


@cache
def installed() -> tuple[PatternFile, ...]:
    """What they say."""
    return parsed([(file.read(), file.label) for file in pattern_files()])
