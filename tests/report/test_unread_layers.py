"""A weighted operator in a form that is not read is still a layer, with its reason."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from sparqc.tools import cli
from tests.ir.onnx_models import model


def strided(path: Path, size: int | str) -> str:
    """A Conv whose pads follow from the size of its input, as TensorFlow's exporters write it."""
    more = {"auto_pad": "SAME_UPPER", "strides": [2, 2], "kernel_shape": [3, 3]}
    made = model(
        [helper.make_node("Conv", ["x", "w"], ["y"], "layer", **more)],
        {"w": np.random.default_rng(0).standard_normal((32, 32, 3, 3)).astype(np.float32)},
        inputs={"x": ["batch", 32, size, size]},
        outputs={"y": ["batch", 32, "h", "w"]},
    )
    onnx.save(made, path)
    return str(path)


REASON = "auto_pad=SAME_UPPER with sizes that are not known"


def test_the_report_has_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "out.onnx")
    file = strided(tmp_path / "m.onnx", "side")
    command = ["compile", file, "--passes", "float", "-o", out, "--json"]
    assert cli.run(command) == 0
    (row,) = json.loads(capsys.readouterr().out)["layers"]
    assert (row["value"], row["int8"], row["sparse"]) == ("y", False, False)
    assert row["float_reason"] == row["dense_reason"] == REASON
    assert cli.run(["check", out, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["layers"] == 1


def test_explain_has_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["explain", strided(tmp_path / "m.onnx", "side"), "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["ledger"]
    assert row["node"] == "layer" and REASON in json.dumps(row)


def test_given_sizes_let_it_be_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = strided(tmp_path / "m.onnx", "side")
    assert cli.run(["explain", file, "--json", "--shape", "x:2x32x8x8"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["ledger"]
    assert REASON not in json.dumps(row) and row["macs"] == 2 * 32 * 4 * 4 * 32 * 9


def test_known_sizes_make_it_an_int8_layer(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "out.onnx")
    file = strided(tmp_path / "m.onnx", 8)
    command = ["compile", file, "--random-calibration", "-o", out, "--json"]
    assert cli.run([*command, "--passes", "all-sparse"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["layers"]
    assert row["int8"] and row["sparse"]
    assert {n.op_type for n in onnx.load(out).graph.node} >= {"QuantizeLinear", "Conv"}
