"""`sparqc compile`: the file it writes, what it prints where, and what it makes of the options."""

from __future__ import annotations

import json
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
import onnxruntime
import pytest

from sparqc.tools import cli
from tests import small_models


@dataclass
class Shell:
    """A working directory with a model.py, and the command line in it."""

    folder: Path
    capture: pytest.CaptureFixture[str]

    def compile(self, line: str, code: int = 0) -> str:
        """Run `sparqc compile` with these words; returns what stdout says."""
        assert cli.run(["compile", *shlex.split(line), "-o", "out.onnx"]) == code
        self.err = self.capture.readouterr()
        return self.err.out

    def json(self, line: str) -> dict[str, Any]:
        return json.loads(self.compile(f"{line} --json"))  # type: ignore[no-any-return]


@pytest.fixture
def shell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Shell:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.py").write_text(small_models.MODEL)
    small_models.float_onnx(tmp_path / "float.onnx")
    small_models.images(tmp_path / "images.npy")
    return Shell(tmp_path, capsys)


def shapes(path: str) -> list[list[int | str]]:
    return [i.shape for i in onnxruntime.InferenceSession(path).get_inputs()]


# -- the main job ------------------------------------------------------------------------------


def test_the_report_says_what_became_of_each_layer(shell: Shell) -> None:
    shown = shell.compile("model.py --passes all-sparse")
    assert "3 with weights: 3 in INT8, 3 sparse 2:4" in shown
    assert "adds      1 read one input as INT8" in shown
    assert "accuracy  mean:" in shown
    assert "checks    note padded-channels: " in shown
    assert "written   out.onnx" in shown
    assert shell.err.err == ""


def test_the_file_holds_int8_codes_and_a_dynamic_batch(shell: Shell) -> None:
    shell.compile("model.py")
    model = onnx.load("out.onnx")
    codes = [i for i in model.graph.initializer if i.data_type == onnx.TensorProto.INT8]
    assert len([c for c in codes if len(c.dims) > 1]) == 3
    assert shapes("out.onnx") == [["batch", 16, 8, 8]]


def test_the_batch_is_fixed_on_request(shell: Shell) -> None:
    shell.compile("model.py --static --passes float")
    assert shapes("out.onnx") == [[4, 16, 8, 8]]


def test_two_runs_give_the_same_bytes(shell: Shell) -> None:
    shell.compile("model.py")
    first = Path("out.onnx").read_bytes()
    shell.compile("model.py")
    assert Path("out.onnx").read_bytes() == first


def test_the_last_line_builds_the_engine(shell: Shell) -> None:
    *_, line = shell.compile("model.py --target tensorrt-10").splitlines()
    words = shlex.split(line.removeprefix("build"))
    assert words[:3] == ["trtexec", "--onnx=out.onnx", "--saveEngine=out.plan"]
    assert "--int8" in words and "--sparsity=enable" in words
    assert "--maxShapes=x:8x16x8x8" in words


def test_onnx_in_onnx_out(shell: Shell) -> None:
    report = shell.json("float.onnx --passes all-sparse --calibration images.npy")
    assert report["int8_layers"] == report["sparse_layers"] == 1
    assert report["skipped_passes"] == ["export"]
    assert report["difference"]["snr_db"] > 0


def test_calibration_data_for_a_module_comes_by_the_name_of_its_input(shell: Shell) -> None:
    Path("bare.py").write_text(small_models.MODEL.replace("def calibration", "def unused"))
    report = shell.json("bare.py --calibration images.npy")
    assert report["int8_layers"] == 3


def test_random_calibration_is_said_in_the_report(shell: Shell) -> None:
    shown = shell.compile("float.onnx --random-calibration")
    assert "calibrated on noise" in shown


def test_random_calibration_of_whole_numbers(shell: Shell) -> None:
    Path("tokens.py").write_text(
        "import torch\n"
        "def model():\n"
        "    return torch.nn.Sequential(torch.nn.Embedding(9, 32), torch.nn.Linear(32, 32))\n"
        "def example_inputs():\n"
        "    return (torch.randint(0, 9, (4, 5)),)\n"
    )
    report = shell.json("tokens.py --random-calibration")
    assert [row["int8"] for row in report["layers"]] == [True]


def test_inputs_by_keyword(shell: Shell) -> None:
    Path("named.py").write_text(
        "import torch\nfrom torch import nn\n"
        "class Net(nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.conv = nn.Conv2d(3, 16, 3)\n"
        "    def forward(self, x, *, mask):\n"
        "        return self.conv(x * mask)\n"
        "def model():\n"
        "    return Net()\n"
        "def example_inputs():\n"
        "    return {'mask': torch.ones(2, 1, 8, 8), 'x': torch.randn(2, 3, 8, 8)}\n"
        "def calibration():\n"
        "    yield example_inputs()\n"
        "def evaluate(run):\n"
        "    inputs = example_inputs()\n"
        "    named, mixed = run(**inputs), run(inputs['x'], mask=inputs['mask'])\n"
        "    assert torch.equal(named, mixed)\n"
        "    return {'mean': named.mean().item()}\n"
    )
    report = shell.json("named.py --passes int8")
    assert [metric["name"] for metric in report["metrics"]] == ["mean"]
    names = [i.name for i in onnxruntime.InferenceSession("out.onnx").get_inputs()]
    assert names == ["x", "mask"]


