"""`sparqc explain` on the command line: what a person reads, and the same as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from sparqc.tools import cli
from sparqc.tools.engine.rtx import compile_rtx
from tests.engine_models import Net, float_conv, quantized_conv, residual_block

Explain = Callable[..., str]


@pytest.fixture
def explain(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Explain:
    """`explain(model, "--target", "tensorrt-10", code=1)`: what is printed, errors included."""

    def explain(model: onnx.ModelProto, *words: str, code: int = 0) -> str:
        path = tmp_path / "model.onnx"
        onnx.save(onnx.shape_inference.infer_shapes(model), path)
        assert cli.run(["explain", str(path), *words]) == code
        printed = capsys.readouterr()
        return printed.err if code else printed.out

    return explain


def as_json(explain: Explain, model: onnx.ModelProto, *words: str) -> dict[str, Any]:
    return json.loads(explain(model, "--json", *words))  # type: ignore[no-any-return]


def test_the_report_begins_with_a_summary(explain: Explain) -> None:
    lines = explain(residual_block(True), "--batch", "2", "--gpu", "a40").splitlines()
    assert lines[0] == "the engine that tensorrt-11 is expected to build, for x: 2x64x16x16"
    summary = dict(line.strip().split(maxsplit=1) for line in lines[1:7])
    assert summary["kernels"] == "4: 3 INT8, 1 Q left over"
    assert summary["INT8"] == "3 of 3 weighted operators run in INT8"
    assert summary["2:4"] == "0 weights are 2:4, 0 may run sparse, 0 are likely to pay"
    assert summary["products"] == "56.62 M multiply-adds, 56.62 M with 2:4"
    assert summary["estimate"].startswith("A40: about ")
    assert "with 2:4; at least " in summary["estimate"]


def test_what_is_to_be_said_of_a_gpu_stands_below_its_estimate(explain: Explain) -> None:
    names = ("l4", "b300", "orin-nx-16gb")
    words = [word for name in names for word in ("--gpu", name)]
    said = explain(residual_block(True), "--target", "tensorrt-11", *words)
    notes = [line.split(maxsplit=1)[1] for line in said.splitlines() if " note " in line]
    assert "L4: constants of Ampere GA102; no witness for Ada" in notes
    assert any(n.startswith("B300: an INT8 file loses to one in FP8 here: 150 ") for n in notes)
    assert any("it runs JetPack, which TensorRT 11 does not support" in n for n in notes)
    old = explain(residual_block(True), "--target", "tensorrt-10", "--gpu", "orin-nx-16gb")
    assert "JetPack" not in old


def test_the_witnesses_of_the_estimates_stand_below_them_once(explain: Explain) -> None:
    words = [word for name in ("a40", "rtx-3090", "a30") for word in ("--gpu", name)]
    said = explain(residual_block(True), *words).splitlines()
    lines = [line.split(maxsplit=1)[1] for line in said if line.startswith("  witness ")]
    assert [line.partition(" (")[0] for line in lines] == [
        "A40, GeForce RTX 3090: constants of resnet34-a40-batch-1",
        "A30: constants of unet-resnet34-int8",
    ]
    assert lines[1].endswith("; 8 whole networks, not fitted to: at most 11 % off")


def test_a_node_is_told_what_builders_chose_for_such_layers(explain: Explain) -> None:
    model = residual_block(True)
    told = explain(model, "--node", "conv2", "--batch", "512", "--gpu", "l4")
    (line,) = (line.strip() for line in told.splitlines() if " witness " in line)
    assert line.startswith("witness    sparse ran in 6 of 6 such layers")
    assert line.endswith("; no witness of Ada")
    assert "witness    none of such a layer" in explain(model, "--node", "conv2", "--batch", "1")
    (row,) = as_json(explain, model, "--node", "conv2", "--batch", "512")["ledger"]
    assert (row["witness"]["sparse"], row["witness"]["layers"]) == (6, 6)
    rows = as_json(explain, model, "--batch", "1")["ledger"]
    assert [row["witness"] for row in rows] == [None] * 3


def sparse_convs(channels: int, quantized: bool = True) -> onnx.ModelProto:
    """Two convolutions with 2:4 weights, the first one between codes."""
    net = Net(("batch", channels, 64, 64))
    value = "x"
    for name in ("one", "two"):
        codes = np.ones((channels, channels, 3, 3), np.float32)
        codes[:, ::2] = 0
        if not quantized:
            value = net.op("Conv", value, net.constant(f"{name}_w", codes), pads=[1] * 4)
            continue
        scale = net.constant(f"{name}_s", np.full(channels, 0.01, np.float32))
        zero = net.constant(f"{name}_z", np.zeros(channels, np.int8))
        stored = net.constant(f"{name}_w", codes.astype(np.int8))
        weight = net.op("DequantizeLinear", stored, scale, zero, axis=0)
        value = net.op("Conv", net.qdq(value), weight, name=name, pads=[1] * 4)
    return net.model(net.op("Relu", value))


def times_and_products(explain: Explain, model: onnx.ModelProto) -> tuple[float, float]:
    """How many times fewer seconds and products 2:4 takes."""
    data = as_json(explain, model, "--batch", "32", "--gpu", "a40")
    estimate, macs = data["estimates"][0], data["macs"]
    return estimate["dense_seconds"] / estimate["sparse_seconds"], macs["dense"] / macs["sparse"]


def test_2_4_counts_where_it_pays_and_nowhere_else(explain: Explain) -> None:
    faster, fewer = times_and_products(explain, sparse_convs(256))
    assert 1.1 < faster < 1.6 and fewer > 1.3  # the last one writes floats
    assert times_and_products(explain, sparse_convs(16)) == (1, 1)  # too small to pay
    assert times_and_products(explain, sparse_convs(256, quantized=False)) == (1, 1)  # FP32


def test_whether_2_4_pays_is_asked_of_the_gpu_that_is_named(explain: Explain) -> None:
    """64 channels on 4 images of 64x64: tiles for an Orin's 8 multiprocessors, not for 108."""

    def paying(*words: str) -> int:
        ledger = as_json(explain, sparse_convs(64), "--batch", "4", *words)["ledger"]
        return sum(row["pays"]["holds"] for row in ledger)

    assert paying() == paying("--gpu", "a100-sxm-80gb") == 0
    assert paying("--gpu", "orin-nx-16gb") == 2
    assert paying("--gpu", "orin-nx-16gb", "--knob", "multiprocessors=108") == 0
    assert paying("--gpu", "all") == 0


