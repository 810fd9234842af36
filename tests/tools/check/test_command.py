"""`sparqc check` on files of sparqc's own and of others."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from sparqc.tools import cli
from tests import small_models

Check = Callable[..., dict[str, Any]]


@pytest.fixture
def check(capsys: pytest.CaptureFixture[str]) -> Check:
    """`check(path, "--target", "tensorrt-10", code=1)`: the JSON."""

    def check(path: Path, *words: str, code: int = 0) -> dict[str, Any]:
        assert cli.run(["check", str(path), "--json", *words]) == code
        return json.loads(capsys.readouterr().out)  # type: ignore[no-any-return]

    return check


def test_what_compile_writes_has_notes_at_most(tmp_path: Path, check: Check) -> None:
    small_models.float_onnx(tmp_path / "float.onnx")
    small_models.images(tmp_path / "x.npy")
    made = tmp_path / "made.onnx"
    words = ["--calibration", str(tmp_path / "x.npy"), "-o", str(made), "--quiet"]
    assert cli.run(["compile", str(tmp_path / "float.onnx"), *words]) == 0
    data = check(made, "--fail-on", "slow")
    assert data["findings"] == []
    assert (data["layers"], data["int8_layers"], data["sparse_layers"]) == (1, 1, 0)


def test_uint8_codes_are_an_error(tmp_path: Path, check: Check) -> None:
    path = small_models.quantized_onnx(tmp_path / "uint8.onnx", np.uint8, 128)
    data = check(path, code=1)
    assert {f["grade"] for f in data["findings"]} >= {"error"}
    assert any("uint8" in f["message"] for f in data["findings"])


def test_an_opset_that_the_target_does_not_read(tmp_path: Path, check: Check) -> None:
    path = small_models.float_onnx(tmp_path / "float.onnx")
    (found,) = check(path, "--target", "tensorrt-8.6", code=1)["findings"]
    assert found["id"] == "opset" and "7 to 17" in found["message"]
    assert check(path, "--target", "tensorrt-11")["findings"] == []


@pytest.mark.parametrize(
    ("target", "opset", "read"),
    [("tensorrt-11", 10, True), ("tensorrt-11", 12, True), ("tensorrt-11", 25, True),
     ("tensorrt-11", 26, False), ("tensorrt-10", 24, True), ("tensorrt-10", 25, False),
     ("tensorrt-rtx", 26, True), ("tensorrt-8.6", 10, True)],
)  # fmt: skip
def test_opsets_from_the_first_quantizers_on(
    target: str, opset: int, read: bool, tmp_path: Path, check: Check
) -> None:
    path = small_models.quantized_onnx(tmp_path / "m.onnx", np.int8, 0)
    model = onnx.load(path)
    model.opset_import[0].version = opset
    onnx.save(model, path)
    data = check(path, "--target", target, code=0 if read else 1)
    assert ("opset" in ids(data)) != read
    assert data["layers"] == 1 and "bare-weight" in ids(data)


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
    assert (found["id"], found["message"]) == ("no-relu", "y (relu) is a ReLU")


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
    assert cli.run(["check", str(path)]) == 3
    assert capsys.readouterr().err.startswith("error: ")


# -- what a finding says -------------------------------------------------------------------------


def many_faults(path: Path, count: int, names: bool = True) -> Path:
    """`count` convolutions in a row, each with INT8 data and a float weight."""
    constants: dict[str, np.ndarray] = {"s": np.array(0.1, np.float32), "z": np.array(0, np.int8)}
    nodes, value = [], "x"
    for i in range(count):
        constants[f"w{i}"] = np.ones((16, 16, 1, 1), np.float32)
        out = "y" if i == count - 1 else f"c{i}"
        parts = [("QuantizeLinear", [value, "s", "z"], f"q{i}")]
        parts += [
            ("DequantizeLinear", [f"q{i}", "s", "z"], f"d{i}"),
            ("Conv", [f"d{i}", f"w{i}"], out),
        ]
        for op, inputs, output in parts:
            name = f"{op.lower()}/{i}" if names else ""
            nodes.append(helper.make_node(op, inputs, [output], name))
        value = out
    return small_models.save(path, nodes, constants)


def test_nodes_are_named_as_in_the_file(tmp_path: Path, check: Check) -> None:
    (found,) = check(many_faults(tmp_path / "m.onnx", 1))["findings"]
    assert found["id"] == "bare-weight" and found["grade"] == "slow"
    assert found["nodes"] == ["conv/0", "w0"]
    assert "'" not in found["message"] and "w0" in found["message"] and found["cure"]
    (nameless,) = check(many_faults(tmp_path / "m.onnx", 1, names=False))["findings"]
    assert nameless["nodes"] == ["y", "w0"]


def test_two_hundred_findings_stay_readable(
    tmp_path: Path, check: Check, capsys: pytest.CaptureFixture[str]
) -> None:
    path = many_faults(tmp_path / "many.onnx", 200)
    assert len(check(path)["findings"]) == 200
    assert cli.run(["check", str(path)]) == 0
    shown = capsys.readouterr().out
    assert len(shown.splitlines()) < 10
    assert "slow bare-weight (200): " in shown and "200 slow" in shown
    assert " and 197 more" in shown and "; all of them " in shown


@pytest.mark.parametrize(
    ("fail_on", "code"), [("error", 0), ("slow", 1), ("note", 1), ("never", 0)]
)
def test_the_grade_that_fails(tmp_path: Path, fail_on: str, code: int) -> None:
    path = many_faults(tmp_path / "m.onnx", 1)
    assert cli.run(["check", str(path), "--fail-on", fail_on]) == code


def test_an_error_never_fails_where_nothing_may(tmp_path: Path) -> None:
    path = small_models.quantized_onnx(tmp_path / "uint8.onnx", np.uint8, 128)
    assert cli.run(["check", str(path), "--fail-on", "never"]) == 0


def test_the_target_is_the_one_that_the_file_was_compiled_for(tmp_path: Path, check: Check) -> None:
    small_models.float_onnx(tmp_path / "float.onnx")
    made = tmp_path / "made.onnx"
    words = ["--random-calibration", "--target", "tensorrt-8.6", "-o", str(made), "--quiet"]
    assert cli.run(["compile", str(tmp_path / "float.onnx"), *words]) == 0
    data = check(made)
    assert data["target"] == "tensorrt-8.6"
    assert all(f["grade"] == "note" for f in data["findings"])
    assert check(made, "--target", "tensorrt-11")["target"] == "tensorrt-11"


# -- what only the file shows --------------------------------------------------------------------


def per_channel(path: Path, axis: int | None, channels: int = 16) -> Path:
    """An INT8 Conv whose weight scales have that axis, or none."""
    given = {} if axis is None else {"axis": axis}
    constants = {
        "w": np.ones((channels, 16, 1, 1), np.int8), "t": np.full(channels, 0.5, np.float32),
        "zt": np.zeros(channels, np.int8),
        "s": np.array(0.1, np.float32), "z": np.array(0, np.int8),
    }  # fmt: skip
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["d"]),
        helper.make_node("DequantizeLinear", ["w", "t", "zt"], ["v"], **given),
        helper.make_node("Conv", ["d", "v"], ["c"]),
        helper.make_node("ReduceMean", ["c"], ["y"], keepdims=1),
    ]
    return small_models.save(path, nodes, constants)


def test_a_missing_axis(tmp_path: Path, check: Check) -> None:
    assert "missing-axis" not in ids(check(per_channel(tmp_path / "m.onnx", 0)))
    (found,) = check(per_channel(tmp_path / "m.onnx", None), code=1)["findings"][:1]
    assert found["id"] == "missing-axis" and found["nodes"] == ["v"]
    assert "16 scales" in found["message"]


def test_a_zero_point_that_tensorrt_8_wants_written(tmp_path: Path, check: Check) -> None:
    constants = {"s": np.array(0.1, np.float32), "w": np.ones((16, 16, 1, 1), np.float32)}
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s"], ["q"], output_dtype=TensorProto.INT8),
        helper.make_node("DequantizeLinear", ["q", "s"], ["d"]),
        helper.make_node("Conv", ["d", "w"], ["y"]),
    ]
    path = small_models.save(tmp_path / "m.onnx", nodes, constants)
    model = onnx.load(path)
    model.opset_import[0].version = 21
    onnx.save(model, path)
    assert "missing-zero-point" in ids(check(path, "--target", "tensorrt-8.6", code=1))
    assert "missing-zero-point" not in ids(check(path, "--target", "tensorrt-11"))


def test_half_precision_scales_below_opset_19(tmp_path: Path, check: Check) -> None:
    constants = {"s": np.array(0.1, np.float16), "z": np.array(0, np.int8)}
    nodes = [
        helper.make_node("Cast", ["x"], ["h"], to=TensorProto.FLOAT16),
        helper.make_node("QuantizeLinear", ["h", "s", "z"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["d"]),
        helper.make_node("Cast", ["d"], ["y"], to=TensorProto.FLOAT),
    ]
    path = small_models.save(tmp_path / "m.onnx", nodes, constants)
    assert "half-scale-opset" not in ids(check(path))
    model = onnx.load(path)
    model.opset_import[0].version = 17
    onnx.save(model, path)
    found = check(path, code=1)["findings"]
    assert [f["nodes"] for f in found if f["id"] == "half-scale-opset"] == [["q"], ["d"]]


def test_float_layers_beside_int8_ones_are_a_note(tmp_path: Path, check: Check) -> None:
    path = per_channel(tmp_path / "m.onnx", 0)
    model = onnx.load(path)
    model.graph.initializer.append(
        numpy_helper.from_array(np.ones((16, 16, 1, 1), np.float32), "u")
    )
    model.graph.node.append(helper.make_node("Conv", ["x", "u"], ["extra"], "float_conv"))
    model.graph.output.append(
        helper.make_tensor_value_info("extra", TensorProto.FLOAT, ["batch", 16, 8, 8])
    )
    onnx.save(model, path)
    (found,) = [f for f in check(path)["findings"] if f["id"] == "float-remainder"]
    assert found["nodes"] == ["float_conv"] and "1 of 2 layers" in found["message"]


def ids(data: dict[str, Any]) -> set[str]:
    """The ids of the findings."""
    return {f["id"] for f in data["findings"]}


def test_what_is_to_be_said_of_a_gpu_is_said(tmp_path: Path, check: Check) -> None:
    path = small_models.float_onnx(tmp_path / "float.onnx")
    words = ["--gpu", "orin-nx-16gb", "--target"]
    said = "it runs JetPack, which TensorRT 11 does not support: take tensorrt-10 or tensorrt-8.6"
    assert said in check(path, *words, "tensorrt-11")["gpu_notes"]
    assert said not in check(path, *words, "tensorrt-10")["gpu_notes"]
    assert check(path)["gpu_notes"] == []


def test_a_note_on_the_gpu_stands_above_the_findings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = small_models.float_onnx(tmp_path / "float.onnx")
    assert cli.run(["check", str(path), "--gpu", "orin-nx-16gb"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "note on the GPU: it runs JetPack" in said
