"""`sparqc check --fix`: what needs no new calibration is cured, and nothing else changes."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto

from sparqc.ir.graph import Array
from sparqc.ir.onnx.adapter import load_onnx
from sparqc.tools import cli
from sparqc.tools.check.checked import check_file, check_proto
from sparqc.tools.check.fix import fix
from tests import small_models
from tests.faulty_networks import COARSE, EXACT, FINE, ROUNDED, Network, model_of

Capture = pytest.CaptureFixture[str]


def consequential(path: Path) -> Counter[str]:
    """Findings of grade error and slow."""
    return Counter(f.id for f in check_file(path).findings if f.grade != "note")


def outputs(path: Path, count: int = 2) -> Array:
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    x = np.random.default_rng(1).uniform(-3, 3, (count, 16, 8, 8)).astype(np.float32)
    return session.run(None, {"x": x})[0]  # type: ignore[no-any-return]


@pytest.mark.parametrize("id", [*EXACT, *ROUNDED])
def test_the_finding_is_cured_and_no_other_comes(tmp_path: Path, id: str, capsys: Capture) -> None:
    path, made = model_of(tmp_path / "m.onnx", id), tmp_path / "fixed.onnx"
    before = path.read_bytes()
    found = consequential(path)
    assert found[id] > 0
    code = cli.run(["check", str(path), "--fix", "-o", str(made), "--json"])
    data = json.loads(capsys.readouterr().out)
    assert code == any(f["grade"] == "error" for f in data["findings"])
    assert data["fixed"][id] > 0 and data["output"] == str(made)
    assert path.read_bytes() == before
    left = consequential(made)
    assert left[id] == 0 and left <= found


@pytest.mark.parametrize("id", sorted(set(EXACT) - {"missing-axis"}))
def test_exact_cures_keep_every_bit(tmp_path: Path, id: str) -> None:
    path, made = model_of(tmp_path / "m.onnx", id), tmp_path / "fixed.onnx"
    cli.run(["check", str(path), "--fix", "-o", str(made)])
    np.testing.assert_array_equal(outputs(path), outputs(made))


def test_a_missing_axis_is_the_one_that_fits(tmp_path: Path) -> None:
    """Where both axes fit, ONNX's default is meant; onnxruntime agrees, bit for bit."""
    path, made = model_of(tmp_path / "m.onnx", "missing-axis"), tmp_path / "fixed.onnx"
    cli.run(["check", str(path), "--fix", "-o", str(made)])
    np.testing.assert_array_equal(outputs(path), outputs(made))
    network = Network()
    codes = network.constant(np.ones((16, 8, 1, 1), np.int8))
    first = network.constant(np.array([0])), network.constant(np.array([8]))
    part = network.op("Slice", network.pair("x"), *first, network.constant(np.array([1])))
    path = network.save(tmp_path / "n.onnx", network.conv(part, network.weight(codes, axis=None)))
    cli.run(["check", str(path), "--fix"])
    axes = [a.i for n in onnx.load(path).graph.node for a in n.attribute if a.name == "axis"]
    assert 0 in axes and 1 not in axes


@pytest.mark.parametrize("id", ROUNDED)
def test_the_other_cures_move_a_value_by_a_step(tmp_path: Path, id: str) -> None:
    """A step of the coarse scale at a quantizer, times the largest gain of a convolution here."""
    path, made = model_of(tmp_path / "m.onnx", id), tmp_path / "fixed.onnx"
    cli.run(["check", str(path), "--fix", "-o", str(made)])
    before, after = outputs(path), outputs(made)
    gain = max(1.0, 16 * 127 * 1e-3)
    assert 0 < np.abs(before - after).max() <= COARSE * gain


def test_a_second_fix_finds_nothing_to_do(tmp_path: Path, capsys: Capture) -> None:
    path = model_of(tmp_path / "m.onnx", "concat-scales-differ")
    assert cli.run(["check", str(path), "--fix"]) == 0
    once = path.read_bytes()
    capsys.readouterr()
    assert cli.run(["check", str(path), "--fix"]) == 0
    assert "fixed: nothing" in capsys.readouterr().out
    assert path.read_bytes() == once


def test_a_person_sees_what_was_fixed_and_what_is_left(tmp_path: Path, capsys: Capture) -> None:
    path = model_of(tmp_path / "m.onnx", "requantized")
    assert cli.run(["check", str(path)]) == 1
    assert "(--fix does it)" in capsys.readouterr().out
    assert cli.run(["check", str(path), "--fix"]) == 0
    assert "fixed: requantized (1); written to" in capsys.readouterr().out


def test_nodes_keep_their_names(tmp_path: Path) -> None:
    path = model_of(tmp_path / "m.onnx", "quantized-bias")
    before = {n.output[0]: n.name for n in onnx.load(path).graph.node}
    cli.run(["check", str(path), "--fix"])
    after = {n.output[0]: n.name for n in onnx.load(path).graph.node}
    assert len(after) == len(before) - 1 and after.items() <= before.items()


def test_a_healthy_file_is_left_alone(tmp_path: Path) -> None:
    path = small_models.float_onnx(tmp_path / "m.onnx")
    before = path.read_bytes()
    assert cli.run(["check", str(path), "--fix"]) == 0
    assert path.read_bytes() == before
    assert cli.run(["check", str(path), "--fix", "-o", str(tmp_path / "copy.onnx")]) == 0
    np.testing.assert_array_equal(outputs(path), outputs(tmp_path / "copy.onnx"))


