"""Writes an engine to a file: all of it, or nothing."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from sparqc.base.whole_file import whole_file
from sparqc.errors import SparqcError, UsageError


def check_writable(path: Path) -> None:
    """Say before a long build that its engine could not be written.

    Raises:
        UsageError: where `path` is a folder or a device, or its folder does not exist or is
            read-only.
    """
    if path.is_dir():
        raise UsageError(f"'{path}' is a folder; the engine needs a file name")
    if path.exists() and not path.is_file():
        raise UsageError(f"'{path}' is a device; the engine needs a file name")
    if not path.parent.is_dir():
        raise UsageError(f"there is no folder '{path.parent}' to write the engine to")
    if not os.access(path.parent, os.W_OK):
        raise UsageError(f"the folder '{path.parent}' cannot be written to")


def write_plan(path: Path, plan: Any) -> None:
    """Write a plan, any buffer of bytes, beside its final name and then rename it.

    Raises:
        SparqcError: where the system refuses, for example on a full disk.
    """
    try:
        with whole_file(path) as file:
            file.write(plan)
    except OSError as error:
        raise SparqcError(f"cannot write the engine '{path}': {error.strerror}") from error