def test_the_kernels_and_the_ledger_follow(explain: Explain) -> None:
    text = explain(residual_block(True))
    row = next(line for line in text.splitlines() if "conv_add_act" in line)
    assert row.split()[:5] == ["3", "conv_add_act", "conv,", "add,", "relu"]
    assert row.split()[5:7] == ["INT8", "INT8"]
    assert "conv2" in text and "64x64x3x3" in text
    assert "not 2:4: it is dense (3: conv1, conv2, conv3)" in text


def test_long_tables_are_cut_with_a_hint(explain: Explain) -> None:
    net, value = Net(), "x"
    for index in range(60):
        value = net.conv(net.op("Relu", value), f"conv{index}")
    model = net.model(value)
    assert "more kernels: --verbose shows all of them" in explain(model)
    assert "more operators: --verbose shows all of them" in explain(model)
    whole = explain(model, "--verbose")
    assert "--verbose" not in whole and "conv59" in whole


def test_the_json_says_the_same(explain: Explain) -> None:
    data = as_json(explain, residual_block(True), "--gpu", "t4", "--gpu", "L4")
    assert data["int8_nodes"] == ["conv1", "conv2", "conv3"]
    assert data["kernel_count"] == len(data["kernels"]) == 4
    assert data["traffic"]["read_bytes"] == sum(k["bytes_read"] for k in data["kernels"])
    assert [e["gpu"] for e in data["estimates"]] == ["t4", "l4"]
    assert [v["value"] for v in data["plan"]["values"]] == ["x", "relu_4", "relu_12"]
    assert [r["two_four"]["holds"] for r in data["ledger"]] == [False] * 3


def test_the_plan(explain: Explain) -> None:
    text = explain(residual_block(True), "--plan")
    assert "values in INT8; those of one group have one scale" in text
    assert any(line.split()[:4] == ["1", "x", "0.05", "1"] for line in text.splitlines())
    assert "conv1_w" in text and "axis 0" in text


def test_one_node(explain: Explain) -> None:
    text = explain(residual_block(True), "--node", "conv2", "--batch", "2")
    assert text.startswith("kernel 3 of 4: conv_add_act (conv, add, relu)\n")
    assert "reads      relu_4 INT8 2x64x16x16 (32.8 kB), given by the kernel of relu_4" in text
    assert "writes     relu_12 INT8 2x64x16x16 (32.8 kB), read by the kernel of conv_16" in text
    assert "2:4 codes  no: it is dense" in text
    data = as_json(explain, residual_block(True), "--node", "add_11")
    assert [k["kind"] for k in data["kernels"]] == ["conv_add_act"]
    assert (data["given_by"], data["read_by"]) == (["relu_4"], ["conv_16"])


