"""Every kind of bad input gets a sentence: what, where, what to do; and leaves no file behind."""

from __future__ import annotations

import errno
import os
import resource
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper

from sparqc.tools import cli
from tests import small_models

#: Passes that need no data, for errors that have nothing to do with calibration.
FLOAT = ("--passes", "float")


@dataclass
class Sandbox:
    """A working directory, and `sparqc compile` in it."""

    folder: Path
    capture: pytest.CaptureFixture[str]

    def file(self, text: str, name: str = "model.py") -> str:
        """Write a file; returns its name."""
        (self.folder / name).write_text(textwrap.dedent(text))
        return name

    def refusal(self, *words: str, code: int, output: str = "out/model.onnx") -> str:
        """What stderr says when the compile fails with that code."""
        before = sorted(self.folder.rglob("*"))
        assert cli.run(["compile", *words, "-o", output]) == code
        shown = self.capture.readouterr()
        assert shown.out == ""
        assert shown.err.startswith("error: ")
        assert "Traceback" not in shown.err and "bug in sparqc" not in shown.err
        left = [p for p in sorted(self.folder.rglob("*")) if "__pycache__" not in p.parts]
        assert left == before, "the failed compile left a file"
        return shown.err


@pytest.fixture
def sandbox(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Sandbox:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "out").mkdir()
    return Sandbox(tmp_path, capsys)


#: The example inputs in `small_models.MODEL`.
EXAMPLE = "def example_inputs():\n    return (torch.randn(4, 16, 8, 8),)"


def changed(old: str, new: str) -> str:
    """The text of a good model.py with one thing changed."""
    assert old in small_models.MODEL
    return small_models.MODEL.replace(old, new)


# -- model.py ----------------------------------------------------------------------------------


def test_a_missing_file(sandbox: Sandbox) -> None:
    said = sandbox.refusal("model.py", code=2)
    assert "model.py does not exist" in said


def test_broken_syntax(sandbox: Sandbox) -> None:
    said = sandbox.refusal(sandbox.file("def model(:\n    pass\n"), code=3)
    assert "model.py:1:" in said and "def model(:" in said and "^" in said


def test_no_model_function(sandbox: Sandbox) -> None:
    said = sandbox.refusal(sandbox.file("x = 1\n"), code=2)
    assert "model.py has no 'model'" in said and "def model():" in said


def test_an_exception_in_the_model_names_its_line(sandbox: Sandbox) -> None:
    said = sandbox.refusal(sandbox.file("def model():\n    return 1 / 0\n"), code=3)
    assert "ZeroDivisionError" in said and "model.py:2" in said


def test_example_inputs_of_the_wrong_shape(sandbox: Sandbox) -> None:
    text = changed(EXAMPLE, EXAMPLE.replace("16", "3"))
    said = sandbox.refusal(sandbox.file(text), code=2)
    assert "16 channels" in said and "model.py:14" in said


def test_example_inputs_that_are_no_tuple(sandbox: Sandbox) -> None:
    text = changed(
        "return (torch.randn(4, 16, 8, 8),)\n\ndef cal", "return torch.ones(4)\n\ndef cal"
    )
    said = sandbox.refusal(sandbox.file(text), code=3)
    assert "example_inputs() of model.py returned Tensor, not a tuple of tensors" in said
    assert "(images,)" in said


def test_a_model_that_cannot_be_captured(sandbox: Sandbox) -> None:
    text = changed("return self.head(", "if y.sum() > 0: y = y * 2\n        return self.head(")
    said = sandbox.refusal(sandbox.file(text), code=3)
    assert "model.py:16: torch.export cannot capture Net" in said and "--submodule" in said


def test_no_calibration_data(sandbox: Sandbox) -> None:
    text = changed("def calibration", "def other")
    said = sandbox.refusal(sandbox.file(text), code=2)
    assert "no calibration data" in said
    assert all(way in said for way in ("calibration()", "--calibration", "--random-calibration"))


def test_nan_in_a_weight(sandbox: Sandbox) -> None:
    made = "net = Net(); net.conv2.weight.data[3, 2, 1, 0] = float('nan')\n    return net"
    said = sandbox.refusal(sandbox.file(changed("return Net()", made)), code=3)
    assert "conv2.weight" in said and "NaN" in said


