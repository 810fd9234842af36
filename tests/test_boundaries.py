"""The promises of the architecture, each checked on the source files."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = {
    "compiler": "sparqc",
    "passes": "sparqc.passes",
    "patterns": "sparqc.patterns",
    "tools": "sparqc.tools",
}
FOLDERS = [*PACKAGES, "tests", "examples", "benchmarks"]
LONGEST = 600


def sources(folder: str, *suffixes: str) -> list[Path]:
    """The files of one top-level folder with one of the suffixes, in order of their names."""
    return sorted(path for path in (ROOT / folder).rglob("*") if path.suffix in suffixes)


def package_of(path: Path) -> str:
    """The import package of a file: `compiler/ir/graph.py` lies in `sparqc.ir`."""
    folder, *inner = path.relative_to(ROOT).parts[:-1]
    return ".".join([PACKAGES[folder], *inner])


def imports(source: str, package: str) -> Iterator[tuple[int, str]]:
    """Line and full dotted name of everything that a module of `package` imports."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: 1 - node.level or None] if node.level else []
            base = ".".join([*parents, *([node.module] if node.module else [])])
            yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)


def is_inside(module: str, package: str) -> bool:
    return f"{module}.".startswith(f"{package}.")


def report(broken: list[str], what_to_do: str) -> None:
    assert not broken, "\n".join([*broken, what_to_do])


@pytest.mark.parametrize(
    ("statement", "name"),
    [
        ("import sparqc.tools.cli", "sparqc.tools.cli"),
        ("from sparqc import passes", "sparqc.passes"),
        ("from sparqc.passes.fold import Fold", "sparqc.passes.fold.Fold"),
        ("from .. import passes", "sparqc.passes"),
        ("from ..passes import fold", "sparqc.passes.fold"),
        ("from . import graph", "sparqc.ir.graph"),
        ("def f():\n    import sparqc.tools", "sparqc.tools"),
    ],
)
def test_every_spelling_of_an_import_is_seen(statement: str, name: str) -> None:
    assert [found for _, found in imports(statement, "sparqc.ir")] == [name]


@pytest.mark.parametrize(
    ("folder", "forbidden", "what_to_do"),
    [
        ("compiler", "sparqc.passes", "passes register themselves: look them up in the registry"),
        ("compiler", "sparqc.tools", "what a tool needs too belongs in compiler/"),
        ("passes", "sparqc.tools", "what both need belongs in compiler/"),
        ("patterns", "sparqc.tools", "patterns/ holds declarations, no code"),
    ],
)
def test_a_folder_does_not_import(folder: str, forbidden: str, what_to_do: str) -> None:
    broken = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in sources(folder, ".py")
        for line, name in imports(path.read_text(), package_of(path))
        if is_inside(name, forbidden)
    ]
    report(broken, f"{folder}/ must not import {forbidden}: {what_to_do}.")


def test_the_compiler_names_no_target() -> None:
    broken = [
        f"{path.relative_to(ROOT)}:{number} says {found.group()!r}"
        for path in sources("compiler", ".py", ".lark", ".toml", ".md")
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if (found := re.search("tensorrt|nvidia", line, re.IGNORECASE))
    ]
    report(broken, "compiler/ knows no target: what is known of one belongs in patterns/.")


def test_no_file_is_too_long() -> None:
    files = [path for folder in FOLDERS for path in sources(folder, ".py", ".spq", ".lark")]
    lengths = {path.relative_to(ROOT): len(path.read_text().splitlines()) for path in files}
    broken = [f"{path} has {lines} lines" for path, lines in lengths.items() if lines > LONGEST]
    report(broken, f"A file has at most {LONGEST} lines: split it by the things it holds.")


@pytest.mark.parametrize("folder", ["compiler", "passes"])
def test_the_library_does_not_print(folder: str) -> None:
    broken = [
        f"{path.relative_to(ROOT)}:{node.lineno} calls print"
        for path in sources(folder, ".py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "print"
    ]
    report(broken, "Return the text or record an event: only tools/ talk to a person.")
