"""External data: read from the model's folder, and from nowhere else, by every command."""

import os
from pathlib import Path

import onnx
import pytest
from onnx.external_data_helper import convert_model_to_external_data

from sparqc.errors import SparqcError
from sparqc.ir.onnx.load import load_onnx
from sparqc.tools.engine.onnx_source import read_source
from tests.engine_models import quantized_conv

READERS = [load_onnx, read_source]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    model = quantized_conv()
    for _ in range(4):
        model.graph.output[0].type.tensor_type.shape.dim.add()
    convert_model_to_external_data(model, location="weights.bin", size_threshold=0)
    onnx.save(model, folder / "model.onnx")
    return folder / "model.onnx"


def place(path: Path, **entries: str) -> None:
    model = onnx.load(path, load_external_data=False)
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            entry.value = entries.get(entry.key, entry.value)
    path.write_bytes(model.SerializeToString())


@pytest.mark.parametrize("read", READERS)
def test_a_link_out_of_the_folder(path: Path, read) -> None:
    data = path.parent / "weights.bin"
    data.rename(path.parent.parent / "elsewhere.bin")
    data.symlink_to(path.parent.parent / "elsewhere.bin")
    with pytest.raises(SparqcError, match="outside of the model's folder"):
        read(path)


@pytest.mark.parametrize("read", READERS)
def test_a_folder_that_is_a_link_out_of_the_folder(path: Path, read) -> None:
    (path.parent / "inner").symlink_to(path.parent.parent)
    place(path, location="inner/x.bin")
    with pytest.raises(SparqcError, match="outside of the model's folder"):
        read(path)


@pytest.mark.parametrize("read", READERS)
def test_a_link_inside_the_folder_is_followed(path: Path, read) -> None:
    (path.parent / "weights.bin").rename(path.parent / "other.bin")
    (path.parent / "weights.bin").symlink_to(path.parent / "other.bin")
    assert read(path)


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize(
    ("entries", "match"),
    [
        ({"location": "/etc/passwd"}, "outside of the model's folder"),
        ({"location": "../x"}, "outside of the model's folder"),
        ({"location": ""}, "outside of the model's folder"),
        ({"location": "x" * 5000}, "names no file"),
        ({"location": "a\0b"}, "names no file"),
        ({"location": "missing"}, "there is no file 'missing'"),
        ({"location": "loop"}, "names no file|there is no file"),
        ({"location": "pipe"}, "there is no file 'pipe'"),
        ({"offset": str(10**40)}, "too short"),
        ({"length": str(10**40)}, "too short"),
        ({"offset": "9" * 5000}, "the place of the data .* is damaged"),
        ({"offset": "-1"}, "the place of the data .* is damaged"),
        ({"offset": "x"}, "the place of the data .* is damaged"),
    ],
)
def test_a_place_that_is_none(path: Path, read, entries: dict[str, str], match: str) -> None:
    (path.parent / "loop").symlink_to("loop")
    os.mkfifo(path.parent / "pipe")
    place(path, **entries)
    with pytest.raises(SparqcError, match=match):
        read(path)
