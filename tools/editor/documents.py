"""The pattern files that an editor has open, and those of its folders."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from threading import Lock

from pygls.uris import from_fs_path, to_fs_path

from sparqc.tools.editor.analysis import Analysis, analyse
from sparqc.tools.editor.names import text_of

#: So many pattern files of a folder are looked at.
MOST_FILES = 200
#: Folders that hold other people's files, or no texts.
_PASSED_OVER = frozenset((".git", ".venv", "venv", "node_modules", "__pycache__", "site-packages"))


class Documents:
    """Texts by their URI, with the version that an editor gives them, and what they say."""

    def __init__(self) -> None:
        self._texts: dict[str, tuple[int, str]] = {}
        self._analyses: dict[str, tuple[int, Analysis]] = {}
        self._lock = Lock()

    def put(self, uri: str, version: int, text: str) -> bool:
        """Take a text; False where it is older than what is there already."""
        if uri in self._texts and version <= self._texts[uri][0]:
            return False
        self._texts[uri] = (version, text)
        return True

    def drop(self, uri: str) -> None:
        """Forget a text that was closed."""
        self._texts.pop(uri, None)
        self._analyses.pop(uri, None)

    def version(self, uri: str) -> int | None:
        """The version of an open text; None where it is not open."""
        return self._texts[uri][0] if uri in self._texts else None

    def __contains__(self, uri: str) -> bool:
        return uri in self._texts

    def analysis(self, uri: str) -> Analysis | None:
        """What an open text says; None where it is not open."""
        if (known := self._texts.get(uri)) is None:
            return None
        with self._lock:
            version, text = known
            kept = self._analyses.get(uri)
            if kept is not None and kept[0] == version:
                return kept[1]
            made = analyse(path_of(uri), text, kept[1] if kept else None)
            self._analyses[uri] = (version, made)
            return made

    def all(self, folders: Iterable[str]) -> list[Analysis]:
        """Every open text, and the pattern files of some folders."""
        found = {path_of(uri): self.analysis(uri) for uri in list(self._texts)}
        for path in islice(_pattern_files(folders), MOST_FILES):
            if str(path) not in found and (text := text_of(str(path))) is not None:
                found[str(path)] = analyse(str(path), text)
        return [analysis for analysis in found.values() if analysis is not None]


def path_of(uri: str) -> str:
    """The path of a URI; itself where it is that of no file, such as a text that is not saved."""
    return to_fs_path(uri) or uri


def uri_of(path: str) -> str:
    """The URI of a path."""
    return from_fs_path(path) or path


def _pattern_files(folders: Iterable[str]) -> Iterator[Path]:
    for folder in folders:
        for root, inner, files in os.walk(folder):
            inner[:] = sorted(set(inner) - _PASSED_OVER)
            yield from (Path(root) / name for name in sorted(files) if name.endswith(".spq"))
