"""What is imported to know the passes and natives, and what is left for their work."""

import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import sparqc.passes
from sparqc.base.plugins import Plugin
from sparqc.declared.natives import natives
from sparqc.pipeline.catalogue import passes


def silent_packages() -> list[str]:
    """sparqc's own packages of passes that say that they register nothing."""
    names = [m.name for m in pkgutil.iter_modules(sparqc.passes.__path__, "sparqc.passes.")]
    return [n for n in names if not getattr(importlib.import_module(n), "__registers__", True)]


def test_a_package_that_says_it_registers_nothing_does_not() -> None:
    packages = silent_packages()
    assert "sparqc.passes.layerwise" in packages
    for package in packages:
        path = importlib.import_module(package).__path__
        for module in pkgutil.walk_packages(path, f"{package}."):
            importlib.import_module(module.name)
    homes: set[str | None] = {kind.__module__ for kind in passes().values()}
    homes |= {native.function.__module__ for native in natives().values()}
    inside = tuple(f"{package}." for package in packages)
    assert not [home for home in homes if home and home.startswith(inside)]


def test_to_know_passes_and_natives_takes_no_torch() -> None:
    program = (
        "import sys; from sparqc.declared.natives import natives; natives();"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0


def test_modules_of_such_a_package_are_not_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder, text in {"loud": "", "loud/inner": "__registers__ = False\n"}.items():
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "__init__.py").write_text(text)
    (tmp_path / "loud/first.py").write_text("")
    (tmp_path / "loud/inner/heavy.py").write_text("raise ImportError('it was imported')\n")
    monkeypatch.syspath_prepend(tmp_path)
    Plugin("sparqc.passes", "loud", "loud", "loud").load_modules()
    assert "loud.first" in sys.modules and "loud.inner.heavy" not in sys.modules