def test_nan_in_an_activation(sandbox: Sandbox) -> None:
    text = changed("y = torch.relu(self.conv2(y) + x)", "y = torch.relu(self.conv2(y.log()) + x)")
    said = sandbox.refusal(sandbox.file(text), code=3)
    assert "NaN or infinite" in said and "batch 1" in said


def test_evaluate_that_gives_another_batch_than_a_static_model_takes(sandbox: Sandbox) -> None:
    text = changed("x = torch.randn(4, 16, 8, 8)", "x = torch.randn(2, 16, 8, 8)")
    assert cli.run(["compile", sandbox.file(text), "-o", "out/model.onnx", *FLOAT, "--static"]) == 3
    said = sandbox.capture.readouterr().err
    assert "the shape [2, 16, 8, 8]; the compiled model takes [4, 16, 8, 8]" in said
    assert "without --static" in said


# -- what does not exist -----------------------------------------------------------------------


def test_an_unknown_pass(sandbox: Sandbox) -> None:
    said = sandbox.refusal(sandbox.file(small_models.MODEL), "--passes", "foldd", code=2)
    assert "no pass 'foldd'" in said and "did you mean 'fold'" in said and "^^^^^" in said


def test_an_unknown_option_of_a_pass(sandbox: Sandbox) -> None:
    passes = "default,+calibrate{methd=max}@instead=calibrate"
    said = sandbox.refusal(sandbox.file(small_models.MODEL), "--passes", passes, code=2)
    assert "no option 'methd'" in said and "did you mean 'method'" in said


def test_an_option_of_a_wrong_value(sandbox: Sandbox) -> None:
    passes = "default,+calibrate{method=median}@instead=calibrate"
    said = sandbox.refusal(sandbox.file(small_models.MODEL), "--passes", passes, code=2)
    assert '"mse"' in said


def test_an_unknown_target(sandbox: Sandbox) -> None:
    said = sandbox.refusal(sandbox.file(small_models.MODEL), "--target", "tensorrt-12", code=2)
    assert "no target 'tensorrt-12'" in said and "'tensorrt-11'" in said


def test_a_selector_that_means_nothing(sandbox: Sandbox) -> None:
    said = sandbox.refusal(sandbox.file(small_models.MODEL), "--exclude", "layer9.*", code=2)
    assert "layer9.*" in said and "no operator of the graph" in said


def test_an_opset_that_the_target_does_not_read(sandbox: Sandbox) -> None:
    passes = "float,+export{opset=24}@instead=export"
    words = ("--passes", passes, "--target", "tensorrt-8.6")
    said = sandbox.refusal(sandbox.file(small_models.MODEL), *words, code=2)
    assert "opset 24" in said and "13 to 17" in said


# -- pattern files -----------------------------------------------------------------------------

RULE = """
rule drop on onnx:
    "A ReLU is nothing."
    match:
        y = nn.relu(x)
    rewrite:
        y = x
"""


def patterns(sandbox: Sandbox, text: str) -> str:
    own = sandbox.file(text, "mine.spq")
    return sandbox.refusal(sandbox.file(small_models.MODEL), "--patterns", own, code=2)


def test_a_broken_pattern_file(sandbox: Sandbox) -> None:
    said = patterns(sandbox, RULE.replace("y = nn.relu(x)", "y = nn.relu(x"))
    assert "mine.spq:5" in said and "y = nn.relu(x" in said and "^" in said


def test_an_unknown_operator_in_a_pattern_file(sandbox: Sandbox) -> None:
    said = patterns(sandbox, RULE.replace("nn.relu", "nn.rellu"))
    assert "nn.rellu" in said and "did you mean 'nn.relu'" in said and "mine.spq:5:13" in said


def test_a_missing_pattern_file(sandbox: Sandbox) -> None:
    said = sandbox.refusal("model.py", "--patterns", "none.spq", code=2)
    assert "does not exist" in said or "No such file" in said


# -- ONNX --------------------------------------------------------------------------------------


def test_an_onnx_file_that_is_missing(sandbox: Sandbox) -> None:
    assert "does not exist" in sandbox.refusal("model.onnx", code=2)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_a_truncated_onnx_file(sandbox: Sandbox, share: float) -> None:
    path = small_models.float_onnx(sandbox.folder / "model.onnx")
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    said = sandbox.refusal("model.onnx", *FLOAT, code=3)
    assert "model.onnx" in said


