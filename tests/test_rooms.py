"""The promises of the architecture, each checked on the source files."""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import networkx
import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = {
    "compiler": "sparqc",
    "passes": "sparqc.passes",
    "patterns": "sparqc.patterns",
    "tools": "sparqc.tools",
}
#: The rooms from the top: each imports its own floor and those below.
FLOORS = (
    {"sparqc.tools"},
    {"sparqc"},
    {"sparqc.training", "sparqc.api", "sparqc.extend"},
    {"sparqc.report"},
    {"sparqc.job", "sparqc.passes"},
    {"sparqc.predict", "sparqc.pipeline"},
    {"sparqc.rewrite"},
    {"sparqc.match"},
    {"sparqc.lang"},
    {"sparqc.capture", "sparqc.declared", "sparqc.ranks", "sparqc.numerics", "sparqc.validation"},
    {"sparqc.ir"},
    {"sparqc.base"},
    {"sparqc.errors"},
    {"sparqc.patterns"},
)
#: What only hands names on.
DOORS = {"sparqc"}
FOLDERS = [*PACKAGES, "tests", "examples", "benchmarks"]
LONGEST = 600
MOST_MODULES = 20


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


def modules() -> dict[str, Path]:
    """Every module of sparqc by its dotted name."""
    found = {}
    for folder in PACKAGES:
        for path in sources(folder, ".py"):
            parts = [package_of(path), *([] if path.stem == "__init__" else [path.stem])]
            found[".".join(parts)] = path
    return found


def imported_modules() -> dict[str, dict[str, int]]:
    """Module -> each module of sparqc that it imports, inside functions too, and the line.

    What stands under TYPE_CHECKING counts as well: a name that a type needs is a dependency.
    """
    known = modules()
    found: dict[str, dict[str, int]] = {}
    for module, path in known.items():
        package = package_of(path)
        found[module] = {}
        for line, name in imports(path.read_text(), package):
            target = name if name in known else name.rpartition(".")[0]
            if target in known and target != module:
                found[module].setdefault(target, line)
    return found


def floor_of(module: str) -> int:
    """How far below the top a module's room is."""
    rooms = {room: floor for floor, on in enumerate(FLOORS) for room in on}
    inside = [r for r in rooms if module == r or (r != "sparqc" and is_inside(module, r))]
    assert inside, f"{module} lies in no room: add its folder to FLOORS, and to CONTRIBUTING.md"
    return rooms[inside[0]]


def test_no_import_runs_up() -> None:
    broken = [
        f"{modules()[module].relative_to(ROOT)}:{line} imports {target}"
        for module, targets in imported_modules().items()
        for target, line in targets.items()
        if floor_of(target) < floor_of(module) and module not in DOORS
    ]
    report(broken, "A room imports what lies below it: see the table of rooms in CONTRIBUTING.md.")


def test_no_circle_of_imports() -> None:
    graph = networkx.DiGraph({m: list(targets) for m, targets in imported_modules().items()})
    circles = [sorted(c) for c in networkx.strongly_connected_components(graph) if len(c) > 1]
    report(
        [" <-> ".join(circle) for circle in sorted(circles)],
        "What two modules know of each other belongs into a third one below both.",
    )


def test_no_folder_is_crowded() -> None:
    counts = Counter(path.parent for folder in PACKAGES for path in sources(folder, ".py"))
    broken = [
        f"{folder.relative_to(ROOT)} holds {count} modules"
        for folder, count in counts.items()
        if count > MOST_MODULES and folder.name != "operators"
    ]
    report(broken, f"A folder holds at most {MOST_MODULES} modules: make a room of a part of it.")


def test_no_family_of_files_by_prefix() -> None:
    families: dict[tuple[Path, str], list[str]] = {}
    for folder in PACKAGES:
        for path in sources(folder, ".py"):
            if "_" in path.stem.strip("_"):
                prefix = path.stem.partition("_")[0]
                families.setdefault((path.parent, prefix), []).append(path.stem)
    broken = [
        f"{folder.relative_to(ROOT)}: {', '.join(names)}"
        for (folder, _), names in families.items()
        if len(names) > 2
    ]
    report(broken, "Files that share a prefix want a folder of that name.")


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
