"""Data that are kept between processes: a hint, which may be gone or damaged at any time."""

from __future__ import annotations

from pathlib import Path

import pytest

from sparqc.base.kept_data import keep, kept


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "sparqc"


def test_what_is_kept_is_found_under_its_key_alone() -> None:
    assert kept("rules", "a") is None
    keep("rules", "a", ["", 1, 2.5, True, None, "é"])
    assert kept("rules", "a") == ["", 1, 2.5, True, None, "é"]
    assert kept("rules", "b") is None
    assert kept("others", "a") is None
    keep("rules", "b", 3)
    assert (kept("rules", "a"), kept("rules", "b")) == (None, 3)


@pytest.mark.parametrize("place", range(0, 90, 7))
def test_a_damaged_file_is_as_good_as_none(folder: Path, place: int) -> None:
    keep("rules", "key", ["some", "data"])
    path = folder / "rules.json"
    whole = path.read_bytes()
    for damaged in (whole[:place], whole[:place] + b"?" + whole[place + 1 :], b""):
        path.write_bytes(damaged)
        assert kept("rules", "key") is None
    path.write_bytes(whole)
    assert kept("rules", "key") == ["some", "data"]


def test_where_nothing_can_be_written_nothing_is_kept(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.write_text("a file where the folder would be")
    keep("rules", "key", 1)
    assert kept("rules", "key") is None
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", _homeless)
    keep("rules", "key", 1)
    assert kept("rules", "key") is None


def test_a_relative_folder_is_not_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", "here")
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "home")
    keep("rules", "key", 1)
    assert not (tmp_path / "here").exists()
    assert kept("rules", "key") == 1


def _homeless() -> Path:
    raise RuntimeError("Could not determine home directory.")
