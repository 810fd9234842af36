"""Files of people that cannot be read: a sentence each, whatever the parser raises."""

import os
import struct
from pathlib import Path

import numpy as np
import pytest

from sparqc.base.reading import damaged, read_text
from sparqc.errors import PatternError, SparqcError, UsageError
from sparqc.job.layers import read_layers
from sparqc.lang.parse.parser import parse_file
from sparqc.tools.engine.listings.listing import read_listing
from sparqc.tools.model.calibration_file import Slot, file_batches
from sparqc.tools.tune.state.checkpoint import read_checkpoint

DEEP = "[" * 100_000


@pytest.mark.parametrize("read", [read_text, read_layers, parse_file, read_listing])
def test_a_pipe_does_not_keep_the_reader_waiting(tmp_path: Path, read) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UsageError, match=r"is a pipe or a device|there is no file"):
        read(tmp_path / "pipe")


@pytest.mark.parametrize(
    "error",
    [
        ValueError("x"),
        KeyError("x"),
        OverflowError(),
        RecursionError(),
        struct.error(),
        AssertionError(),
        UnicodeDecodeError("utf-8", b"x", 0, 1, "x"),
    ],
)
def test_what_a_parser_raises_is_a_sentence(error: Exception) -> None:
    with (
        pytest.raises(PatternError, match=r"^the file is damaged and cannot be read: \S"),
        damaged("the file", error=PatternError),
    ):
        raise error


@pytest.mark.parametrize("error", [UsageError("a sentence"), MemoryError(), StopIteration()])
def test_what_is_said_already_passes(error: Exception) -> None:
    with pytest.raises(type(error)), damaged("the file", passing=StopIteration):
        raise error


@pytest.mark.parametrize("text", [DEEP, "{" * 1000, '{"kernels": [[' + DEEP, "9" * 5000, "null"])
def test_json_that_is_hostile(tmp_path: Path, text: str) -> None:
    path = tmp_path / "engine.json"
    path.write_text(text)
    with pytest.raises(SparqcError, match=r"cannot be read|lists no kernels"):
        read_listing(path)


@pytest.mark.parametrize(
    "text", [f"x = {DEEP}", "x = " + "9" * 5000, "[layer" + ".a" * 5000 + "]", "x = 1979-99-99"]
)
def test_toml_that_is_hostile(tmp_path: Path, text: str) -> None:
    path = tmp_path / "layers.toml"
    path.write_text(text)
    with pytest.raises(UsageError):
        read_layers(path)


@pytest.mark.parametrize(
    "content", [b"", b"\xff" * 8, b"\xff" * 7 + b"\0{", b"\2" + b"\0" * 7 + b"{}"]
)
def test_a_checkpoint_that_is_none(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(content)
    with pytest.raises(SparqcError):
        read_checkpoint(path)


@pytest.mark.parametrize("dtype", [">f4", ">f8", ">f2"])
def test_numbers_in_the_other_byte_order(tmp_path: Path, dtype: str) -> None:
    data = np.arange(8).reshape(4, 2).astype(dtype)
    np.savez(tmp_path / "data.npz", x=data)
    (batch,) = file_batches(tmp_path / "data.npz", [Slot("x", "f32", (4, 2))])()
    assert batch[0].dtype == np.dtype("<f4")
    np.testing.assert_array_equal(batch[0], data)


@pytest.mark.parametrize("data", [np.array("text"), np.array(["2020-01-01"], "M8[D]")])
def test_arrays_that_are_no_tensors(tmp_path: Path, data: np.ndarray) -> None:
    np.savez(tmp_path / "data.npz", x=data)
    with pytest.raises(SparqcError):
        file_batches(tmp_path / "data.npz", [Slot("x", "f32", (4, 2))])
