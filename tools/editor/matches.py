"""How often each declaration matches in the graph that a file's first comment names."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from sparqc.base.reading import read_text
from sparqc.errors import SparqcError, UsageError
from sparqc.lang.ast import Declaration
from sparqc.tools.editor.analysis import Analysis

if TYPE_CHECKING:
    from sparqc.ir.graph import Graph
    from sparqc.match.match import Matcher

_NAMED = re.compile(r"#\s*graph:\s*(\S.*?)\s*")
#: What is looked for takes no longer, in seconds, and a file has no more bytes.
SECONDS = 5.0
LARGEST = 500_000_000
#: Names of dumps of graphs (`sparqc compile --dump`).
_DUMPS = (".fx.txt", ".onnx.txt")


def named_graph(analysis: Analysis) -> tuple[Path, int] | None:
    """The file in a comment `# graph: model.onnx` above the declarations, and the comment's 0-based
    line; a relative path begins at the pattern file's folder."""
    heads = [line for line in analysis.layout.lines if not line.text.startswith('"')]
    end = heads[0].number if heads else len(analysis.layout.source) + 1
    for comment in analysis.layout.comments:
        found = _NAMED.fullmatch(comment.text)
        if found and comment.alone and comment.line < end:
            return Path(analysis.path).parent / Path(found[1]).expanduser(), comment.line - 1
    return None


def matches(analysis: Analysis, path: Path) -> Mapping[int, str]:
    """What to say behind the first line of each declaration, by its 0-based line.

    Nothing is said where time is up.  Raises SparqcError where the graph cannot be read; no code is
    run for it.
    """
    from sparqc.match.match import Matcher
    from sparqc.match.rulebook import RuleBook

    graph = _graph(path)
    end = time.monotonic() + SECONDS
    book = RuleBook()
    for file in (*analysis.others, analysis.file):
        book.add_file(file)
    matcher = Matcher(book, book.table)
    said = {}
    for declaration in analysis.file.declarations:
        if declaration.span and declaration.is_for(graph.level, None):
            count = _count(book.find(declaration.name), graph, matcher, end)
            if count is None:
                break
            said[declaration.span.line - 1] = f"{count} match{'' if count == 1 else 'es'}"
    return said


def _count(declaration: Declaration, graph: Graph, matcher: Matcher, end: float) -> int | None:
    roots, count = matcher.roots(declaration), 0
    for node in graph.nodes:
        if time.monotonic() > end:
            return None
        if node.op in roots and matcher.first(declaration, node) is not None:
            count += 1
    return count


def _graph(path: Path) -> Graph:
    try:
        stat = path.stat()
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read: {error}") from error
    if not path.is_file():
        raise UsageError(f"{path} is no file")
    if stat.st_size > LARGEST:
        raise UsageError(f"{path} has {stat.st_size / 1e6:.0f} MB, too many for an editor")
    return _read(path, stat.st_mtime_ns, stat.st_size)


@lru_cache(4)
def _read(path: Path, changed: int, size: int) -> Graph:
    """The graph of a file; what it was is kept until the file changes."""
    from sparqc.ir.vocabulary.table import default_table

    if path.suffix == ".onnx":
        from sparqc.ir.onnx.load import load_onnx
        from sparqc.ir.onnx.read import read_onnx

        return read_onnx(load_onnx(path), default_table())
    if path.name.endswith(_DUMPS):
        from sparqc.ir.text.parse import parse_graph

        return parse_graph(read_text(path), file=str(path))
    raise SparqcError(
        f"{path.name} is no graph that can be read without running code",
        hint=f"name an .onnx file, or a dump of a graph ({', '.join(_DUMPS)})",
    )
