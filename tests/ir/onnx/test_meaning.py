"""What onnx's checker passes and nothing can compute; and what is no fault."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from sparqc.errors import SparqcError
from sparqc.ir.onnx.adapter import load_onnx
from sparqc.ir.onnx.meaning.faults import faults_of
from sparqc.tools import cli
from tests.ir.onnx_models import branching, model

IMAGE = {"x": [1, 3, 8, 8]}
WEIGHT = np.ones((4, 3, 3, 3), np.float32)


def conv(
    weight: np.ndarray = WEIGHT,
    x: Sequence[Any] = (1, 3, 8, 8),
    y: Sequence[Any] = ("a", "b", "c", "d"),
    **attributes: Any,
) -> onnx.ModelProto:
    """One Conv."""
    node = helper.make_node("Conv", ["x", "w"], ["y"], "layer", **attributes)
    return model([node], {"w": weight}, inputs={"x": x}, outputs={"y": y})


def one(
    op: str, inputs: Mapping[str, Sequence[Any]], rank: int, *constants: Any, **attributes: Any
) -> onnx.ModelProto:
    """One node, with constants as its last operands."""
    named = {f"k{i}": constant for i, constant in enumerate(constants)}
    node = helper.make_node(op, [*inputs, *named], ["y"], "layer", **attributes)
    return model([node], named, inputs=inputs, outputs={"y": [f"d{i}" for i in range(rank)]})


def resize(scales: np.ndarray) -> onnx.ModelProto:
    node = helper.make_node("Resize", ["x", "", "k"], ["y"], "layer")
    return model([node], {"k": scales}, inputs=IMAGE, outputs={"y": list("abcd")})


def test_a_sound_model_has_no_fault() -> None:
    assert faults_of(conv()) == ()
    assert faults_of(branching()) == ()


FAULTY = {
    "stride 0": (conv(strides=[0, 0]), "strides"),
    "dilation 0": (conv(dilations=[1, 0]), "dilations"),
    "pads of a wrong length": (conv(pads=[1, 1]), "pads"),
    "a kernel that is not the weight's": (conv(kernel_shape=[5, 5]), "kernel_shape is [5, 5]"),
    "INT64 weights": (conv(WEIGHT.astype(np.int64)), "'w', is i64"),
    "a matrix into a Conv": (conv(x=(1, 3)), "at least 3 dimensions"),
    "channels": (conv(x=(1, 5, 8, 8)), "x has 5 channels, the weight takes 3"),
    "groups": (conv(group=2), "the weight takes 6"),
    "group 0": (conv(group=0), "group is 0"),
    "a window above its input": (conv(x=(1, 3, 2, 2)), "larger than its input"),
    "stride 0 of a pool": (
        one("MaxPool", IMAGE, 4, kernel_shape=[2, 2], strides=[0, 1]),
        "strides",
    ),
    "a pool above its input": (one("AveragePool", IMAGE, 4, kernel_shape=[9, 9]), "window"),
    "channels of a transposed Conv": (one("ConvTranspose", IMAGE, 4, WEIGHT), "takes 4"),
    "a bias": (
        one("Conv", IMAGE, 4, WEIGHT, np.ones(3, np.float32)),
        "bias has the shape [3] for 4",
    ),
    "Concat axis 9": (one("Concat", {"a": [1, 3], "b": [1, 3]}, 2, axis=9), "axis"),
    "Concat of other sizes": (one("Concat", {"a": [2, 3], "b": [1, 3]}, 2, axis=1), "differ"),
    "MatMul": (one("MatMul", {"a": [1, 3], "b": [4, 3]}, 2), "matrix multiplication"),
    "Add": (one("Add", {"a": [1, 3], "b": [4, 5]}, 2), "Incompatible"),
    "perm": (one("Transpose", IMAGE, 3, perm=[0, 1, 2]), "perm [0, 1, 2]"),
    "Reshape": (one("Reshape", {"a": [1, 3]}, 2, np.array([4, 4])), "3 elements"),
    "BatchNormalization": (
        one("BatchNormalization", IMAGE, 4, *(np.ones(c, np.float32) for c in (3, 3, 4, 3))),
        "mismatch",
    ),
    "a flag": (one("ReduceMean", IMAGE, 2, np.array([2, 3]), keepdims=-1), "neither 0 nor 1"),
    "a word": (conv(auto_pad="WHAT"), "none of NOTSET"),
    "a mode": (one("Pad", IMAGE, 4, np.zeros(8, int), mode="shine"), "none of constant"),
    "pads that take too much": (
        one("Pad", IMAGE, 4, np.array([0, 0, -9, 0, 0, 0, 0, 0])),
        "take more than there is",
    ),
    "an axis": (one("LayerNormalization", IMAGE, 4, np.ones(8, np.float32), axis=9), "axis is 9"),
    "an entry": (one("Gather", IMAGE, 4, np.array([7]), axis=1), "the entry 7 of 3"),
    "an entry below": (one("Gather", IMAGE, 4, np.array([-4]), axis=1), "the entry -4 of 3"),
    "a scale of a Resize": (
        resize(np.array([1, 1, np.nan, 2], np.float32)),
        "its scales are",
    ),
    "blocks": (one("SpaceToDepth", IMAGE, 4, blocksize=3), "blocks of 3 do not fit"),
    "blocks of channels": (one("DepthToSpace", IMAGE, 4, blocksize=2), "blocks of 2"),
    "a slope": (one("PRelu", IMAGE, 4, np.ones((5, 1, 1), np.float32)), "its slope"),
    "a normalization": (
        one("LayerNormalization", IMAGE, 4, np.ones(9, np.float32), axis=-1),
        "scale or bias has the shape [9]",
    ),
    "two types": (one("Add", IMAGE, 4, np.ones(1)), "are f32 and f64, not of one type"),
    "a declared size": (conv(y=(1, 5, 6, 6)), "declared as f32[1, 5, 6, 6], and is f32[1, 4"),
    "a declared rank": (conv(y=(1, 4)), "declared as f32[1, 4], and is"),
}


@pytest.mark.parametrize("name", FAULTY)
def test_a_fault_is_named(name: str, tmp_path: Path) -> None:
    made, words = FAULTY[name]
    onnx.checker.check_model(made)  # which passes all of them
    (fault,) = faults_of(made)
    assert words in fault.message
    onnx.save(made, tmp_path / "m.onnx")
    with pytest.raises(SparqcError, match="the model is not valid") as caught:
        load_onnx(tmp_path / "m.onnx")
    assert words in caught.value.message


@pytest.mark.parametrize("name", ["stride 0", "INT64 weights", "a declared size", "perm"])
def test_every_command_says_so(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made, words = FAULTY[name]
    file, out = str(tmp_path / "m.onnx"), str(tmp_path / "out")
    onnx.save(made, file)
    build = ["build", file, "--target", "tensorrt-rtx", "-o", out]
    compile = ["compile", file, "--passes", "float", "-o", out]
    for command in (compile, ["explain", file], build):
        assert cli.run(command) == 3
        assert words in capsys.readouterr().err
    assert cli.run(["check", file]) == 1
    assert "error invalid-model: " in (shown := capsys.readouterr().out) and words in shown


# -- numbers -------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_weights_that_are_not_finite(
    number: float, dtype: type, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weight = WEIGHT.astype(dtype)
    weight[1, 2, 0, 1] = number
    made = conv(weight)
    for value in (made.graph.input[0], made.graph.output[0]):
        value.type.tensor_type.elem_type = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    (fault,) = faults_of(made)
    assert "Conv 'layer'" in fault.message and "'w'" in fault.message
    onnx.save(made, tmp_path / "m.onnx")
    assert cli.run(["explain", str(tmp_path / "m.onnx")]) == 3
    assert cli.run(["check", str(tmp_path / "m.onnx")]) == 1
    assert "error weight-not-finite: layer" in capsys.readouterr().out


def test_an_infinity_that_masks_or_limits_is_none() -> None:
    low = np.array(-np.inf, np.float32)
    masked = one("Add", {"x": [2, 2]}, 2, np.array([[0, -np.inf]], np.float32))
    assert faults_of(masked) == faults_of(one("Clip", {"x": [2, 2]}, 2, low)) == ()


def test_large_finite_weights_are_none() -> None:
    assert faults_of(conv(np.full_like(WEIGHT, 3e38))) == ()


@pytest.mark.parametrize("scale", [0.0, np.nan, np.inf, -0.5])
def test_scales_that_quantize_nothing(scale: float, tmp_path: Path) -> None:
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["y"], "dq"),
    ]
    made = model(nodes, {"s": np.float32(scale), "z": np.int8(0)})
    (fault,) = faults_of(made)
    assert "'s'" in fault.message and "positive finite" in fault.message
    onnx.save(made, tmp_path / "m.onnx")
    assert cli.run(["explain", str(tmp_path / "m.onnx")]) == 3


# -- what is no fault ----------------------------------------------------------------------------


def test_stale_types_of_values_are_none() -> None:
    made = model(
        [helper.make_node("Relu", ["x"], ["h"]), helper.make_node("Neg", ["h"], ["y"])],
    )
    made.graph.value_info.append(helper.make_tensor_value_info("h", 1, [8, 99]))
    assert faults_of(made) == ()


def test_operators_of_other_domains_are_none() -> None:
    nodes = [
        helper.make_node("Magic", ["x"], ["h"], domain="com.example"),
        helper.make_node("Relu", ["h"], ["y"]),
    ]
    made = model(nodes, more_opsets={"com.example": 1})
    assert faults_of(made) == ()
    made.graph.value_info.append(helper.make_tensor_value_info("h", 1, ["batch", 4]))
    assert faults_of(made) == ()


def test_nodes_in_any_order_and_without_names() -> None:
    nodes = [helper.make_node("Relu", ["h"], ["y"]), helper.make_node("Add", ["x", "k"], ["h"])]
    assert faults_of(model(nodes, {"k": np.float32(1)})) == ()
    (fault,) = faults_of(model(nodes, {"k": np.ones(3, np.float32)}))
    assert fault.value == "h" and fault.message.startswith("Add 'h': ")


def test_a_batch_of_minus_one_is_free(tmp_path: Path) -> None:
    made = conv(x=(-1, 3, 8, 8), y=(-1, 4, 6, 6))
    assert faults_of(made) == ()
    onnx.save(made, tmp_path / "m.onnx")
    for command in ("compile", "explain", "check"):
        more = ["--passes", "float", "-o", str(tmp_path / "o.onnx")] * (command == "compile")
        assert cli.run([command, str(tmp_path / "m.onnx"), *more]) == 0
    written = onnx.load(tmp_path / "o.onnx")
    for value in (written.graph.input[0], written.graph.output[0]):
        dims = value.type.tensor_type.shape.dim
        assert not dims[0].HasField("dim_value") and dims[2].dim_value > 0


def test_what_onnx_cannot_infer_of_its_own_operators_is_none() -> None:
    node = helper.make_node("MeanVarianceNormalization", ["x"], ["y"])
    assert faults_of(model([node], inputs=IMAGE, outputs={"y": [1, 3, 8, 8]})) == ()


def test_a_fault_inside_of_a_branch_names_the_node_around() -> None:
    made = branching()
    for tensor in made.graph.initializer:
        if tensor.name == "k":
            tensor.CopyFrom(onnx.numpy_helper.from_array(np.ones((3, 3), np.float32), "k"))
    (fault,) = faults_of(made)[:1]
    assert fault.message.startswith("If 'y': ") and "Add" in fault.message
