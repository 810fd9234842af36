"""Words of the command line are checked before a model is read, and before torch is imported."""

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from sparqc.errors import UsageError
from sparqc.tools.cli import cli

READ = "the model was read"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model whose import fails: who reads it, says so."""
    path = tmp_path / "model.py"
    path.write_text(f"raise RuntimeError({READ!r})\n")
    return path


def run(*words: object) -> Result:
    return CliRunner().invoke(cli, [str(word) for word in words])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--knob", "attenton=int8"], "no knob 'attenton'"),
        (["--knob", "attention=int9"], "has no value 'int9'"),
        (["--target", "tensorrt-13"], "no target 'tensorrt-13'"),
        (["--passes", "default,-prunee"], "no pass 'prunee'"),
        (["--passes", "default,calibrate{methd=entropy}"], "no option 'methd'"),
        (["--passes", "fold,,prune("], "expected the name of a pass"),
        (["--io", "fp17"], "--io fp17"),
        (["--exclude", "unlikely-to-pay"], "for --dense alone"),
        (["--layers", "missing.toml"], "cannot read --layers missing.toml"),
    ],
)
@pytest.mark.parametrize("command", ["compile", "inspect", "sensitivity", "tune"])
def test_a_wrong_word_is_told_before_the_model_is_read(
    command: str, words: list[str], message: str, model: Path, tmp_path: Path
) -> None:
    output = ["-o", tmp_path / "out.onnx"] if command in ("compile", "tune") else []
    result = run(command, model, *output, *words)
    assert isinstance(result.exception, UsageError), result.output
    assert message in str(result.exception)


@pytest.mark.parametrize("command", [["inspect"], ["why"], ["whynot"]])
def test_a_pass_to_stop_after_is_looked_for_first(command: list[str], model: Path) -> None:
    operands = {"inspect": [], "why": ["conv"], "whynot": ["conv_act"]}[command[0]]
    result = run(*command, model, *operands, "--after", "plce")
    assert "the pipeline has no pass 'plce'" in str(result.exception)


def test_a_declaration_to_skip_is_looked_for_first(model: Path, tmp_path: Path) -> None:
    result = run("compile", model, "-o", tmp_path / "out.onnx", "--skip", "fold_batch_nrm")
    assert "did you mean 'fold_batch_norm'" in str(result.exception)


def test_an_unknown_pass_may_be_one_that_the_model_registers(model: Path, tmp_path: Path) -> None:
    result = run("compile", model, "-o", tmp_path / "out.onnx", "--passes", "mine,default")
    assert READ in str(result.exception)


def test_where_the_model_registers_no_such_pass_it_is_not_made(tmp_path: Path) -> None:
    model = tmp_path / "model.py"
    model.write_text(f"def model():\n    raise RuntimeError({READ!r})\nexample_inputs = None\n")
    result = run("compile", model, "-o", tmp_path / "out.onnx", "--passes", "mine,default")
    assert "there is no pass 'mine'" in str(result.exception)


def test_an_unknown_pass_of_an_onnx_file_is_told_before_it_is_read(tmp_path: Path) -> None:
    result = run("compile", tmp_path / "missing.onnx", "-o", tmp_path / "o.onnx", "--passes", "x-y")
    assert "there is no pass 'x-y'" in str(result.exception)


def test_to_tell_it_takes_neither_torch_nor_onnx(model: Path) -> None:
    words = ["inspect", str(model), "--knob", "attenton=int8"]
    program = (
        "import sys; from sparqc.tools.cli import run; "
        f"code = run({words!r}); print(code, {{'torch', 'onnx'}} & {{*sys.modules}})"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "2 set()\n", done.stderr
