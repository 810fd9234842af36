"""What the page is given beside run and events: lines of the model, and the predicted engine."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest

from sparqc.tools.page.predicted import LARGEST, predicted_engine
from sparqc.tools.page.source_lines import source_lines
from tests import small_models


def load(monkeypatch: pytest.MonkeyPatch, name: str, file: Path) -> None:
    module = ModuleType(name)
    module.__file__ = str(file)
    monkeypatch.setitem(sys.modules, name, module)


def test_lines_of_the_model_and_of_the_modules_that_it_loads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "net.py").write_text("first\n  second\n")
    (tmp_path / "layers_of_mine.py").write_text("third\n")
    load(monkeypatch, "layers_of_mine", tmp_path / "layers_of_mine.py")
    wanted = ["net.py:2", "net.py:99", "layers_of_mine.py:1", "gone.py:1", "no place"]
    found = source_lines(wanted, f"{tmp_path / 'net.py'}:make")
    assert found == {"net.py:2": "second", "layers_of_mine.py:1": "third"}


def test_a_name_of_two_files_gives_no_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "shared_name.py").write_text(f"in {folder}\n")
        load(monkeypatch, f"{folder}.shared_name", tmp_path / folder / "shared_name.py")
    assert source_lines(["shared_name.py:1"], "model.py") == {}


def test_without_a_file_nothing_is_predicted(tmp_path: Path) -> None:
    (tmp_path / "broken.onnx").write_bytes(b"no model")
    for files in ([], [str(tmp_path / "gone.onnx")], [str(tmp_path / "broken.onnx")]):
        assert predicted_engine({"files": files}) is None
    assert predicted_engine(None) is None


def test_a_very_large_file_is_not_read_again(tmp_path: Path) -> None:
    report = {"files": [str(small_models.float_onnx(tmp_path / "m.onnx"))]}
    assert predicted_engine({**report, "sizes": {"file_bytes": 1000}}) is not None
    assert predicted_engine({**report, "sizes": {"file_bytes": LARGEST + 1}}) is None
