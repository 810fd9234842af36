"""The lines of the user's model that its operators come from."""

from __future__ import annotations

import linecache
import sys
from collections.abc import Iterable
from pathlib import Path


def source_lines(sources: Iterable[str], model: str) -> dict[str, str]:
    """`model.py:12` -> the line itself, for files that can be told apart.

    Origins have the names of files only.  The file is the model's own, or else the one loaded
    module whose file is called so; where there are two, a line could be the wrong one.
    """
    wanted = sorted({source for source in sources if source.rpartition(":")[2].isdigit()})
    files = _files({source.rpartition(":")[0] for source in wanted}, model)
    found = {}
    for source in wanted:
        name, _, number = source.rpartition(":")
        line = linecache.getline(files[name], int(number)).strip() if name in files else ""
        if line:
            found[source] = line
    return found


def _files(names: set[str], model: str) -> dict[str, str]:
    """The one file of each name."""
    own = Path(model.partition(":")[0])
    loaded: dict[str, set[str]] = {}
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if isinstance(file, str) and Path(file).name in names:
            loaded.setdefault(Path(file).name, set()).add(file)
    files = {name: min(paths) for name, paths in loaded.items() if len(paths) == 1}
    return files | ({own.name: str(own)} if own.name in names and own.is_file() else {})
