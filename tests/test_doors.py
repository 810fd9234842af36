"""`sparqc` for users and `sparqc.extend` for plug-ins: all that anybody outside has to import."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import sparqc
import sparqc.extend
from sparqc.base.plugins import GROUPS
from sparqc.ir.onnx.metadata.provenance import KEYS
from sparqc.passes.check.record import TARGET, Inventory
from tests.test_rooms import FLOORS, ROOT, imports, report

DOORS = {"sparqc": sparqc, "sparqc.extend": sparqc.extend}
#: What `python -m` and `torchrun -m` run.
COMMAND = re.compile(r"-m sparqc\.tools[\w.]*")
#: What looks like a module and is none: entry-point groups, and keys in the metadata of a file.
NO_MODULES = {*GROUPS, TARGET, *Inventory().to_metadata(), *KEYS}
#: The rooms, which CONTRIBUTING.md lists for people who work inside.
ROOMS = {room for floor in FLOORS for room in floor}

DOTTED = re.compile(r"(?<![\w./-])sparqc(?:\.[A-Za-z_]\w*)+")
BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)


def pages() -> list[Path]:
    """Everything that shows people outside how to use sparqc."""
    folders = (("docs", "*.md"), ("examples", "*.md"), ("examples", "*.py"), ("tests/plugin", "*"))
    inside = (path for folder, name in folders for path in (ROOT / folder).rglob(name))
    text = {".md", ".py", ".toml", ".spq"}
    return sorted([*ROOT.glob("*.md"), *(path for path in inside if path.suffix in text)])


def offers(path: str) -> bool:
    """Whether a dotted path is a door, or leads through one to a name that it offers."""
    if path in DOORS:
        return True
    door = "sparqc.extend" if path.startswith("sparqc.extend.") else "sparqc"
    return path.removeprefix(f"{door}.").split(".")[0] in DOORS[door].__all__


def named(page: Path, text: str) -> Iterator[tuple[int, str]]:
    """Line and dotted path of everything that a page names or imports."""
    for number, line in enumerate(text.splitlines(), 1):
        is_row = page.name == "CONTRIBUTING.md" and line.startswith("| `")
        plain = NO_MODULES | (ROOMS if is_row else set())
        found = DOTTED.findall(COMMAND.sub("", line))
        yield from ((number, path) for path in found if path not in plain)
    if page.suffix == ".md":
        for block in BLOCK.finditer(text):
            first = text.count("\n", 0, block.start(1))
            yield from ((first + line, path) for line, path in imports(block.group(1), ""))
    elif page.suffix == ".py":
        yield from imports(text, "")


def inner_paths(page: Path, text: str) -> list[str]:
    """What a page says that leads past the doors."""
    found = dict.fromkeys(named(page, text))
    return [
        f"{page.relative_to(ROOT)}:{line} names {path}"
        for line, path in found
        if path.split(".")[0] == "sparqc" and not offers(path)
    ]


def test_pages_name_what_the_doors_offer_and_nothing_else() -> None:
    broken = [line for page in pages() for line in inner_paths(page, page.read_text())]
    report(broken, "Import from sparqc or sparqc.extend, and let them offer what is missing there.")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("docs/a.md", "`sparqc.ir.graph.Graph` is the graph"),
        ("docs/a.md", "call `sparqc.extend.nothing(graph)`"),
        ("docs/a.md", "call `sparqc.nothing(model)`"),
        ("docs/a.md", "```python\nfrom sparqc.extend import (\n    Graph,\n    nothing,\n)\n```"),
        ("docs/a.md", "```python\nfrom sparqc import passes\n```"),
        ("docs/a.md", "| `compiler/ir/` | `sparqc.ir` |"),
        ("CONTRIBUTING.md", "as `sparqc.ir` says"),
        ("docs/a.md", "see `sparqc.tools.cli.main`"),
        ("examples/a.py", "def f():\n    from sparqc.extend import nothing"),
    ],
)
def test_a_path_past_the_doors_is_found(name: str, text: str) -> None:
    assert len(inner_paths(ROOT / name, text)) == 1


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("docs/a.md", "`sparqc.extend.make` gives a pass, `sparqc.Compiled.save` writes a file"),
        ("docs/a.md", "```python\nimport sparqc\nfrom sparqc.extend import Graph, Pass\n```"),
        ("docs/a.md", '[project.entry-points."sparqc.passes"] and torchrun -m sparqc.tools.cli'),
        ("CONTRIBUTING.md", "| `compiler/ir/` | `sparqc.ir` |"),
    ],
)
def test_what_the_doors_offer_may_be_named(name: str, text: str) -> None:
    assert inner_paths(ROOT / name, text) == []


def test_the_page_for_plug_ins_lists_what_the_door_offers() -> None:
    _, _, section = (ROOT / "docs/passes.md").read_text().partition("| `sparqc.extend` has |\n")
    rows = section.partition("\n\n")[0].splitlines()[1:]
    listed = [name for row in rows for name in re.findall(r"`(\w+)`", row)]
    assert sorted(listed) == sorted(sparqc.extend.__all__)


@pytest.mark.parametrize("door", DOORS.values(), ids=DOORS)
def test_every_name_is_there(door: ModuleType) -> None:
    missing = [name for name in door.__all__ if getattr(door, name, None) is None]
    assert not missing
    assert dir(door) == sorted(door.__all__)


@pytest.mark.parametrize("door", DOORS.values(), ids=DOORS)
def test_type_checkers_see_the_same_names(door: ModuleType) -> None:
    seen = {
        (statement.module, alias.name)
        for block in ast.parse(Path(str(door.__file__)).read_text()).body
        if isinstance(block, ast.If)
        for statement in block.body
        if isinstance(statement, ast.ImportFrom)
        for alias in statement.names
    }
    assert seen == {(home, name) for home, names in door.HOMES.items() for name in names}
    assert {name for _, name in seen} == set(door.__all__)


@pytest.mark.parametrize("door", DOORS.values(), ids=DOORS)
def test_other_names_are_refused(door: ModuleType) -> None:
    with pytest.raises(AttributeError, match=f"{door.__name__}' has no attribute 'nothing'"):
        _ = door.nothing


def test_a_name_of_both_doors_is_one_thing() -> None:
    for name in set(sparqc.__all__) & set(sparqc.extend.__all__):
        assert getattr(sparqc, name) is getattr(sparqc.extend, name)


def test_the_doors_load_neither_torch_nor_onnx() -> None:
    program = (
        "import sys, sparqc, sparqc.extend\n"
        "print(*({'torch', 'onnx', 'onnxruntime'} & {*sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "", "")
