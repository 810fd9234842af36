"""Weights never go through protobuf as one message with their model: it ends at 2 GB."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper

import sparqc
from sparqc.tools import cli
from tests.ir.onnx_models import model

#: Far above what the model weighs without its weight.
FEW = 20_000


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """A model with a weight of 1 MB in a file beside it, which has holes instead of zeros."""
    weight = np.zeros((512, 512), np.float32)
    made = model(
        [helper.make_node("MatMul", ["x", "w"], ["y"], "layer")],
        {"w": weight},
        inputs={"x": ["b", 512]},
        outputs={"y": ["b", 512]},
    )
    tensor = made.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="w.bin")
    with (tmp_path / "w.bin").open("wb") as file:
        file.truncate(weight.nbytes)
    path = tmp_path / "large.onnx"
    path.write_bytes(made.SerializeToString())
    return path


@pytest.fixture
def sizes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The bytes of every model that is handed to C++ as one message, from now on."""
    found: list[int] = []

    def watched(owner: Any, name: str) -> None:
        real = getattr(owner, name)

        def call(given: Any, *rest: Any, **named: Any) -> Any:
            found.append(len(given if isinstance(given, bytes) else given.SerializeToString()))
            return real(given, *rest, **named)

        monkeypatch.setattr(owner, name, call)

    watched(onnx.checker, "check_model")
    watched(onnx.shape_inference, "infer_shapes")
    watched(onnxruntime, "InferenceSession")
    return found


@pytest.mark.parametrize(
    "words",
    [
        ["check", "{file}"],
        ["explain", "{file}"],
        ["compile", "{file}", "--passes", "float", "-o", "{out}"],
        ["compile", "{file}", "--passes", "int8", "--random-calibration", "-o", "{out}"],
    ],
    ids=" ".join,
)
def test_no_message_holds_the_weights(large: Path, sizes: list[int], words: list[str]) -> None:
    places = {"{file}": str(large), "{out}": str(large.with_name("out.onnx"))}
    assert cli.run([places.get(word, word) for word in words]) == 0
    assert sizes and max(sizes) < FEW


def test_nor_where_the_result_is_run(large: Path, sizes: list[int]) -> None:
    done = sparqc.compile(large, [np.ones((2, 512), np.float32)], passes="float")
    assert done.difference is not None and max(sizes) < FEW
