"""What is imported to know the passes and natives, and what is left for their work."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import sparqc.passes
from sparqc.base.plugins import Plugin
from sparqc.declared.natives import natives
from sparqc.pipeline.catalogue import passes


def test_every_module_that_registers_is_named_by_its_package() -> None:
    root = Path(sparqc.passes.__path__[0])
    registering = {
        ".".join(["sparqc.passes", *path.relative_to(root).with_suffix("").parts])
        for path in root.rglob("*.py")
        if re.search(r"^@(register$|native\()", path.read_text(), re.MULTILINE)
    }
    homes = {kind.__module__ for kind in passes().values()}
    homes |= {native.module for native in natives().values()}
    assert {home for home in homes if home.startswith("sparqc.passes.")} == registering


def test_natives_stand_where_the_package_says() -> None:
    homes = {native.module.rpartition(".")[0] for native in natives().values()}
    own = {home for home in homes if home.startswith("sparqc.passes")}
    assert own == {f"sparqc.passes.{name}" for name in sparqc.passes.__natives__}


def test_to_know_passes_and_natives_takes_no_torch() -> None:
    program = (
        "import sys; from sparqc.declared.natives import natives; natives();"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0


def test_modules_of_such_a_package_are_not_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder, text in {"loud": "", "loud/inner": "__registers__ = ()\n"}.items():
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "__init__.py").write_text(text)
    (tmp_path / "loud/first.py").write_text("")
    (tmp_path / "loud/inner/heavy.py").write_text("raise ImportError('it was imported')\n")
    monkeypatch.syspath_prepend(tmp_path)
    Plugin("sparqc.passes", "loud", "loud", "loud").load_modules()
    assert "loud.first" in sys.modules and "loud.inner.heavy" not in sys.modules
