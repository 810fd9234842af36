"""Runs that end by SIGKILL, and runs of two processes, through the command line."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import onnx
import pytest
import torch

from sparqc.tools import cli
from sparqc.tools.tune.state.checkpoint import read_checkpoint
from tests import tuned_models
from tests.processes import torchrun

LINE = ["tune", "model.py", "-o", "out.onnx", "--epochs", "3", "--qat-epochs", "2", "--lr", "0.1"]
LINE += ["--passes", "all-sparse"]
OFTEN = ["--save-every", "1"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that went through."""
    folder = tmp_path_factory.mktemp("whole")
    (folder / "model.py").write_text(tuned_models.WHOLE)
    assert run(folder, *LINE, "--quiet") == 0
    return folder


def run(folder: Path, *words: str) -> int:
    before = Path.cwd()
    os.chdir(folder)
    try:
        return cli.run(words)
    finally:
        os.chdir(before)


def kill_behind(folder: Path, checkpoint: str, delay: float, *words: str) -> None:
    """Start a run, and kill it so many seconds after a checkpoint is there."""
    command = [sys.executable, "-m", "sparqc.tools.cli", *words]
    process = subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True)
    started = time.monotonic()
    while not list((folder / "out.onnx.tune").glob(checkpoint)):
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() - started < 200
        time.sleep(0.005)
    time.sleep(delay)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    process.communicate()


def tensors(folder: Path) -> dict[str, torch.Tensor]:
    """What both stages ended with: weights, masks, scales, statistics."""
    found: dict[str, torch.Tensor] = {}
    for name in ("1-sparse-end", "2-qat-end"):
        kept = read_checkpoint(folder / "out.onnx.tune" / f"{name}.safetensors").tensors
        found |= {f"{name} {key}": tensor for key, tensor in kept.items()}
    return found


def test_a_run_that_is_killed_in_both_stages_ends_with_the_same_file(
    whole: Path, tmp_path: Path
) -> None:
    (tmp_path / "model.py").write_text(tuned_models.WHOLE)
    moments = random.Random(time.time_ns())  # another one in each run of this test
    kill_behind(tmp_path, "1-sparse-00*[1-9]*", moments.random() / 10, *LINE, *OFTEN)
    assert not (tmp_path / "out.onnx").exists()
    kill_behind(tmp_path, "2-qat-00*[1-9]*", moments.random() / 20, *LINE, *OFTEN, "--resume")
    assert run(tmp_path, *LINE, "--quiet", "--resume") == 0
    expected, found = tensors(whole), tensors(tmp_path)
    assert list(expected) == list(found)
    different = [name for name in expected if not torch.equal(expected[name], found[name])]
    assert not different
    assert (tmp_path / "out.onnx").read_bytes() == (whole / "out.onnx").read_bytes()


def test_two_processes_tune_as_one_does(whole: Path, tmp_path: Path) -> None:
    (tmp_path / "model.py").write_text(tuned_models.WHOLE)
    done = torchrun("-m", "sparqc.tools.cli", *LINE, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("written   out.onnx") == 1  # rank 0 alone talks
    assert done.stderr.count("sparse epoch 3/3: loss ") == 1
    expected, found = tensors(whole), tensors(tmp_path)
    for name, tensor in expected.items():
        if name.startswith("1-sparse"):
            torch.testing.assert_close(found[name], tensor, rtol=1e-4, atol=1e-5)
        elif tensor.is_floating_point():
            # Where rounding moves a value over the edge of a code, the next step differs.
            torch.testing.assert_close(found[name], tensor, rtol=0.05, atol=0.02)
    layers = [
        [(n.op_type, list(n.output)) for n in onnx.load(folder / "out.onnx").graph.node]
        for folder in (whole, tmp_path)
    ]
    assert layers[0] == layers[1]


def test_processes_with_different_weights_all_say_so(tmp_path: Path) -> None:
    differs = "def model():\n    torch.manual_seed(int(os.environ['RANK']))\n    return Net()\n"
    (tmp_path / "model.py").write_text(tuned_models.WHOLE + differs)
    started = time.monotonic()
    done = torchrun("-m", "sparqc.tools.cli", *LINE, cwd=tmp_path)
    assert done.returncode != 0 and not (tmp_path / "out.onnx").exists()
    said = "error: rank 0 and rank 1 do not start the same run"
    assert done.stderr.count(said) == 2
    assert "bn1.weight" not in done.stderr  # these are alike
    assert "conv1.weight has other values there, and 3 more like it" in done.stderr
    assert time.monotonic() - started < 200


def test_a_process_that_ends_without_a_word_ends_the_other(tmp_path: Path) -> None:
    leaves = """
class Batches:
    def __len__(self):
        return 3
    def __iter__(self):
        for index, x in enumerate(data()[0].split(16)):
            if index == 2 and os.environ["RANK"] == "1":
                os._exit(7)
            yield x
def training():
    return Batches()
"""
    (tmp_path / "model.py").write_text(tuned_models.WHOLE + leaves)
    done = torchrun("-m", "sparqc.tools.cli", *LINE, *OFTEN, cwd=tmp_path)
    assert done.returncode != 0 and not (tmp_path / "out.onnx").exists()
    assert "error: rank 0: another rank does not answer: " in done.stderr
    kept = sorted((tmp_path / "out.onnx.tune").iterdir())
    assert read_checkpoint(kept[-1]).state["position"]["step"] == 2
