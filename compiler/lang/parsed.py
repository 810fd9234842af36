"""Pattern files that are parsed once for all processes.

To parse those that are installed takes a quarter of a second, to read what they were parsed into a
fiftieth.  So that is kept as plain data, by the content of the files and of what parses them.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sparqc.base.kept_data import keep, kept
from sparqc.errors import Span
from sparqc.lang import ast
from sparqc.lang.ast import PatternFile

#: The text of a file, and what errors call it.
Source = tuple[str, str]

_HERE = Path(__file__).parent
_CLASSES = {
    c.__name__: c for c in (Span, *vars(ast).values())
    if isinstance(c, type) and dataclasses.is_dataclass(c)
}  # fmt: skip


def parsed(sources: Sequence[Source]) -> tuple[PatternFile, ...]:
    """The pattern files, as `sparqc.lang.parse.parser.parse_text` gives them, with its errors."""
    kind = f"patterns-{_hash(str(_HERE).encode())[:8]}"  # each installation has its own
    key = _hash(*(part.encode() for source in sources for part in source), *_parser())
    files = _restored(kept(kind, key), sources)
    if files is None:
        from sparqc.lang.parse.parser import parse_text  # lark takes a while to import

        files = tuple(parse_text(text, label) for text, label in sources)
        keep(kind, key, to_data(files))
    return files


def _restored(data: Any, sources: Sequence[Source]) -> tuple[PatternFile, ...] | None:
    """The files that were kept; None where they are no such files."""
    try:
        files = from_data(data)
        same = [(file.text, file.path) for file in files] == list(sources)
    except (AttributeError, IndexError, KeyError, TypeError):
        return None
    return files if same else None


def _parser() -> list[bytes]:
    """The code that the result depends on."""
    paths = [_HERE / "ast.py", _HERE / "parsed.py", *(_HERE / "parse").glob("*.*")]
    return [path.read_bytes() for path in sorted(paths)]


def _hash(*parts: bytes) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()


def to_data(value: Any) -> Any:
    """A declaration, or what it is made of, as JSON can hold it: a list begins with the name of a
    class, or with "" where it is a tuple."""
    if isinstance(value, tuple):
        return ["", *map(to_data, value)]
    if dataclasses.is_dataclass(value):
        fields = (getattr(value, field.name) for field in dataclasses.fields(value))
        return [type(value).__name__, *map(to_data, fields)]
    return value


def from_data(data: Any) -> Any:
    """The inverse of `to_data`."""
    if not isinstance(data, list):
        return data
    parts = map(from_data, data[1:])
    return _CLASSES[data[0]](*parts) if data[0] else tuple(parts)
