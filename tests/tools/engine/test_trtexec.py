"""The command line that builds the engine elsewhere."""

import shlex

import pytest

from sparqc.errors import UsageError
from sparqc.tools.engine.shapes import ShapeRange
from sparqc.tools.engine.trtexec import trtexec_line

IMAGES = {"x": ShapeRange((1, 3, 8, 8), (8, 3, 8, 8), (16, 3, 8, 8))}


@pytest.mark.parametrize("target", ["tensorrt-8.6", "tensorrt-10", "tensorrt-11"])
def test_trtexec_builds_with_sparsity_and_lists_its_layers(target):
    words = shlex.split(trtexec_line("model.onnx", target, IMAGES))
    assert words[0] == "trtexec"
    assert {
        "--onnx=model.onnx",
        "--saveEngine=model.plan",
        "--sparsity=enable",
        "--minShapes=x:1x3x8x8",
        "--optShapes=x:8x3x8x8",
        "--maxShapes=x:16x3x8x8",
        "--profilingVerbosity=detailed",
        "--dumpLayerInfo",
        "--exportLayerInfo=model.layers.json",
    } <= set(words)


def test_precision_options_are_gone_in_11_and_needed_in_8():
    old, new = (
        shlex.split(trtexec_line("model.onnx", t, IMAGES)) for t in ("tensorrt-8.6", "tensorrt-11")
    )
    assert {"--int8", "--fp16"} <= set(old)
    assert not {"--int8", "--fp16", "--best"} & set(new)


def test_rtx_has_a_binary_of_its_own_and_needs_no_gpu():
    words = shlex.split(trtexec_line("model.onnx", "tensorrt-rtx", IMAGES, sm=86))
    assert words[0] == "tensorrt_rtx"
    assert "--computeCapabilities=86" in words


def test_a_fixed_model_takes_no_shapes():
    assert "Shapes" not in trtexec_line("model.onnx", "tensorrt-11", {})


def test_the_line_can_be_pasted_into_a_shell():
    odd = {"in:0": IMAGES["x"]}
    words = shlex.split(trtexec_line("my model.onnx", "tensorrt-11", odd, engine="a b.plan"))
    assert "--onnx=my model.onnx" in words
    assert "--saveEngine=a b.plan" in words
    assert "--optShapes='in:0':8x3x8x8" in words


def test_an_unknown_target_is_wrong_use():
    with pytest.raises(UsageError, match="tensorrt-12"):
        trtexec_line("model.onnx", "tensorrt-12", {})