def test_why_a_node_is_float(explain: Explain) -> None:
    text = explain(float_conv(), "--node", "conv")
    assert "INT8 in    no: its data 'x' are an input of the graph in float" in text


def test_a_node_that_is_not_there(explain: Explain) -> None:
    assert "or 'conv1'" in explain(residual_block(True), "--node", "conv_1", code=2)


def test_a_node_that_is_computed_before(explain: Explain) -> None:
    net = Net()
    doubled = net.op("Add", net.constant("one", np.float32(1)), "one")
    model = net.model(net.op("Mul", "x", doubled))
    assert "before the network runs" in explain(model, "--node", doubled, code=2)


def test_unknown_gpus_targets_and_shapes(explain: Explain) -> None:
    assert "did you mean 'a40'" in explain(float_conv(), "--gpu", "a41", code=2)
    assert "no target" in explain(float_conv(), "--target", "tensorrt-12", code=2)
    assert "not a shape" in explain(float_conv(), "--shape", "x:big", code=2)
    assert "one at a time" in explain(
        float_conv(), "--node", "conv", "--engine", "listing.json", code=2
    )


@pytest.mark.parametrize("content", [b"", b"no model", b"\x08\x0a\x3a"])
def test_broken_files(tmp_path: Path, content: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "broken.onnx").write_bytes(content)
    assert cli.run(["explain", str(tmp_path / "broken.onnx")]) == 3
    assert "broken.onnx" in capsys.readouterr().err
    assert cli.run(["explain", str(tmp_path / "missing.onnx")]) == 2


def test_the_prediction_beside_a_real_engine(explain: Explain, tmp_path: Path) -> None:
    listing = tmp_path / "report.json"
    listing.write_text(json.dumps(compile_rtx(residual_block(True)).to_json()))
    words = ("--engine", str(listing), "--target", "tensorrt-rtx")
    text = explain(residual_block(True), *words)
    assert "weighted ops in INT8              3  3" in text
    assert "split where one kernel was predicted: 3" in text
    data = as_json(explain, residual_block(True), *words)["comparison"]
    assert data["int8"] == {"predicted": 3, "engine": 3}
    assert {d["kind"] for d in data["differences"]} == {"split"}


def test_an_engine_of_another_file(explain: Explain, tmp_path: Path) -> None:
    listing = tmp_path / "report.json"
    listing.write_text(json.dumps(compile_rtx(residual_block(True)).to_json()))
    assert "names no node" in explain(
        quantized_conv_named("other"), "--engine", str(listing), code=3
    )


def quantized_conv_named(name: str) -> onnx.ModelProto:
    model = quantized_conv()
    for index, node in enumerate(model.graph.node):
        node.name = f"{name}{index}"
    return model


def strided(size: int | str) -> onnx.ModelProto:
    """A strided convolution on images of a size, its half added to a second one, pooled."""
    net = Net(("batch", 16, size, size))
    first = net.op("Relu", net.conv("x", "conv1"))
    small = net.op("MaxPool", first, kernel_shape=[2, 2], strides=[2, 2])
    second = net.op("Relu", net.op("Add", net.conv(small, "conv2"), net.qdq(small)))
    return net.model(net.op("GlobalAveragePool", second))


@pytest.mark.parametrize("sizes", [("side", "side"), ("height", "width"), (-1, -1), (None, None)])
def test_given_shapes_win_over_symbols_that_are_stored(
    explain: Explain, sizes: tuple[str | int | None, ...]
) -> None:
    """`explain` stores what onnx infers: a symbol for each size that the model leaves open."""
    known = as_json(explain, strided(12), "--batch", "4")
    symbolic = strided("side")
    dims = symbolic.graph.input[0].type.tensor_type.shape.dim[2:]
    for dim, size in zip(dims, sizes, strict=True):
        dim.Clear()
        if size is not None:
            setattr(dim, "dim_param" if isinstance(size, str) else "dim_value", size)
    given = as_json(explain, symbolic, "--shape", "x:4x16x12x12")
    for figure in ("kernels", "macs", "traffic", "ledger"):
        assert given[figure] == known[figure]
    assert known["ledger"][0]["macs"] == 4 * 16 * 12 * 12 * 16 * 9
