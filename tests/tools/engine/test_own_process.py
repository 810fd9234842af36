"""A compiler that dies takes nothing with it, and what it says comes through."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from sparqc.errors import SparqcError, UsageError
from sparqc.tools import cli
from sparqc.tools.engine.own_process import in_own_process
from tests.ir.onnx_models import model


def dying(number: int) -> None:
    os.kill(os.getpid(), number)


def refusing() -> None:
    raise UsageError("this is wrong", hint="do that")


def square(x: int, *, plus: int) -> tuple[int, int]:
    return x * x + plus, os.getpid()


def test_the_answer_of_another_process() -> None:
    found, process = in_own_process(square, 3, plus=1)
    assert found == 10 and process != os.getpid()


@pytest.mark.parametrize("name", ["SIGSEGV", "SIGABRT", "SIGKILL"])
def test_a_death_is_an_error(name: str) -> None:
    with pytest.raises(SparqcError, match=f"the compiler died by {name}"):
        in_own_process(dying, int(getattr(signal, name)))


def test_errors_come_through_with_their_hints() -> None:
    with pytest.raises(UsageError, match="this is wrong") as caught:
        in_own_process(refusing)
    assert caught.value.hint == "do that"


@pytest.mark.parametrize("given", [True, False])
def test_a_scale_computed_at_run_time(
    given: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """TensorRT-RTX 1.7 dies of it while it builds."""
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["d"]),
        helper.make_node("DequantizeLinear", ["w", "ws", "wz"], ["v"], axis=0),
        helper.make_node("Conv", ["d", "v"], ["y"], pads=[1] * 4),
    ]
    image = ["batch", 16, 8, 8]
    inputs: dict[str, list[str | int]] = {"x": image} | ({"s": []} if given else {})
    if not given:
        nodes.insert(0, helper.make_node("ReduceMax", ["x"], ["s"], keepdims=0))
    constants = {
        "w": np.ones((16, 16, 3, 3), np.int8), "ws": np.full(16, 0.1, np.float32),
        "wz": np.zeros(16, np.int8), "z": np.int8(0),
    }  # fmt: skip
    made = model(nodes, constants, inputs=inputs, outputs={"y": image})
    onnx.save(made, tmp_path / "m.onnx")
    words = ["build", str(tmp_path / "m.onnx"), "-o", str(tmp_path / "engine")]
    assert cli.run(words) == 3
    assert "the compiler died by SIGSEGV" in capsys.readouterr().err
    assert not (tmp_path / "engine").exists()
