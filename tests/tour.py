"""The code of some pages run from top to bottom, and the pages with what it prints.

    python -m tests.tour

writes them anew.  Where the code stands in ```python and ```sh, what it prints stands in the
```text behind it.  A block that begins with `# model.py` is that file.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[1]
PAGES = tuple(ROOT / "docs" / name for name in ("tour.md", "python.md"))
BLOCK = re.compile(r"^```(python|sh|text)\n(.*?)^```\n", re.DOTALL | re.MULTILINE)
FILE = re.compile(r"# (\w+\.py)\n")
#: What the shell understands by `sparqc`, whatever is installed.
SPARQC = 'set -o pipefail; sparqc() { "$PYTHON" -m sparqc.tools.cli "$@"; }\n'


@dataclass
class Tour:
    """A walk through a page, in the current folder."""

    page: str
    names: dict[str, Any] = field(default_factory=lambda: {"__name__": "tour"})
    #: What the last block of code printed, and no block of text has shown yet.
    unshown: str = ""

    def rewritten(self) -> str:
        """The page as it should be.  AssertionError where code prints what the page does not show,
        or where it shows what no code printed; whatever the code raises."""
        text = BLOCK.sub(self._visit, self.page)
        assert not self.unshown, "the last code prints something: put a ```text block behind it"
        return text

    def _visit(self, block: re.Match[str]) -> str:
        kind, body = block.groups()
        line = self.page.count("\n", 0, block.start(2))
        if kind == "text":
            assert self.unshown, f"line {line}: no code in front of this text prints anything"
            shown, self.unshown = self.unshown, ""
            return f"```text\n{shown}```\n"
        assert not self.unshown, f"line {line}: the code in front of this prints: show it"
        self.unshown = self._python(body, line) if kind == "python" else _shell(body)
        return block.group()

    def _python(self, code: str, line: int) -> str:
        if file := FILE.match(code):
            Path(file.group(1)).write_text(code)
            return ""
        # Libraries that other tests import set how arrays print, for the whole process.
        plain = np.printoptions(precision=8, linewidth=75, suppress=False, formatter=None)
        with plain, contextlib.redirect_stdout(io.StringIO()) as printed:
            exec(compile("\n" * line + code, "page.md", "exec"), self.names)
        return printed.getvalue()


def _shell(command: str) -> str:
    paths = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    environment = {**os.environ, "PYTHON": sys.executable, "PYTHONPATH": paths, "COLUMNS": "100"}
    done = subprocess.run(
        ["bash", "-c", SPARQC + command], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, f"{command}{done.stdout}{done.stderr}"
    return done.stdout


@contextlib.contextmanager
def own_folder(folder: Path) -> Iterator[None]:
    """In that folder, where `import model` finds model.py, and nowhere else afterwards."""
    with contextlib.chdir(folder):
        sys.path.insert(0, str(folder))
        before = sys.modules.pop("model", None)
        try:
            yield
        finally:
            sys.path.remove(str(folder))
            sys.modules.pop("model", None)
            if before is not None:
                sys.modules["model"] = before


def page(text: str, folder: Path) -> str:
    """The page as it should be, its code run in an empty folder."""
    with own_folder(folder):
        return Tour(text).rewritten()


if __name__ == "__main__":
    for path in PAGES:
        with tempfile.TemporaryDirectory() as name:
            path.write_text(page(path.read_text(), Path(name)))
        print(f"wrote {path}")
