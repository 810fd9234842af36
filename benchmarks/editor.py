"""CPU time of the diagnostics of a pattern file, as the language server makes them.

    python benchmarks/editor.py [FILE.spq] [--lines 500]

The file (default: the first declarations of shipped files, up to 500 lines) is checked as it was
opened, and then after each of 30 edits of one line, as a person types.  Both without imports and
the reading of what is installed, which happen once.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from statistics import median

import sparqc.patterns
from sparqc.lang.parse.grammar import forget_lines
from sparqc.lang.parse.parser import parse_text
from sparqc.tools.editor.analysis import analyse

PATTERNS = Path(sparqc.patterns.__path__[0])
SHIPPED = ("tensorrt/fusions.spq", "algebra/fold.spq", "algebra/cleanup.spq")
EDITS = 30


def shipped(lines: int) -> str:
    """Whole declarations of the shipped files, up to a number of lines."""
    text = ""
    for name in SHIPPED:
        file = parse_text((PATTERNS / name).read_text(), name)
        source = file.text.split("\n")
        starts = [d.span.line - 1 for d in file.declarations if d.span]
        for start, end in zip(starts, [*starts[1:], len(source)], strict=True):
            if text.count("\n") + end - start > lines:
                return text
            text += "\n".join(source[start:end]) + "\n"
    return text


def milliseconds(path: str, text: str) -> float:
    """CPU time of one analysis."""
    start = time.process_time()
    analyse(path, text)
    return 1000 * (time.process_time() - start)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", nargs="?", type=Path)
    parser.add_argument("--lines", type=int, default=500)
    given = parser.parse_args()
    # Below the name of a shipped file, what that declares is not declared twice.
    path = str(given.file or PATTERNS / SHIPPED[0])
    text = given.file.read_text() if given.file else shipped(given.lines)
    analyse(path, text)  # imports, and what is installed
    opened = []
    for _ in range(5):
        forget_lines()
        opened.append(milliseconds(path, text))
    lines = text.split("\n")
    edited = []
    for edit in range(EDITS):
        at = edit * len(lines) // EDITS
        changed = "\n".join([*lines[:at], f"{lines[at]} # {edit}", *lines[at + 1 :]])
        edited.append(milliseconds(path, changed))
    print(f"{len(lines)} lines, {len(text)} letters, {len(analyse(path, text).findings)} findings")
    print(f"opened         {median(opened):6.1f} ms")
    print(f"after an edit  {median(edited):6.1f} ms, at most {max(edited):.1f} ms")


if __name__ == "__main__":
    main()
