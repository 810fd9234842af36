"""Scales that a file computes from constants, or writes as vectors of one entry."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from sparqc.tools import cli
from sparqc.tools.engine.rtx import compile_rtx
from tests.ir.onnx_models import model
from tests.tools.test_legal_files import IMAGE, node

Capture = pytest.CaptureFixture[str]
CONSTANTS: dict[str, Any] = {
    "w": np.random.default_rng(0).integers(-127, 128, (16, 16, 3, 3)).astype(np.int8),
    "ws": np.full(16, 0.01, np.float32), "wz": np.zeros(16, np.int8),
}  # fmt: skip


def quantized(path: Path, scale: list[onnx.NodeProto], constants: dict[str, Any]) -> str:
    """A Conv of INT8 data, with the scale s and the zero point z."""
    nodes = [
        *scale,
        node("QuantizeLinear", "x s z", "q"),
        node("DequantizeLinear", "q s z", "d"),
        node("DequantizeLinear", "w ws wz", "v", axis=0),
        node("Conv", "d v", "y", pads=[1] * 4),
    ]
    ends = {"inputs": {"x": IMAGE}, "outputs": {"y": IMAGE}}
    onnx.save(model(nodes, CONSTANTS | constants, **ends), path)
    return str(path)


def ids(file: str, capsys: Capture, *words: str) -> set[str]:
    capsys.readouterr()
    cli.run(["check", file, "--json", "--target", "tensorrt-rtx", *words])
    return {f["id"] for f in json.loads(capsys.readouterr().out)["findings"]}


@pytest.mark.parametrize("swapped", [False, True])
def test_an_expression_of_constants_is_a_constant(
    swapped: bool, tmp_path: Path, capsys: Capture
) -> None:
    first = node("Reciprocal", "b", "c") if swapped else node("Div", "a b", "c")
    expression = [first, node("Mul", "c a", "e"), node("Squeeze", "e", "s")]
    if not swapped:
        expression = [first, node("Squeeze", "c", "s")]
    numbers = {"a": np.array([12.7], np.float32), "b": np.array([127], np.float32)}
    file = quantized(tmp_path / "m.onnx", expression, {**numbers, "z": np.int8(0)})
    assert "scale-not-constant" not in ids(file, capsys)
    assert cli.run(["explain", file, "--json"]) == 0
    assert "y" in json.loads(capsys.readouterr().out)["int8_nodes"]
    out = str(tmp_path / "out.onnx")
    assert cli.run(["compile", file, "--random-calibration", "-o", out]) == 0
    assert {n.op_type for n in onnx.load(out).graph.node}.isdisjoint({"Div", "Mul", "Squeeze"})


def test_a_scale_of_the_data_is_still_found(tmp_path: Path, capsys: Capture) -> None:
    file = quantized(
        tmp_path / "m.onnx", [node("ReduceMax", "x", "s", keepdims=0)], {"z": np.int8(0)}
    )
    assert "scale-not-constant" in ids(file, capsys)


@pytest.mark.parametrize("as_nodes", [False, True])
def test_a_vector_of_one_entry_is_a_scalar(as_nodes: bool, tmp_path: Path, capsys: Capture) -> None:
    """TensorRT-RTX runs it in float, and the scalar that the fix writes in INT8."""
    numbers = {"s": np.array([0.1], np.float32), "z": np.array([0], np.int8)}
    stored = [
        helper.make_node("Constant", [], [k], value=numpy_helper.from_array(v))
        for k, v in numbers.items()
    ]
    given = (stored, {}) if as_nodes else ([], numbers)
    file, out = quantized(tmp_path / "m.onnx", *given), str(tmp_path / "out.onnx")
    assert as_nodes or "scale-of-one-entry" in ids(file, capsys)
    assert as_nodes or compile_rtx(file).operators[0].precision == "float"
    assert as_nodes or "y" not in _int8(file, capsys)
    words = [] if as_nodes else ["--fix", "-o", out]
    assert "scale-of-one-entry" not in ids(file, capsys, *words)
    if not as_nodes:
        assert compile_rtx(out).operators[0].precision == "int8"
        assert "y" in _int8(out, capsys)
        assert "y" in _int8(file, capsys, "tensorrt-11")
    assert cli.run(["compile", file, "--passes", "float", "-o", out]) == 0


def _int8(file: str, capsys: Capture, target: str = "tensorrt-rtx") -> list[str]:
    assert cli.run(["explain", file, "--json", "--target", target]) == 0
    nodes: list[str] = json.loads(capsys.readouterr().out)["int8_nodes"]
    return nodes


def test_the_scale_of_one_channel_stays_a_vector(tmp_path: Path) -> None:
    nodes = [
        node("DequantizeLinear", "w s z", "d", axis=0),
        node("Conv", "x d", "y", pads=[1] * 4),
    ]
    constants = {
        "w": np.ones((1, 16, 3, 3), np.int8), "s": np.array([0.1], np.float32),
        "z": np.array([0], np.int8),
    }  # fmt: skip
    ends = {"inputs": {"x": IMAGE}, "outputs": {"y": ["batch", 1, 8, 8]}}
    onnx.save(model(nodes, constants, **ends), tmp_path / "m.onnx")
    out = str(tmp_path / "out.onnx")
    passes = ["--passes", "cleanup, export"]
    assert cli.run(["compile", str(tmp_path / "m.onnx"), *passes, "-o", out]) == 0
    (scale,) = [t for t in onnx.load(out).graph.initializer if t.name == "s"]
    assert list(scale.dims) == [1]
