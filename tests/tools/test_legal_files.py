"""Legal ONNX files that sparqc once ended on with a traceback or a refusal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper

from sparqc.tools import cli
from tests.ir.onnx_models import model

IMAGE = ["batch", 16, 8, 8]
WEIGHT = np.random.default_rng(0).standard_normal((16, 16, 3, 3)).astype(np.float32)
Capture = pytest.CaptureFixture[str]


def node(op: str, inputs: str, output: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(op, inputs.split(), [output], output, **attributes)


def saved(path: Path, nodes: list[onnx.NodeProto], constants: dict[str, Any], **more: Any) -> str:
    """A file from x to y, both images."""
    onnx.save(model(nodes, constants, inputs={"x": IMAGE}, outputs={"y": IMAGE}, **more), path)
    return str(path)


def accepted(file: str) -> None:
    """Every command takes it, and the float compile computes what the file does."""
    out = str(Path(file).with_name("out.onnx"))
    for words in (["check", file], ["explain", file], ["check", file, "--fix", "-o", out]):
        assert cli.run(words) == 0
    assert cli.run(["compile", file, "--random-calibration", "-o", out]) == 0
    assert cli.run(["compile", file, "--passes", "float", "-o", out]) == 0


def runs_alike(file: str) -> None:
    x = np.random.default_rng(1).standard_normal((2, 16, 8, 8)).astype(np.float32)
    out = str(Path(file).with_name("out.onnx"))
    first, second = (ort.InferenceSession(f).run(None, {"x": x})[0] for f in (file, out))
    np.testing.assert_allclose(first, second, atol=1e-4)


@pytest.mark.parametrize("operands", ["x none none", "x none none none", "x none none none none"])
def test_a_slice_of_no_axis(operands: str, tmp_path: Path) -> None:
    nodes = [node("Slice", operands, "s"), node("Conv", "s w", "y", pads=[1] * 4)]
    file = saved(tmp_path / "m.onnx", nodes, {"w": WEIGHT, "none": np.zeros(0, np.int64)})
    accepted(file)
    runs_alike(file)
    assert [n.op_type for n in onnx.load(tmp_path / "out.onnx").graph.node] == ["Conv"]


@pytest.mark.parametrize("kind", [TensorProto.INT4, TensorProto.UINT4])
def test_weights_of_four_bits(kind: int, tmp_path: Path) -> None:
    nodes = [
        node("DequantizeLinear", "w scales", "d", axis=0),
        node("Conv", "x d", "y", pads=[1] * 4),
    ]
    file = saved(tmp_path / "m.onnx", nodes, {"scales": np.full(16, 0.1, np.float32)}, opset=21)
    made = onnx.load(file)
    numbers = np.random.default_rng(0).integers(0, 8, WEIGHT.size).tolist()
    made.graph.initializer.append(helper.make_tensor("w", kind, WEIGHT.shape, numbers))
    onnx.save(made, file)
    for words in (["check", file], ["explain", file]):
        assert cli.run(words) in (0, 1, 3)
    out = str(tmp_path / "out.onnx")
    assert cli.run(["compile", file, "--passes", "float", "-o", out]) == 0
    runs_alike(file)


@pytest.mark.parametrize("second", [0.2, np.full(16, 0.2, np.float32)])
def test_a_fix_in_front_of_a_pool_with_scales_by_channel(
    second: Any, tmp_path: Path, capsys: Capture
) -> None:
    """Its scales are no scale for what comes behind the pool."""
    given = {"axis": 1} if isinstance(second, np.ndarray) else {}
    nodes = [
        node("QuantizeLinear", "x s z", "a", axis=1),
        node("DequantizeLinear", "a s z", "b", axis=1),
        node("MaxPool", "b", "p", kernel_shape=[3, 3], pads=[1] * 4),
        node("QuantizeLinear", "p t u", "q", **given),
        node("DequantizeLinear", "q t u", "r", **given),
        node("DequantizeLinear", "w s z", "v", axis=0), node("Conv", "r v", "y", pads=[1] * 4),
    ]  # fmt: skip
    constants = {
        "s": np.full(16, 0.1, np.float32), "z": np.zeros(16, np.int8),
        "t": np.asarray(second, np.float32), "u": np.zeros(np.shape(second), np.int8),
        "w": np.ones(WEIGHT.shape, np.int8),
    }  # fmt: skip
    file = saved(tmp_path / "m.onnx", nodes, constants)
    out = str(tmp_path / "out.onnx")
    assert cli.run(["check", file, "--fix", "-o", out]) == (1 if given else 0)
    assert "has no axis" not in capsys.readouterr().err
    onnx.checker.check_model(out)
    assert cli.run(["compile", file, "--random-calibration", "-o", out]) == 0


def test_the_shape_of_an_output_stays_behind_an_identity(tmp_path: Path) -> None:
    """Only the output says it: onnx knows nothing of what the custom operator gives."""
    nodes = [
        helper.make_node("Magic", ["x"], ["h"], domain="com.example"),
        node("Identity", "h", "y"),
    ]
    file = saved(tmp_path / "m.onnx", nodes, {}, more_opsets={"com.example": 1})
    out = str(tmp_path / "out.onnx")
    assert cli.run(["compile", file, "--passes", "float", "-o", out]) == 0
    (output,) = onnx.load(out).graph.output
    assert [d.dim_param or d.dim_value for d in output.type.tensor_type.shape.dim] == IMAGE
    assert [n.op_type for n in onnx.load(out).graph.node] == ["Magic"]


@pytest.mark.parametrize("opset", [10, 12, 17])
@pytest.mark.parametrize("as_floats", [True, False])
def test_scales_by_channel_that_fit_no_axis(
    opset: int, as_floats: bool, tmp_path: Path, capsys: Capture
) -> None:
    """Below opset 13 quantizers have no axis; some tools write scales by channel all the same."""
    nodes = [node("DequantizeLinear", "c s z", "v"), node("Conv", "x v", "y", pads=[1] * 4)]
    constants: dict[str, Any] = {"s": np.full(32, 0.1, np.float32), "z": np.zeros(32, np.int8)}
    if as_floats:
        nodes.insert(0, node("QuantizeLinear", "w s z", "c"))
    constants["w" if as_floats else "c"] = np.ones(
        (32, 16, 3, 3), np.float32 if as_floats else np.int8
    )
    wide = {"x": IMAGE}, {"y": ["batch", 32, 8, 8]}
    made = model(nodes, constants, inputs=wide[0], outputs=wide[1], opset=opset)
    file, out = str(tmp_path / "m.onnx"), str(tmp_path / "out.onnx")
    onnx.save(made, file)
    compile = ["compile", file, "--random-calibration", "-o", out]
    for words in (compile, ["explain", file]):
        assert cli.run(words) == 3
    # Stored codes are a finding; where the codes are computed nothing can be read.
    assert cli.run(["check", file]) == (3 if as_floats else 1)
    assert "32 scales" in (shown := capsys.readouterr()).err and "axis 1" in shown.err