def test_a_file_that_is_no_onnx(sandbox: Sandbox) -> None:
    (sandbox.folder / "model.onnx").write_bytes(b"PK\x03\x04 this is something else" * 20)
    assert "model.onnx is no ONNX model" in sandbox.refusal("model.onnx", *FLOAT, code=3)


def test_flipped_bytes_never_end_in_a_traceback(sandbox: Sandbox) -> None:
    path = small_models.float_onnx(sandbox.folder / "model.onnx")
    content = path.read_bytes()
    structure = content.index(b"conv")  # weights lie behind, and any number is a weight
    for position in range(0, structure + 120, 3):
        broken = bytearray(content)
        broken[position] ^= 0xFF
        path.write_bytes(broken)
        code = cli.run(["compile", "model.onnx", "-o", "out/model.onnx", *FLOAT, "--quiet"])
        said = sandbox.capture.readouterr().err
        assert code in (0, 3), f"byte {position}: {said}"


def test_an_onnx_file_without_its_external_data(sandbox: Sandbox) -> None:
    path = small_models.float_onnx(sandbox.folder / "model.onnx")
    onnx.save(onnx.load(path), path, save_as_external_data=True, location="w.bin", size_threshold=0)
    (sandbox.folder / "w.bin").unlink()
    said = sandbox.refusal("model.onnx", *FLOAT, code=3)
    assert "w.bin" in said


def test_an_onnx_file_that_is_quantized_already_without_the_pass_for_it(sandbox: Sandbox) -> None:
    small_models.quantized_onnx(sandbox.folder / "model.onnx", np.int8)
    small_models.images(sandbox.folder / "x.npy")
    passes = ("--passes", "default, -adopt")
    said = sandbox.refusal("model.onnx", "--calibration", "x.npy", *passes, code=3)
    assert "already carries quantizers" in said and "put `adopt` in front" in said


@pytest.mark.parametrize(("codes", "zero_point"), [(np.uint8, 0), (np.int8, 3)])
def test_asymmetric_quantization(
    sandbox: Sandbox, codes: type[np.integer], zero_point: int
) -> None:
    small_models.quantized_onnx(sandbox.folder / "model.onnx", codes, zero_point)
    said = sandbox.refusal("model.onnx", "--passes", "surgery, check", code=3)
    assert "zero point" in said or "u8" in said


def test_codes_around_128_are_int8_codes_moved_by_128(sandbox: Sandbox) -> None:
    """Which `surgery` writes, since the check that names them has an exact cure."""
    path = sandbox.folder / "model.onnx"
    small_models.quantized_onnx(path, np.uint8, 128)
    arguments = ["compile", "model.onnx", "--passes", "surgery, check", "-o", "out/model.onnx"]
    assert cli.run(arguments) == 0
    before, after = (
        ort.InferenceSession(file) for file in (path, sandbox.folder / "out" / "model.onnx")
    )
    sizes = [d if isinstance(d, int) else 2 for d in before.get_inputs()[0].shape]
    x = 3 * np.random.default_rng(0).normal(size=sizes).astype(np.float32)
    given = {before.get_inputs()[0].name: x}
    np.testing.assert_array_equal(after.run(None, given)[0], before.run(None, given)[0])
    stored = onnx.load(sandbox.folder / "out" / "model.onnx").graph.initializer
    assert TensorProto.UINT8 not in {t.data_type for t in stored}


def test_an_unknown_operator_passes_through(sandbox: Sandbox) -> None:
    node = helper.make_node("Mystery", ["x"], ["y"], "odd", domain="com.example")
    path = small_models.save(sandbox.folder / "model.onnx", [node], {})
    model = onnx.load(path)
    model.opset_import.append(helper.make_opsetid("com.example", 1))
    onnx.save(model, path)
    assert cli.run(["compile", "model.onnx", "-o", "out/model.onnx", *FLOAT]) == 0
    assert "Mystery" in sandbox.capture.readouterr().out


# -- where the result goes ---------------------------------------------------------------------


def test_an_output_folder_that_does_not_exist(sandbox: Sandbox) -> None:
    said = sandbox.refusal(sandbox.file(small_models.MODEL), code=2, output="no/model.onnx")
    assert "there is no folder no" in said


