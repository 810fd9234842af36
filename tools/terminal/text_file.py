"""Writing a text file: all of it, or nothing."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

from sparqc.errors import SparqcError


def write_text(path: Path, text: str) -> None:
    """Write beside the final name and rename; a file that is there keeps its permissions.

    Raises SparqcError where the system refuses.
    """
    temporary = ""
    try:
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", dir=path.parent, prefix=f".{path.name}.", delete=False
        ) as file:
            temporary = file.name
            file.write(text)
        os.chmod(temporary, _mode(path))
        os.replace(temporary, path)
    except OSError as error:
        if temporary:
            Path(temporary).unlink(missing_ok=True)
        raise SparqcError(f"cannot write {path}: {error.strerror}") from error


def _mode(path: Path) -> int:
    """The permissions of the file, or those that a new file gets."""
    if path.exists():
        return stat.S_IMODE(path.stat().st_mode)
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