def test_a_submodule_alone(shell: Shell) -> None:
    report = shell.json("model.py --submodule head --passes float")
    assert [row["op"] for row in report["layers"]] == ["nn.linear"]
    assert shapes("out.onnx") == [["batch", 16]]


def test_excluded_layers_say_so(shell: Shell) -> None:
    report = shell.json("model.py --exclude head --exclude first_conv")
    reasons = {row["name"]: row["float_reason"] for row in report["layers"]}
    assert reasons["head"] == "excluded by --exclude head"
    assert reasons["conv1"] == "excluded by --exclude first_conv"
    assert reasons["conv2"] == ""


# -- what goes where ---------------------------------------------------------------------------


def test_json_is_all_that_stdout_holds(shell: Shell) -> None:
    text = small_models.MODEL.replace("def model():", "def model():\n    print('loading')")
    Path("model.py").write_text(text)
    report = shell.json("model.py")
    assert report["int8_layers"] == 3
    assert report["files"] == ["out.onnx"]
    assert report["sizes"]["file_bytes"] == Path("out.onnx").stat().st_size
    assert "loading" in shell.err.err


def test_quiet_prints_nothing(shell: Shell) -> None:
    assert shell.compile("model.py --quiet") == ""
    assert shell.err.err == ""
    assert Path("out.onnx").exists()


@pytest.mark.parametrize("options", ["", " --quiet", " --json"])
def test_an_evaluation_that_fails_says_what_became_of_the_file(shell: Shell, options: str) -> None:
    text = small_models.MODEL.replace('return {"mean"', "return int('many')\n    return {\"mean\"")
    Path("model.py").write_text(text)
    shell.compile(f"model.py{options}", code=3)
    onnx.checker.check_model(onnx.load("out.onnx"))
    assert "out.onnx is written and complete" in shell.err.err and "'many'" in shell.err.err


@pytest.mark.parametrize("option", ["--exclude", "--dense", "--skip", "--knob", "--submodule"])
def test_an_empty_selector_is_refused(shell: Shell, option: str) -> None:
    shell.compile(f'model.py {option} ""', code=2)
    assert f'{option} ""' in shell.err.err and "is empty" in shell.err.err
    assert not Path("out.onnx").exists()


def test_an_evaluation_that_fails_leaves_the_report_and_the_file(shell: Shell) -> None:
    text = small_models.MODEL.replace(
        'return {"mean"', 'raise ValueError("no labels")\n    return {"mean"'
    )
    Path("model.py").write_text(text)
    shown = shell.compile("model.py", code=3)
    assert "3 in INT8" in shown and Path("out.onnx").exists()
    assert "ValueError: no labels" in shell.err.err and "model.py:" in shell.err.err


# -- how passes run ----------------------------------------------------------------------------


def test_drift_is_shown_where_it_was_measured(shell: Shell) -> None:
    report = shell.json("model.py --passes float --check pass")
    drift = {row["name"]: row["snr_db"] for row in report["passes"]}
    assert drift["fold"] > 80
    assert drift["surgery"] is None  # nothing moved: infinite
    assert "SNR dB" in shell.compile("model.py --passes float --check pass")


def test_a_limit_stops_after_so_many_applications(shell: Shell) -> None:
    report = shell.json("model.py --passes float --limit 0")
    skipped = {row["name"]: row["skipped"] for row in report["passes"]}
    assert skipped["fold"] == "limit" and skipped["export"] == ""


def test_a_rule_can_be_skipped(shell: Shell) -> None:
    report = shell.json("model.py --passes float --skip fold_batch_norm")
    assert {row["name"]: row["changes"] for row in report["passes"]}["fold"] == 0
    assert report["findings"] == []  # the target folds what is left


def test_a_pattern_file_of_ones_own_is_a_pass(shell: Shell) -> None:
    Path("drop_relu.spq").write_text(
        "rule drop_relu on fx preserves lossy:\n"
        '    "A ReLU is nothing."\n'
        "    match:\n        y = nn.relu(x)\n"
        "    rewrite:\n        y = x\n"
    )
    report = shell.json("model.py --passes float --patterns drop_relu.spq")
    assert report["pipeline"].startswith("drop-relu, ")
    assert report["passes"][0]["changes"] == 2
    model = onnx.load("out.onnx")
    assert "Relu" not in {node.op_type for node in model.graph.node}


def test_other_arguments_do_not_leak_into_the_report(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["/somewhere/sparqc", "compile", "model.py"])
    assert "somewhere" not in shell.compile("model.py --passes float")