def test_an_output_below_a_regular_file(sandbox: Sandbox) -> None:
    sandbox.file("", "file")
    said = sandbox.refusal(sandbox.file(small_models.MODEL), code=2, output="file/model.onnx")
    assert "there is no folder file" in said


def test_an_output_that_is_a_folder(sandbox: Sandbox) -> None:
    assert "-o out is a folder" in sandbox.refusal(
        sandbox.file(small_models.MODEL), code=2, output="out"
    )


def test_an_output_that_is_the_model(sandbox: Sandbox) -> None:
    path = small_models.float_onnx(sandbox.folder / "model.onnx")
    content = path.read_bytes()
    said = sandbox.refusal("model.onnx", *FLOAT, code=2, output="./model.onnx")
    assert "would overwrite the model" in said and path.read_bytes() == content


def test_an_output_that_is_a_device(sandbox: Sandbox) -> None:
    # As root the rename would put a file in its place.
    os.mkfifo(sandbox.folder / "pipe")
    said = sandbox.refusal(sandbox.file(small_models.MODEL), *FLOAT, code=2, output="pipe")
    assert "-o pipe is a device" in said and not (sandbox.folder / "pipe").is_file()


def test_a_skip_that_would_leave_out_nothing(sandbox: Sandbox) -> None:
    model = sandbox.file(small_models.MODEL)
    said = sandbox.refusal(model, *FLOAT, "--skip", "fodl", code=2)
    assert "is named 'fodl'" in said and "did you mean 'fold'" in said
    # Known, but not in this pipeline.
    said = sandbox.refusal(model, *FLOAT, "--skip", "calibrate", code=2)
    assert "is named 'calibrate'" in said


def test_a_read_only_output_folder(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    # Root may write anywhere, so what the system says of the folder is stated here.
    real = os.access
    monkeypatch.setattr(
        os, "access", lambda path, mode: Path(path).name != "out" and real(path, mode)
    )
    said = sandbox.refusal(sandbox.file(small_models.MODEL), code=3)
    assert "the folder out cannot be written to" in said


def test_a_disk_that_takes_no_more(sandbox: Sandbox) -> None:
    small_models.float_onnx(sandbox.folder / "model.onnx")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))  # of the file's 10 kB
    try:
        said = sandbox.refusal("model.onnx", *FLOAT, code=3)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "out/model.onnx cannot be written: File too large" in said


def test_a_full_disk_at_the_last_moment(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    small_models.float_onnx(sandbox.folder / "model.onnx")

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "replace", fail)
    said = sandbox.refusal("model.onnx", *FLOAT, code=3)
    assert "No space left on device" in said


def test_a_dump_never_replaces_somebody_elses_folder(sandbox: Sandbox) -> None:
    (sandbox.folder / "work").mkdir()
    sandbox.file("precious", "work/notes.txt")
    said = sandbox.refusal(sandbox.file(small_models.MODEL), "--dump", "work", code=2)
    assert "is no dump of sparqc" in said


# -- calibration files -------------------------------------------------------------------------


def calibrated(sandbox: Sandbox, prepare: Callable[[Path], object], name: str, code: int) -> str:
    small_models.float_onnx(sandbox.folder / "model.onnx")
    prepare(sandbox.folder / name)
    return sandbox.refusal("model.onnx", "--calibration", name, code=code)


def test_a_calibration_file_of_another_kind(sandbox: Sandbox) -> None:
    said = calibrated(sandbox, Path.touch, "data.csv", code=2)
    assert ".csv is not known" in said and ".npz" in said


def test_a_calibration_file_of_another_shape(sandbox: Sandbox) -> None:
    said = calibrated(sandbox, lambda p: np.save(p, np.ones((8, 3), np.float32)), "x.npy", code=3)
    assert "'x' (f32[batch, 16, 8, 8]) has the shape [8, 3]" in said


def test_calibration_data_with_nan(sandbox: Sandbox) -> None:
    def write(path: Path) -> None:
        array = np.load(small_models.images(path))
        array[5, 0, 0, 0] = np.nan
        np.save(path, array)

    said = calibrated(sandbox, write, "x.npy", code=3)
    assert "NaN" in said
