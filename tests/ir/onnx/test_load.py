"""Files: what is refused, with which words, and that writing is all or nothing."""

import os

import numpy as np
import onnx
import pytest
from onnx import helper

from sparqc.errors import SparqcError, UsageError
from sparqc.ir.onnx import load as onnx_load
from sparqc.ir.onnx.adapter import load_onnx, save_onnx
from tests.ir.onnx_models import model

WEIGHT = np.arange(1024, dtype=np.float32).reshape(32, 32)


def linear(**changes):
    """y = relu(x @ w), with w of 4 KiB."""
    made = model(
        [
            helper.make_node("MatMul", ["x", "w"], ["h"], "product"),
            helper.make_node("Relu", ["h"], ["y"], "relu"),
        ],
        {"w": WEIGHT},
        inputs={"x": ["batch", 32]},
        outputs={"y": ["batch", 32]},
    )
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def refusal(path):
    with pytest.raises(SparqcError) as caught:
        load_onnx(path)
    assert str(path) in caught.value.message
    return caught.value


def test_what_was_saved_is_loaded(tmp_path):
    path = tmp_path / "model.onnx"
    assert save_onnx(linear(), path) == (path,)
    assert load_onnx(path) == linear()
    assert path.read_bytes() != b""


def test_the_same_model_gives_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        save_onnx(linear(), tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_onnx_itself_reads_the_file(tmp_path):
    save_onnx(linear(), tmp_path / "model.onnx")
    onnx.checker.check_model(str(tmp_path / "model.onnx"), full_check=True)


# -- what is refused -----------------------------------------------------------------------------


def test_a_missing_file_is_a_wrong_use(tmp_path):
    with pytest.raises(UsageError, match="does not exist"):
        load_onnx(tmp_path / "none.onnx")
    with pytest.raises(UsageError, match="is a folder"):
        load_onnx(tmp_path)


@pytest.mark.parametrize("content", [b"", b"import torch\n", b"\x00" * 100, b"PK\x03\x04zip"])
def test_a_file_of_another_kind(tmp_path, content):
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    assert "no ONNX model" in refusal(path).message


def test_a_truncated_file_at_any_length(tmp_path):
    whole = linear().SerializeToString()
    path = tmp_path / "model.onnx"
    for length in [10, 100, len(whole) // 2, len(whole) - 1]:
        path.write_bytes(whole[:length])
        refusal(path)


def test_a_model_without_a_graph(tmp_path):
    empty = onnx.ModelProto(ir_version=8, opset_import=[helper.make_opsetid("", 17)])
    path = tmp_path / "model.onnx"
    path.write_bytes(empty.SerializeToString())
    assert "holds no graph" in refusal(path).message


def test_versions_that_are_too_new(tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(linear(ir_version=999).SerializeToString())
    assert "IR version 999" in refusal(path).message
    made = linear()
    made.opset_import[0].version = 999
    path.write_bytes(made.SerializeToString())
    assert "opset 999" in refusal(path).message


@pytest.mark.parametrize(
    ("nodes", "words"),
    [
        (
            [
                helper.make_node("Add", ["x", "b"], ["a"], "first"),
                helper.make_node("Relu", ["a"], ["b"], "second"),
                helper.make_node("Relu", ["b"], ["y"]),
            ],
            "a cycle: Add 'first' -> Relu 'second' -> Add 'first'",
        ),
        ([helper.make_node("Relu", ["z"], ["y"], "r")], "Relu 'r' reads the tensor 'z', which is"),
        ([helper.make_node("Relu", ["x"], ["h"])], "output 'y' is defined nowhere"),
        ([helper.make_node("Relu", ["x"], ["y"])] * 2, "'y' is defined twice"),
        ([helper.make_node("Relu", ["x", "x"], ["y"])], "Relu"),
        ([helper.make_node("NoSuchOperator", ["x"], ["y"])], "NoSuchOperator"),
    ],
)
def test_a_graph_that_does_not_hold_together(tmp_path, nodes, words):
    path = tmp_path / "model.onnx"
    path.write_bytes(model(nodes).SerializeToString())
    assert words in refusal(path).message


def test_nodes_may_stand_in_any_order(tmp_path):
    nodes = [helper.make_node("Relu", ["h"], ["y"]), helper.make_node("Neg", ["x"], ["h"])]
    path = tmp_path / "model.onnx"
    path.write_bytes(model(nodes).SerializeToString())
    assert len(load_onnx(path).graph.node) == 2


# -- external data -------------------------------------------------------------------------------


def external(path, **entries):
    """The model with its weight in a file of its own, `entries` changed."""
    onnx.save(
        linear(), path, save_as_external_data=True, location="weights.bin", size_threshold=100
    )
    made = onnx.load(path, load_external_data=False)
    for entry in made.graph.initializer[0].external_data:
        entry.value = entries.get(entry.key, entry.value)
    path.write_bytes(made.SerializeToString())
    return path


def test_external_data_is_loaded(tmp_path):
    loaded = load_onnx(external(tmp_path / "model.onnx"))
    assert np.array_equal(onnx.numpy_helper.to_array(loaded.graph.initializer[0]), WEIGHT)


def test_missing_external_data(tmp_path):
    path = external(tmp_path / "model.onnx")
    (tmp_path / "weights.bin").unlink()
    assert "there is no file 'weights.bin' beside the model" in refusal(path).message


def test_external_data_that_is_cut_off(tmp_path):
    path = external(tmp_path / "model.onnx")
    os.truncate(tmp_path / "weights.bin", 100)
    assert "'weights.bin' is too short" in refusal(path).message


@pytest.mark.parametrize("location", ["../secret", "/etc/passwd", "a/../../secret", ""])
def test_external_data_outside_of_the_models_folder(tmp_path, location):
    (tmp_path / "inner").mkdir()
    (tmp_path / "secret").write_bytes(bytes(4096))
    path = external(tmp_path / "inner" / "model.onnx", location=location)
    assert "outside of the model's folder" in refusal(path).message


def test_external_data_behind_a_link(tmp_path):
    (tmp_path / "inner").mkdir()
    (tmp_path / "secret").write_bytes(bytes(4096))
    path = external(tmp_path / "inner" / "model.onnx")
    (tmp_path / "inner" / "weights.bin").unlink()
    (tmp_path / "inner" / "weights.bin").symlink_to(tmp_path / "secret")
    assert "outside of the model's folder" in refusal(path).message


@pytest.mark.parametrize("offset", ["-4", "many"])
def test_external_data_at_no_place(tmp_path, offset):
    path = external(tmp_path / "model.onnx")
    made = onnx.load(path, load_external_data=False)
    made.graph.initializer[0].external_data.add(key="offset", value=offset)
    path.write_bytes(made.SerializeToString())
    assert "the place of the data of 'w' is damaged" in refusal(path).message


# -- writing -------------------------------------------------------------------------------------


def test_a_failed_write_leaves_what_was_there(tmp_path, monkeypatch):
    path = tmp_path / "model.onnx"
    path.write_bytes(b"before")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(SparqcError, match="No space left on device"):
        save_onnx(linear(), path)
    assert path.read_bytes() == b"before"
    assert os.listdir(tmp_path) == ["model.onnx"]


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(SparqcError, match="No such file or directory"):
        save_onnx(linear(), tmp_path / "none" / "model.onnx")


def test_a_large_model_keeps_its_weights_beside(tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_load, "LARGEST", 1000)
    path = tmp_path / "model.onnx"
    assert save_onnx(linear(), path) == (path, tmp_path / "model.onnx.data")
    assert path.stat().st_size < 1000
    loaded = load_onnx(path).graph.initializer[0]
    assert np.array_equal(onnx.numpy_helper.to_array(loaded), WEIGHT)
