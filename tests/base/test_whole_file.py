"""Files that are written whole, under names that nobody can have prepared."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from sparqc.base.whole_file import whole_file
from sparqc.ir.onnx.load import save_onnx
from sparqc.tools.engine.plan_file import write_plan
from sparqc.tools.terminal.text_file import write_text
from sparqc.tools.tune.state.checkpoint import Checkpoint, write_checkpoint
from sparqc.training.state import save_state
from tests.engine_models import quantized_conv

WRITERS: dict[str, Callable[[Path], object]] = {
    "text": lambda path: write_text(path, "text"),
    "plan": lambda path: write_plan(path, b"plan"),
    "checkpoint": lambda path: write_checkpoint(path, Checkpoint({"w": torch.ones(2)}, {})),
    "state": lambda path: save_state(nn.Linear(2, 2), path),
    "onnx": lambda path: save_onnx(quantized_conv(), path),
}


@pytest.mark.parametrize("writer", WRITERS)
def test_links_under_the_names_of_temporary_files_are_not_followed(
    tmp_path: Path, writer: str
) -> None:
    folder, victim = tmp_path / "out", tmp_path / "victim"
    folder.mkdir()
    victim.write_bytes(b"untouched")
    for name in ("{}.partial", ".{}.{}", ".{}.{}.new", ".{}.new", ".{}.part", "{}.tmp"):
        (folder / name.format("file", os.getpid())).symlink_to(victim)
    before = set(folder.iterdir())
    WRITERS[writer](folder / "file")
    assert victim.read_bytes() == b"untouched"
    assert set(folder.iterdir()) == before | {folder / "file"}
    assert not (folder / "file").is_symlink()


@pytest.mark.parametrize("writer", WRITERS)
def test_a_link_in_the_place_of_the_file_is_replaced(tmp_path: Path, writer: str) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"untouched")
    (tmp_path / "file").symlink_to(victim)
    WRITERS[writer](tmp_path / "file")
    assert victim.read_bytes() == b"untouched"
    assert not (tmp_path / "file").is_symlink()


def test_a_failure_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"before")
    with pytest.raises(RuntimeError), whole_file(path) as file:
        file.write(b"half")
        raise RuntimeError
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


def test_permissions_stay(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"before")
    path.chmod(0o640)
    with whole_file(path, lasting=True) as file:
        file.write(b"after")
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert path.read_bytes() == b"after"
