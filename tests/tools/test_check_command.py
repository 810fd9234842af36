"""`sparqc check` on files of sparqc's own and of others."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import small_models
from onnx import helper

from sparqc.tools import cli

Check = Callable[..., dict[str, Any]]


@pytest.fixture
def check(capsys: pytest.CaptureFixture[str]) -> Check:
    """`check(path, "--target", "tensorrt-10", code=1)`: the JSON."""

    def check(path: Path, *words: str, code: int = 0) -> dict[str, Any]:
        assert cli.run(["check", str(path), "--json", *words]) == code
        return json.loads(capsys.readouterr().out)  # type: ignore[no-any-return]

    return check


def test_what_compile_writes_has_no_finding(tmp_path: Path, check: Check) -> None:
    small_models.float_onnx(tmp_path / "float.onnx")
    small_models.images(tmp_path / "x.npy")
    made = tmp_path / "made.onnx"
    words = ["--calibration", str(tmp_path / "x.npy"), "-o", str(made), "--quiet"]
    assert cli.run(["compile", str(tmp_path / "float.onnx"), *words]) == 0
    data = check(made)
    assert data["findings"] == []
    assert (data["layers"], data["int8_layers"], data["sparse_layers"]) == (1, 1, 1)


def test_uint8_codes_are_an_error(tmp_path: Path, check: Check) -> None:
    path = small_models.quantized_onnx(tmp_path / "uint8.onnx", np.uint8, 128)
    data = check(path, code=1)
    assert {f["grade"] for f in data["findings"]} >= {"error"}
    assert any("u8" in f["message"] for f in data["findings"])


def test_an_opset_that_the_target_does_not_read(tmp_path: Path, check: Check) -> None:
    path = small_models.float_onnx(tmp_path / "float.onnx")
    (found,) = check(path, "--target", "tensorrt-8.6", code=1)["findings"]
    assert found["id"] == "opset" and "13 to 17" in found["message"]
    assert check(path, "--target", "tensorrt-11")["findings"] == []


def test_a_check_of_ones_own(tmp_path: Path, check: Check) -> None:
    path = small_models.float_onnx(tmp_path / "float.onnx")
    own = tmp_path / "mine.spq"
    own.write_text(
        "check no_relu on onnx grade slow:\n"
        '    "A ReLU is slow."\n'
        "    match:\n        y = nn.relu(x)\n"
        '    message "{y.name} is a ReLU"\n'
    )
    (found,) = check(path, "--patterns", str(own))["findings"]
    assert (found["id"], found["message"]) == ("no-relu", "y is a ReLU")


def test_a_person_reads_findings_by_grade(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = small_models.quantized_onnx(tmp_path / "uint8.onnx", np.uint8, 128)
    assert cli.run(["check", str(path)]) == 1
    shown = capsys.readouterr().out
    assert "checked for tensorrt-11\nlayers with weights: 1, in INT8: 0, sparse 2:4: 0" in shown
    assert "\nerror " in shown


def test_an_invalid_graph_is_refused_as_a_whole(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    node = helper.make_node("Conv", ["x"], ["y"], "conv")
    path = small_models.save(tmp_path / "broken.onnx", [node], {})
    assert cli.run(["check", str(path)]) == 1
    assert capsys.readouterr().err.startswith("error: ")
