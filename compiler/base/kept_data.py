"""Plain data that one process leaves to the next: hints, never code, and nobody misses them.

Each kind has one file below `$XDG_CACHE_HOME/sparqc`, by default `~/.cache/sparqc`, which begins
with a digest of the rest and with what the data follow from.  A file that is damaged, that follows
from something else, or that cannot be read or written is as good as none.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from sparqc.base.whole_file import whole_file


def kept(kind: str, key: str) -> Any:
    """What was kept under that key, as JSON gives it; None where nothing is."""
    try:
        digest, _, rest = _file(kind).read_bytes().partition(b"\n")
        stored = rest if digest == _digest(rest) else b""
        found, _, text = stored.partition(b"\n")
        return json.loads(text) if found == key.encode() else None
    except (OSError, RuntimeError, ValueError):  # RuntimeError: nobody knows where home is
        return None


def keep(kind: str, key: str, data: Any) -> None:
    """Keep what JSON can hold, in the place of what was kept of that kind."""
    stored = key.encode() + b"\n" + json.dumps(data).encode()
    try:
        path = _file(kind)
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as file:
            file.write(_digest(stored) + b"\n" + stored)
    except (OSError, RuntimeError):
        return


def _file(kind: str) -> Path:
    named = Path(os.environ.get("XDG_CACHE_HOME", ""))
    folder = named if named.is_absolute() else Path.home() / ".cache"
    return folder / "sparqc" / f"{kind}.json"


def _digest(data: bytes) -> bytes:
    return hashlib.sha256(data).hexdigest().encode()
