"""A folder of generated pages."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from sparqc.errors import UsageError
from sparqc.tools.terminal.text_file import write_text


def write_folder(folder: Path, pages: Mapping[str, str]) -> list[Path]:
    """Write pages by their files' names, and take away generated ones that are gone.

    Raises UsageError where the folder is a file, SparqcError where it cannot be written.
    """
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file", hint="name a folder for the pages")
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in pages.items():
        write_text(folder / name, text)
    for path in folder.glob("*.md"):
        if path.name not in pages and path.read_text(encoding="utf-8").startswith(
            "<!-- written by"
        ):
            path.unlink()
    return [folder / name for name in pages]
