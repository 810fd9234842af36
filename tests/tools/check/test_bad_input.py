"""Whatever `sparqc check` is given: a finding or a sentence, no traceback and no wrong ok."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from sparqc.tools import cli
from tests import small_models

Capture = pytest.CaptureFixture[str]


def refusal(path: Path, capsys: Capture, code: int = 3, *words: str) -> str:
    """What stderr says of a file that cannot be checked; nothing is on stdout, no file comes."""
    before = sorted(path.parent.rglob("*"))
    assert cli.run(["check", str(path), "--json", *words]) == code
    shown = capsys.readouterr()
    assert shown.out == "" and shown.err.startswith("error: ")
    assert "Traceback" not in shown.err and "bug in sparqc" not in shown.err
    assert sorted(path.parent.rglob("*")) == before
    return shown.err


def checked(path: Path, capsys: Capture, code: int = 0, *words: str) -> dict[str, Any]:
    assert cli.run(["check", str(path), "--json", *words]) == code
    return json.loads(capsys.readouterr().out)  # type: ignore[no-any-return]


def ids(data: dict[str, Any]) -> set[str]:
    return {f["id"] for f in data["findings"]}


# -- files ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [b"", b"# a text file\n", b"\x00" * 64, b"\x08\x0a\x12"])
def test_a_file_that_is_no_onnx(tmp_path: Path, capsys: Capture, content: bytes) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(content)
    assert "m.onnx" in refusal(path, capsys)


def test_a_folder_and_a_file_that_is_not_there(tmp_path: Path, capsys: Capture) -> None:
    assert "is a folder" in refusal(tmp_path, capsys, 2)
    assert "does not exist" in refusal(tmp_path / "none.onnx", capsys, 2)


@settings(
    max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(share=st.floats(0, 0.999))
def test_a_truncated_file(tmp_path: Path, capsys: Capture, share: float) -> None:
    whole = small_models.float_onnx(tmp_path / "whole.onnx").read_bytes()
    path = tmp_path / "cut.onnx"
    path.write_bytes(whole[: int(share * len(whole))])
    refusal(path, capsys)


@settings(
    max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(place=st.integers(0, 1 << 30), byte=st.integers(0, 255))
def test_a_damaged_byte(tmp_path: Path, capsys: Capture, place: int, byte: int) -> None:
    """It may hit a name or a weight, where nothing is wrong; it never makes a traceback."""
    path = small_models.quantized_onnx(tmp_path / "m.onnx", np.int8)
    data = bytearray(path.read_bytes())
    structure = len(data) - 16 * 16 * 9 * 4  # most of the file is the weight
    at = place % structure
    data[at if at < 200 else at - structure] = byte
    path.write_bytes(bytes(data))
    code = cli.run(["check", str(path), "--json"])
    shown = capsys.readouterr()
    assert code in (0, 1, 3), shown.err
    assert shown.err.startswith("error: ") if not shown.out else json.loads(shown.out)


def test_a_cycle(tmp_path: Path, capsys: Capture) -> None:
    nodes = [helper.make_node("Add", ["x", "b"], ["a"]), helper.make_node("Relu", ["a"], ["b"])]
    nodes.append(helper.make_node("Relu", ["a"], ["y"]))
    said = refusal(small_models.save(tmp_path / "m.onnx", nodes, {}), capsys)
    assert "cycle" in said


def test_what_is_defined_twice_or_nowhere(tmp_path: Path, capsys: Capture) -> None:
    twice = [helper.make_node("Relu", ["x"], ["y"]), helper.make_node("Neg", ["x"], ["y"])]
    assert "twice" in refusal(small_models.save(tmp_path / "m.onnx", twice, {}), capsys)
    nowhere = [helper.make_node("Conv", ["x", "w"], ["y"])]
    assert "'w'" in refusal(small_models.save(tmp_path / "m.onnx", nowhere, {}), capsys)


def test_initializers_of_one_name(tmp_path: Path, capsys: Capture) -> None:
    path = small_models.float_onnx(tmp_path / "m.onnx")
    model = onnx.load(path)
    model.graph.initializer.append(numpy_helper.from_array(np.ones(3, np.float32), "w"))
    onnx.save(model, path)
    assert "'w'" in refusal(path, capsys)


@pytest.mark.parametrize("dims", [[1 << 40, 1 << 40], [-4], [1 << 62, 4]])
def test_a_constant_of_impossible_size(tmp_path: Path, capsys: Capture, dims: list[int]) -> None:
    path = small_models.float_onnx(tmp_path / "m.onnx")
    model = onnx.load(path)
    del model.graph.initializer[0].dims[:]
    model.graph.initializer[0].dims.extend(dims)
    onnx.save(model, path)
    assert "'w'" in refusal(path, capsys)


def test_huge_inputs_are_found(tmp_path: Path, capsys: Capture) -> None:
    path = small_models.float_onnx(tmp_path / "m.onnx")
    model = onnx.load(path)
    for value in (*model.graph.input, *model.graph.output):
        for dim in value.type.tensor_type.shape.dim[2:]:
            dim.dim_value = (1 << 31) - 1
    onnx.save(model, path)
    (finding,) = checked(path, capsys, 1)["findings"]
    assert finding["id"] == "invalid-model" and "more than 2^31" in finding["message"]


# -- external data -------------------------------------------------------------------------------


@pytest.mark.parametrize("location", ["../secret.bin", "{absolute}", "link.bin", "none.bin"])
def test_external_data_outside_or_missing(tmp_path: Path, capsys: Capture, location: str) -> None:
    secret = tmp_path / "secret.bin"
    secret.write_bytes(b"\1" * 16 * 16 * 9 * 4)
    folder = tmp_path / "model"
    folder.mkdir()
    os.symlink(secret, folder / "link.bin")
    path = small_models.float_onnx(folder / "m.onnx")
    model = onnx.load(path)
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location.format(absolute=secret))
    path.write_bytes(model.SerializeToString())
    said = refusal(path, capsys)
    assert "'w'" in said and ("outside" in said or "missing" in said)


# -- scales --------------------------------------------------------------------------------------


def with_scale(path: Path, scale: np.ndarray) -> Path:
    """A pair with that scale in front of a ReLU."""
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"], axis=1),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["d"], axis=1),
        helper.make_node("Relu", ["d"], ["y"]),
    ]
    return small_models.save(path, nodes, {"s": scale, "z": np.zeros(scale.shape, np.int8)})


@pytest.mark.parametrize("number", [0.0, -0.1, np.nan, np.inf, 1e-40])
def test_scales_that_are_no_normal_numbers(tmp_path: Path, capsys: Capture, number: float) -> None:
    path = with_scale(tmp_path / "m.onnx", np.array(number, np.float32))
    for words in ((), ("--fix",)):
        found = checked(path, capsys, 1, *words)["findings"]
        bad = [f for f in found if f["id"] == "scale-not-normal"]
        assert bad and str(np.float32(number)) in bad[0]["message"]


def test_scales_of_a_wrong_number(tmp_path: Path, capsys: Capture) -> None:
    path = with_scale(tmp_path / "m.onnx", np.full(7, 0.1, np.float32))
    found = checked(path, capsys, 1)["findings"]
    (first, *_) = [f for f in found if f["id"] == "scales-not-along-axis"]
    assert "[7] scales" in first["message"] and "axis 1" in first["message"]


def test_scales_of_rank_two_are_no_ok(tmp_path: Path, capsys: Capture) -> None:
    path = with_scale(tmp_path / "m.onnx", np.full((2, 8), 0.1, np.float32))
    assert checked(path, capsys, 1)["findings"]


def test_an_axis_that_the_tensor_does_not_have(tmp_path: Path, capsys: Capture) -> None:
    path = with_scale(tmp_path / "m.onnx", np.full(16, 0.1, np.float32))
    model = onnx.load(path)
    for node in model.graph.node[:2]:
        node.attribute[0].i = 9
    onnx.save(model, path)
    assert "scales-not-along-axis" in ids(checked(path, capsys, 1))


# -- what cannot be looked into ------------------------------------------------------------------


def test_an_operator_of_an_unknown_domain(tmp_path: Path, capsys: Capture) -> None:
    nodes = [helper.make_node("Magic", ["x"], ["y"], "wand", domain="com.example")]
    path = small_models.save(tmp_path / "m.onnx", nodes, {})
    model = onnx.load(path)
    model.opset_import.append(helper.make_opsetid("com.example", 1))
    onnx.save(model, path)
    (found,) = checked(path, capsys)["findings"]
    assert (found["id"], found["nodes"]) == ("custom-operator", ["wand"])
    assert "com.example" in found["message"]


def test_an_operator_that_onnx_does_not_have(tmp_path: Path, capsys: Capture) -> None:
    path = small_models.save(tmp_path / "m.onnx", [helper.make_node("Magic", ["x"], ["y"])], {})
    assert "Magic" in refusal(path, capsys)


def branch(name: str, op: str) -> onnx.GraphProto:
    """A graph without inputs that reads x from around it."""
    out = helper.make_tensor_value_info(f"{name}_y", TensorProto.FLOAT, ["batch", 16, 8, 8])
    return helper.make_graph([helper.make_node(op, ["x"], [f"{name}_y"])], name, [], [out])


def test_a_subgraph_is_opaque_and_said_so(tmp_path: Path, capsys: Capture) -> None:
    node = helper.make_node(
        "If", ["go"], ["y"], "choice",
        then_branch=branch("a", "Relu"), else_branch=branch("b", "Neg"),
    )  # fmt: skip
    path = small_models.save(tmp_path / "m.onnx", [node], {"go": np.array(True)})
    (found,) = checked(path, capsys)["findings"]
    assert (found["id"], found["grade"], found["nodes"]) == ("subgraph", "note", ["choice"])
    assert "was not checked" in found["message"]


def test_a_rank_that_is_not_known(tmp_path: Path, capsys: Capture) -> None:
    path = with_scale(tmp_path / "m.onnx", np.array(0.1, np.float32))
    model = onnx.load(path)
    model.graph.node[0].input[0] = "r"
    model.graph.node.insert(0, helper.make_node("Reshape", ["x", "shape"], ["r"]))
    model.graph.input.append(helper.make_tensor_value_info("shape", TensorProto.INT64, ["rank"]))
    onnx.save(model, path)
    found = {f["id"]: f for f in checked(path, capsys)["findings"]}
    assert "r" in found["unknown-rank"]["message"] and found["unknown-rank"]["grade"] == "note"


def test_an_old_opset(tmp_path: Path, capsys: Capture) -> None:
    path = small_models.float_onnx(tmp_path / "m.onnx")
    model = onnx.load(path)
    model.opset_import[0].version = 8
    onnx.save(model, path)
    assert "opset" in ids(checked(path, capsys, 1))


# -- wrong use -----------------------------------------------------------------------------------


def test_an_output_without_fix(tmp_path: Path, capsys: Capture) -> None:
    path = small_models.float_onnx(tmp_path / "m.onnx")
    assert "--fix" in refusal(path, capsys, 2, "-o", str(tmp_path / "out.onnx"))


def test_an_unknown_target(tmp_path: Path, capsys: Capture) -> None:
    path = small_models.float_onnx(tmp_path / "m.onnx")
    assert "did you mean 'tensorrt-11'" in refusal(path, capsys, 2, "--target", "tensorrt-1l")