def test_a_place_that_cannot_be_written(tmp_path: Path, capsys: Capture) -> None:
    path = model_of(tmp_path / "m.onnx", "requantized")
    before = path.read_bytes()
    assert cli.run(["check", str(path), "--fix", "-o", str(tmp_path / "none" / "m.onnx")]) == 3
    assert capsys.readouterr().err.startswith("error: ")
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_weights_for_tensorrt_8_get_their_zero_points(tmp_path: Path) -> None:
    network = Network()
    scale = network.constant(np.array(0.1, np.float32))
    codes = network.op("QuantizeLinear", "x", scale, output_dtype=TensorProto.INT8)
    path = network.save(tmp_path / "m.onnx", network.op("DequantizeLinear", codes, scale))
    model = onnx.load(path)
    model.opset_import[0].version = 21
    onnx.save(model, path)
    cli.run(["check", str(path), "--target", "tensorrt-8.6", "--fix"])
    quantizers = [n for n in onnx.load(path).graph.node if "Quantize" in n.op_type]
    assert all(len(n.input) == 3 for n in quantizers)


def in_opset_17(path: Path) -> Path:
    """The newest that TensorRT 8.6 reads."""
    model = onnx.load(path)
    model.opset_import[0].version = 17
    onnx.save(model, path)
    return path


@pytest.mark.parametrize("form", ["codes", "floats", "axis of the other channels"])
@pytest.mark.parametrize("readers", [1, 2])
def test_a_transposed_convolution_for_tensorrt_8_gets_one_scale(
    tmp_path: Path, form: str, readers: int, capsys: Capture
) -> None:
    """As other tools write it, with a scale for each channel, which TensorRT 8 refuses."""
    network, axis = Network(), 0 if form.startswith("axis") else 1
    weight = network.weight(axis=axis)
    if form == "floats":
        codes, *given = network.nodes.pop().input
        floats = (network.constants[codes] * 7e-4).astype(np.float32)
        quantized = network.op("QuantizeLinear", network.constant(floats), *given, axis=axis)
        weight = network.op("DequantizeLinear", quantized, *given, axis=axis)
    data = network.pair("x")
    ends = [network.op("ConvTranspose", data, weight) for _ in range(readers)]
    path = in_opset_17(network.save(tmp_path / "m.onnx", network.op("Sum", *ends)))
    before = outputs(path)
    words = ["check", str(path), "--target", "tensorrt-8.6"]
    assert cli.run([*words, "--json"]) == 1
    found = {f["id"] for f in json.loads(capsys.readouterr().out)["findings"]}
    assert "transposed-per-channel" in found
    assert ("int8-weights" in found) == (form != "floats")
    assert cli.run([*words, "--fix"]) == 0
    assert not consequential(path)
    noise = np.square(outputs(path) - before).sum() / np.square(before).sum()
    assert 0 < noise < 1e-3


def test_codes_become_floats_for_tensorrt_8_to_the_bit(tmp_path: Path) -> None:
    network = Network()
    path = in_opset_17(network.save(tmp_path / "m.onnx", network.conv(network.pair("x"))))
    before = outputs(path)
    assert cli.run(["check", str(path), "--target", "tensorrt-8.6", "--fix"]) == 0
    graph = onnx.load(path).graph
    assert all(t.data_type != TensorProto.INT8 for t in graph.initializer if len(t.dims) == 4)
    assert Counter(n.op_type for n in graph.node)["QuantizeLinear"] == 2
    np.testing.assert_array_equal(outputs(path), before)


# -- any network with any faults -----------------------------------------------------------------


def steps(n: Network, kinds: list[int]) -> Iterator[str]:
    """A chain whose parts are quantized with one fault or another."""
    value, skip = "x", "x"
    for kind in kinds:
        data = n.pair(value, (FINE, COARSE)[kind % 2])
        if kind % 7 == 0:
            data = n.pair(data, COARSE)
        value = n.conv(data)
        if kind % 5 == 1:
            value = n.op("Relu", n.pair(value))
        if kind % 5 == 2:
            value = n.op("Add", n.pair(value), n.pair(skip, COARSE))
        if kind % 5 == 3:
            value = n.op("Mul", value, n.pair(n.op("Sigmoid", value)))
        if kind % 5 == 4:
            value = n.op("MaxPool", n.pair(value), kernel_shape=[3, 3], pads=[1] * 4)
        skip = value
        yield value


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(kinds=st.lists(st.integers(0, 69), min_size=1, max_size=5))
def test_a_fix_adds_no_finding_and_is_done_once(tmp_path: Path, kinds: list[int]) -> None:
    network = Network()
    path = network.save(tmp_path / "m.onnx", list(steps(network, kinds))[-1])
    before = check_file(path)
    after = fix(before).checked
    grades = [
        Counter((f.grade, f.id) for f in c.findings if f.grade != "note") for c in (before, after)
    ]
    assert grades[1] <= grades[0]
    assert not any(f.fix for f in after.findings if f.grade != "note")
    again = fix(check_proto(after.model))
    assert not again.cured
    onnx.save(after.model, tmp_path / "fixed.onnx")
    load_onnx(tmp_path / "fixed.onnx")
    assert np.isfinite(outputs(tmp_path / "fixed.onnx")).all()
