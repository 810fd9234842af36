"""`sparqc tune`: what it trains, what it writes and says, and what it refuses."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from sparqc.tools import cli
from sparqc.tools.tune.state.checkpoint import read_checkpoint
from tests import tuned_models

#: A model that trains for a moment.
QUICK = "model.py -o out.onnx --passes all-sparse --epochs 2 --qat-epochs 1 --lr 0.1"


@dataclass
class Shell:
    """A working directory with a model.py, and the command line in it."""

    folder: Path
    capture: pytest.CaptureFixture[str]
    err: str = ""

    def tune(self, line: str = QUICK, code: int = 0) -> str:
        """Run `sparqc tune`; returns what stdout says."""
        assert cli.run(["tune", *shlex.split(line)]) == code
        captured = self.capture.readouterr()
        self.err = captured.err
        return captured.out

    def model(self, *parts: str) -> None:
        (self.folder / "model.py").write_text("".join(parts))


@pytest.fixture
def shell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Shell:
    monkeypatch.chdir(tmp_path)
    made = Shell(tmp_path, capsys)
    made.model(tuned_models.WHOLE)
    return made


def codes(path: str) -> dict[str, np.ndarray]:
    """The INT8 weights of a file."""
    found = onnx.load(path).graph.initializer
    return {
        i.name: numpy_helper.to_array(i)
        for i in found
        if i.data_type == onnx.TensorProto.INT8 and len(i.dims) > 1
    }


def zeros(weight: np.ndarray) -> np.ndarray:
    """How many of every four along the reduction axis are zero."""
    return (np.moveaxis(weight, 1, -1).reshape(-1, 4) == 0).sum(1)


def test_both_stages_from_the_dense_model_to_the_file(shell: Shell) -> None:
    shown = shell.tune()
    assert "2 in INT8" in shown and "passes    widen, adopt, cleanup, fold-constants" in shown
    table = shown.partition("accuracy              top-1\n")[2]
    assert [line[:20].rstrip() for line in table.splitlines()] == [
        "dense",
        "2:4, not trained",
        "2:4, trained",
        "2:4 INT8, calibrated",
        "2:4 INT8, trained",
        "out.onnx",
    ]
    assert float(table.splitlines()[-1].split()[-1]) > float(table.split()[1]) + 20
    assert "sparse epoch 2/2: loss " in shell.err and "qat epoch 1/1: loss " in shell.err
    weights = codes("out.onnx")
    assert len(weights) == 2 and all((zeros(w) >= 2).all() for w in weights.values())


def test_the_masks_of_the_first_stage_are_those_of_the_second(shell: Shell) -> None:
    shell.tune(QUICK + " --quiet")
    sparse = read_checkpoint(Path("out.onnx.tune/1-sparse-end.safetensors")).tensors
    qat = read_checkpoint(Path("out.onnx.tune/2-qat-end.safetensors")).tensors
    for name in ("conv1.weight", "conv2.weight"):
        kept = sparse[f"module/{name}"] != 0
        assert kept.float().mean() <= 0.5
        assert not (qat[f"module/body.{name}"] != 0)[~kept].any()
        assert not (qat[f"module/body.{name}"] == sparse[f"module/{name}"]).all()


def test_the_sparse_stage_alone_is_quantized_by_calibration(shell: Shell) -> None:
    report = json.loads(shell.tune(QUICK + " --stage sparse --json"))
    assert [row["name"] for row in report["stages"]] == [
        "dense",
        "2:4, not trained",
        "2:4, trained",
        "out.onnx",
    ]
    assert report["int8_layers"] == 2 and report["sparse_layers"] == 2
    assert report["metrics"][0]["compiled"] == report["stages"][-1]["metrics"]["top-1"]


def test_dense_int8_by_training_and_learned_scales(shell: Shell) -> None:
    line = "model.py -o out.onnx --stage qat --passes int8 --qat-epochs 1 --learned-scales"
    report = json.loads(shell.tune(line + " --batch-norm folded --json"))
    assert [row["name"] for row in report["stages"]] == [
        "dense",
        "INT8, calibrated",
        "INT8, trained",
        "out.onnx",
    ]
    assert report["int8_layers"] == 2 and report["sparse_layers"] == 0


def test_without_labels_the_dense_model_is_the_teacher(shell: Shell) -> None:
    shell.model(tuned_models.NET, tuned_models.CALIBRATION)
    shown = shell.tune(QUICK + " --stage sparse")
    assert "written   out.onnx" in shown and "top-1" not in shown
    assert "sparse epoch 2/2: loss " in shell.err


def test_a_loss_of_ones_own(shell: Shell) -> None:
    shell.model(
        tuned_models.NET,
        tuned_models.CALIBRATION,
        "def training():\n"
        "    return [(x, x.mean((1, 2, 3))) for x, in calibration()]\n"
        "def loss(outputs, target):\n"
        "    return (outputs.mean(1) - target).square().mean()\n",
    )
    shell.tune(QUICK + " --stage sparse --distill 0")
    assert "sparse epoch 2/2: loss " in shell.err


TRAIN = """
def train(module, stage):
    print("training", stage)
    optimizer = torch.optim.SGD(module.parameters(), lr=0.05)
    for x, y in training():
        nn.functional.cross_entropy(module(x), y).backward()
        optimizer.step()
        optimizer.zero_grad()
