"""The wheel that `python -m build` makes is complete and runs on its own."""

import email
import os
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from sparqc.tools.page.libraries import VENDOR, libraries

ROOT = Path(__file__).parent.parent
PACKAGES = {
    "compiler": "sparqc",
    "passes": "sparqc/passes",
    "patterns": "sparqc/patterns",
    "tools": "sparqc/tools",
}
SHIPPED = {".py", ".typed", ".lark", ".spq", ".toml", ".js", ".css", ".html"}


def run(*arguments: str, **options: object) -> str:
    """The output of a Python command; a failure shows all that it said."""
    done = subprocess.run(
        [sys.executable, *arguments], text=True, capture_output=True, check=False, **options
    )
    assert done.returncode == 0, f"python {' '.join(arguments)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the source distribution, so that this is complete as well."""
    folder = tmp_path_factory.mktemp("dist")
    run("-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT))
    return next(folder.glob("sparqc-*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds the installed wheel and nothing else."""
    folder = tmp_path_factory.mktemp("installed")
    options = ("-q", "--no-deps", "--no-index", "--target", str(folder))
    run("-m", "pip", "install", *options, str(wheel))
    return folder


def run_installed(installed: Path, *arguments: str) -> str:
    """Run Python on the installed copy, away from the checkout."""
    return run(*arguments, cwd=installed.parent, env={**os.environ, "PYTHONPATH": str(installed)})


def test_the_wheel_holds_every_source_file(wheel: Path) -> None:
    expected = {
        f"{package}/{path.relative_to(ROOT / folder).as_posix()}"
        for folder, package in PACKAGES.items()
        for path in (ROOT / folder).rglob("*")
        if path.suffix in SHIPPED or path.name == "LICENSE"
    }
    missing = sorted(expected - set(zipfile.ZipFile(wheel).namelist()))
    assert not missing, f"a folder without __init__.py, or a suffix of no package-data: {missing}"


def test_the_checkout_is_the_package() -> None:
    rooms = [*(ROOT / "compiler").iterdir(), *(ROOT / f for f in ("passes", "patterns", "tools"))]
    expected = {room.name: room for room in rooms if room.name != "__pycache__"}
    links = {link.name: link.resolve() for link in (ROOT / "sparqc").iterdir() if link.is_symlink()}
    assert links == expected, "sparqc/ has a link to each room: ln -s ../compiler/ROOM sparqc/ROOM"


def test_the_wheel_names_every_licence_and_holds_its_text(wheel: Path) -> None:
    kept = [library.folder.relative_to(VENDOR.parents[2]) / "LICENSE" for library in libraries()]
    texts = ["LICENSE", *(path.as_posix() for path in kept)]
    with zipfile.ZipFile(wheel) as archive:
        (info,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = email.message_from_bytes(archive.read(info))
        for text in texts:
            held = archive.read(info.replace("METADATA", f"licenses/{text}"))
            assert held == (ROOT / text).read_bytes()
    named = metadata["License-Expression"].split(" AND ")
    assert named == ["Apache-2.0", *sorted({library.license for library in libraries()})]
    assert sorted(metadata.get_all("License-File")) == sorted(texts)
    assert int(metadata["Metadata-Version"].partition(".")[2]) >= 4  # PEP 639


def test_the_installed_copy_is_the_one_that_runs(installed: Path) -> None:
    file = run_installed(installed, "-c", "import sparqc; print(sparqc.__file__)")
    assert Path(file.strip()) == installed / "sparqc" / "__init__.py"


def test_the_installed_copy_finds_its_pattern_files(installed: Path) -> None:
    program = (
        "from importlib.resources import files\n"
        "from pathlib import Path\n"
        "folder = Path(str(files('sparqc.patterns')))\n"
        "print(*sorted(str(file.relative_to(folder)) for file in folder.rglob('*.spq')))"
    )
    shipped = {str(file.relative_to(ROOT / "patterns")) for file in ROOT.glob("patterns/**/*.spq")}
    assert shipped, "patterns/ holds no pattern file"
    assert set(run_installed(installed, "-c", program).split()) == shipped


def test_the_installed_command_line_runs(installed: Path) -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert version in run_installed(installed, "-m", "sparqc.tools.cli", "--version")
