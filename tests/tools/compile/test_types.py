"""`sparqc compile --float` and `--io`: what the file holds, and what the report says of it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path

import onnx
import onnxruntime
import pytest

from sparqc.tools import cli
from tests import small_models

Compile = Callable[..., str]


@pytest.fixture
def compile_(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Compile:
    """Runs `sparqc compile model.py` with these words; returns stdout, or stderr where it fails."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.py").write_text(small_models.MODEL)
    small_models.float_onnx(tmp_path / "float.onnx")
    small_models.images(tmp_path / "images.npy")

    def run(line: str, code: int = 0, model: str = "model.py") -> str:
        assert cli.run(["compile", model, *shlex.split(line), "-o", "out.onnx"]) == code
        given = capsys.readouterr()
        return given.err if code else given.out

    return run


def ends() -> dict[str, str]:
    session = onnxruntime.InferenceSession("out.onnx")
    return {e.name: e.type for e in (*session.get_inputs(), *session.get_outputs())}


def test_the_report_says_what_runs_in_which_type(compile_: Compile) -> None:
    shown = compile_("--float fp16")
    assert "types     " in shown
    assert "are FP16" in shown
    assert "accuracy  mean:" in shown
    types = json.loads(compile_("--float fp16 --json"))["types"]
    assert types["int8"] and types["fp16"]
    assert types["casts"] == sum(n.op_type == "Cast" for n in onnx.load("out.onnx").graph.node)


def test_without_the_option_nothing_is_fp16(compile_: Compile) -> None:
    report = json.loads(compile_("--float fp32 --json"))
    assert report["types"]["fp16"] == report["types"]["casts"] == 0
    assert "types     " not in compile_("--float fp32")


def test_the_report_says_why_an_operator_is_fp32(compile_: Compile) -> None:
    line = "--float fp16 --passes 'default,+half{keep=[\"nn.add\"]}@instead=half'"
    shown = " ".join(compile_(line).split())
    assert "half{keep=nn.add} asks for it" in shown
    kept = json.loads(compile_(f"{line} --json"))["types"]["kept"]
    assert {"nn.add"} <= {k["op"] for k in kept}


def test_inputs_as_codes_come_with_their_scale(compile_: Compile) -> None:
    report = json.loads(compile_("--io int8 --float fp16 --json"))
    (given, taken) = report["types"]["ends"]
    assert (given["name"], given["kind"], given["dtype"]) == ("x", "input", "i8")
    assert 0 < given["scale"] < 1
    assert taken["kind"] == "output"
    assert ends()["x"] == "tensor(int8)"
    shown = compile_("--io int8 --float fp16")
    assert "INT8 codes, one step is" in shown
    assert "accuracy  mean:" in shown  # evaluate() gives floats; they are quantized for the file


def test_inputs_and_outputs_in_fp16(compile_: Compile) -> None:
    compile_("--io fp16")
    assert set(ends().values()) == {"tensor(float16)"}


def test_an_onnx_model(compile_: Compile) -> None:
    compile_("--float fp16 --io fp16 --calibration images.npy", model="float.onnx")
    assert set(ends().values()) == {"tensor(float16)"}


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("--float fp8", "--float fp8: there is no such type"),
        ("--float fp61", "did you mean 'fp16'"),
        ("--float fp16 --target tensorrt-8.6", "reads scales in FP32 only"),
        ("--float fp16 --passes fold,export", "no pass of the pipeline does that"),
        ("--io fp16 --passes fold,export", "add one, behind the export: boundary"),
        ("--io fp61", "did you mean 'fp16'"),
        ("--io z=int8", "no input or output has that name"),
    ],
)
def test_wishes_that_cannot_be_met(compile_: Compile, line: str, words: str) -> None:
    assert words in compile_(line, code=2)
    assert not Path("out.onnx").exists()


def test_the_opset_that_is_asked_for_may_be_too_old(compile_: Compile) -> None:
    line = "--passes 'default,+export{opset=17}@instead=export'"
    assert "FP16 scales need opset 19" in compile_(f"--float fp16 {line}", code=2)
    compile_(f"--float fp32 {line}")