"""


def test_a_training_of_ones_own(shell: Shell) -> None:
    shell.model(tuned_models.WHOLE, TRAIN)
    report = json.loads(shell.tune(QUICK + " --json"))
    assert "training sparse\ntraining qat" in shell.err  # not in the JSON on stdout
    assert report["sparse_layers"] == 2
    assert all((zeros(w) >= 2).all() for w in codes("out.onnx").values())


def test_ctrl_c_outside_of_the_loop_says_how_to_go_on(shell: Shell) -> None:
    shell.model(tuned_models.WHOLE, "def evaluate(run):\n    raise KeyboardInterrupt\n")
    assert shell.tune(QUICK, code=130) == ""
    assert "the checkpoints so far are in out.onnx.tune" in shell.err and "--resume" in shell.err


def test_ctrl_c_in_a_training_of_ones_own(shell: Shell) -> None:
    shell.model(tuned_models.WHOLE, "def train(module):\n    raise KeyboardInterrupt\n")
    shell.tune(QUICK, code=130)
    assert "stopped in train() of model.py, in the stage sparse" in shell.err
    shell.model(tuned_models.WHOLE, TRAIN)
    shell.tune(QUICK + " --resume")
    assert "2:4, not trained: " not in shell.err  # known from before


# -- what it refuses ---------------------------------------------------------------------------


def wrong(shell: Shell, *parts: str, line: str = QUICK + " --stage sparse", code: int = 3) -> str:
    """What is said of a model.py with which tuning fails; no file is left."""
    shell.model(*parts)
    assert shell.tune(line, code) == ""
    assert not Path("out.onnx").exists()
    assert "bug" not in shell.err and "Traceback" not in shell.err
    return shell.err


def test_nothing_to_train_on(shell: Shell) -> None:
    assert "model.py offers nothing to train on" in wrong(shell, tuned_models.NET)


def test_training_without_calibration_data(shell: Shell) -> None:
    said = wrong(shell, tuned_models.NET, tuned_models.TRAINING, code=2)
    assert "there is no calibration data" in said


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("    raise ValueError('no images')\n", "raised ValueError: no images"),
        ("    return 3\n", "returned int, no batches"),
        ("    return iter(())\n", "gave no batches"),
        ("    yield 'image', 1\n", "gave (str, int) as batch 1"),
        ("    yield torch.ones(2), torch.ones(2), torch.ones(2)\n", "gave 3 tensors as batch 1"),
    ],
)
def test_training_batches_that_are_none(body: str, message: str, shell: Shell) -> None:
    said = wrong(shell, tuned_models.WHOLE, f"def training():\n{body}")
    assert f"training() of model.py {message}" in said and "model.py:" in said


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("    raise RuntimeError('no GPU')\n", "train() of model.py raised RuntimeError: no GPU"),
        ("    return nn.Linear(1, 1)\n", "train() of model.py returned Linear"),
        ("    return 0.9\n", "train() of model.py returned float"),
        (
            "    with torch.no_grad():\n        module.bn1.weight.mul_(float('nan'))\n",
            "parameter bn1.weight has 16 numbers of 16 that are NaN or infinite",
        ),
    ],
)
def test_a_train_that_does_not_train(body: str, message: str, shell: Shell) -> None:
    assert message in wrong(shell, tuned_models.WHOLE, f"def train(module):\n{body}")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("    return 1.5\n", "loss() of model.py returned float"),
        ("    return outputs\n", "loss() of model.py returned a tensor of shape [16, 4]"),
        ("    return outputs.mean().detach()\n", "of shape [], detached from the weights"),
        (
            "    return outputs.mean() + target.missing\n",
            "model.py raised AttributeError",
        ),
    ],
)
def test_a_loss_that_is_none(body: str, message: str, shell: Shell) -> None:
    assert message in wrong(shell, tuned_models.WHOLE, f"def loss(outputs, target):\n{body}")


def test_a_learning_rate_that_is_too_large_is_named(shell: Shell) -> None:
    said = wrong(shell, tuned_models.WHOLE, line=QUICK + " --lr 1e30 --clip 0 --warmup 0")
    assert "is nan in step" in said or "is inf in step" in said
    assert "e+29" in said.partition("at a learning rate of ")[2]


def test_an_evaluation_that_fails_does_so_before_the_training(shell: Shell) -> None:
    said = wrong(shell, tuned_models.WHOLE, "def evaluate(run):\n    raise KeyError('labels')\n")
    assert "evaluate() of model.py raised KeyError: 'labels'" in said
    assert "epoch" not in said


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("model.onnx -o out.onnx", "does not exist"),
        ("model.py -o gone/out.onnx", "there is no folder gone"),
        (QUICK + " --epochs 0", "epochs is 0; it has to be at least 1"),
        (QUICK + " --lr nan", "lr is nan; it has to be above 0"),
        (QUICK + " --distill 2", "distill is 2.0; it has to be from 0 to 1"),
        (QUICK + " --passes int8", "the pipeline masks nothing"),
        (QUICK + " --stage qat --passes sparse", "the pipeline places no quantizers"),
        (QUICK + " --checkpoint model.py", "--checkpoint model.py: File exists"),
        (QUICK + " --device toaster", "--device toaster cannot be used"),
    ],
)
def test_options_that_make_no_sense(line: str, message: str, shell: Shell) -> None:
    assert cli.run(["tune", *shlex.split(line)]) in (2, 3)
    assert message in shell.capture.readouterr().err
    assert not Path("out.onnx").exists()


def test_a_second_run_does_not_overwrite_the_first(shell: Shell) -> None:
    shell.tune(QUICK + " --stage sparse --epochs 1")
    shell.tune(QUICK + " --stage sparse --epochs 1", code=2)
    assert "out.onnx.tune holds the checkpoints of an earlier run" in shell.err
    shell.tune(QUICK + " --stage sparse --epochs 2 --resume", code=3)
    assert "sparse.epochs is 2, and 1 there" in shell.err
    before = Path("out.onnx").read_bytes()
    Path("out.onnx").unlink()
    shell.tune(QUICK + " --stage sparse --epochs 1 --resume")
    assert Path("out.onnx").read_bytes() == before and "epoch" not in shell.err
