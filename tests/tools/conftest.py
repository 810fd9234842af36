"""One run directory, and copies of it that tests may spoil."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from sparqc.tools import cli
from tests import small_models

SEEDED = small_models.MODEL.replace(
    "    return Net()", "    torch.manual_seed(0)\n    return Net()"
)


@pytest.fixture(scope="session")
def dumped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of one compile in which most passes have something to do; not to be changed."""
    folder = tmp_path_factory.mktemp("runs")
    (folder / "model.py").write_text(SEEDED)
    words = ["--passes", "all-sparse", "--dump", str(folder / "run"), "--quiet"]
    assert cli.run(["compile", str(folder / "model.py"), "-o", str(folder / "o.onnx"), *words]) == 0
    return folder / "run"


@pytest.fixture
def run(dumped: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(dumped, tmp_path / "run"))
