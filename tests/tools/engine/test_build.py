"""`sparqc build` as a person types it."""

import json

import onnx
import pytest
from click.testing import CliRunner

from sparqc.errors import SparqcError, UsageError
from sparqc.tools.engine.build_engine import build_engine
from sparqc.tools.engine.command import build
from sparqc.tools.engine.rtx import compile_rtx
from tests.engine_models import Net, float_conv, quantized_conv


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "model.onnx"
    onnx.save(quantized_conv(), path)
    return path


def run(*arguments):
    return CliRunner().invoke(build, [str(a) for a in arguments])


def test_the_summary(model):
    result = run(model, "--sm", 89, "--batch", 2)
    assert result.exit_code == 0, result.output
    assert "accepted by TensorRT-RTX" in result.output
    assert "for SM89" in result.output
    assert "1 of 1 weighted operators run in INT8" in result.output
    assert "at batch 2" in result.output


def test_the_json_is_all_of_the_output(model):
    data = json.loads(run(model, "--json").output)
    assert (data["accepted"], data["int8_nodes"], data["batch"]) == (True, ["conv"], 8)


def test_a_refused_model_ends_with_one(tmp_path):
    net = Net()
    onnx.save(net.model(net.op("Frobnicate", "x")), tmp_path / "model.onnx")
    result = run(tmp_path / "model.onnx")
    assert result.exit_code == 1
    assert "Frobnicate node 'frobnicate_0'" in result.output
    assert run(tmp_path / "model.onnx", "--json").exit_code == 1


def test_a_shape_and_no_sparsity(model):
    shape = "x:1x16x8x8,2x16x8x8,4x16x8x8"
    data = json.loads(run(model, "--shape", shape, "--no-sparsity", "--json").output)
    assert data["shapes"] == {"x": [2, 16, 8, 8]}
    assert data["sparsity"]["enabled"] is False


def test_the_engine_file(model, tmp_path):
    result = run(model, "-o", tmp_path / "engine.plan")
    assert result.exit_code == 0
    assert (tmp_path / "engine.plan").stat().st_size > 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--sm", "90"], "does not compile for SM90"),
        (["--target", "tensorrt-rtxx"], "did you mean 'tensorrt-rtx'"),
        (["--target", "tensorrt-11", "--sm", "86"], "--sm is for tensorrt-rtx"),
        (["--shape", "x=1x2"], "is not a shape"),
        (["--shape", "y:1x16x8x8"], "no input 'y'"),
        (["--batch", "0"], "at least 1"),
        (["-o", "missing/engine.plan"], "there is no folder"),
        (["-o", "."], "is a folder"),
    ],
)
def test_wrong_use_is_told_before_anything_is_built(model, arguments, message):
    result = run(model, *arguments)
    assert isinstance(result.exception, UsageError), result.output
    assert result.exception.exit_code == 2
    assert message in str(result.exception)


def test_the_model_is_never_overwritten(model):
    with pytest.raises(UsageError, match="overwrite"):
        build_engine(model, output=model)
    assert onnx.load(model) == quantized_conv()


def test_a_missing_model_is_wrong_use(tmp_path):
    with pytest.raises(UsageError, match="there is no ONNX file"):
        build_engine(tmp_path / "model.onnx")


def test_a_disk_that_refuses_leaves_nothing(model, tmp_path, monkeypatch):
    def full(source, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(SparqcError, match="No space left on device"):
        compile_rtx(model, output=tmp_path / "engine.plan")
    assert [f.name for f in tmp_path.iterdir()] == ["model.onnx"]


def test_a_float_model_is_named_node_by_node(tmp_path):
    onnx.save(float_conv(), tmp_path / "model.onnx")
    assert "conv: Conv with w: its data arrive as float32" in run(tmp_path / "model.onnx").output
