"""Writing a text file: all of it, or nothing."""

from __future__ import annotations

from pathlib import Path

from sparqc.base.whole_file import whole_file
from sparqc.errors import SparqcError


def write_text(path: Path, text: str) -> None:
    """Write beside the final name and rename; a file that is there keeps its permissions.

    Raises SparqcError where the system refuses.
    """
    try:
        with whole_file(path) as file:
            file.write(text.encode())
    except OSError as error:
        raise SparqcError(f"cannot write {path}: {error.strerror}") from error
