"""What the report says of a layer is read off the graph, not off what a pass meant to do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import sparqc
from sparqc.ir.graph import Value
from sparqc.report.layers import LayerRow, layer_rows, other_rows, residual_adds
from sparqc.report.reading import Account, report_of
from tests import small_models


@pytest.fixture
def compiled() -> sparqc.Compiled:
    """The small network with everything done to it."""
    space: dict[str, object] = {}
    exec(small_models.MODEL, space)
    net, inputs = space["Net"]().eval(), (torch.randn(4, 16, 8, 8),)  # type: ignore[operator]
    return sparqc.compile(net, inputs, calibration=lambda: [inputs], passes="all-sparse")


def row(compiled: sparqc.Compiled, name: str) -> LayerRow:
    rows = {r.name: r for r in layer_rows(compiled.graph, compiled.context)}
    return rows[name]


def weight_codes(compiled: sparqc.Compiled, name: str) -> Value:
    """The constant that holds a layer's INT8 weight."""
    node = compiled.graph.value(row(compiled, name).value).producer
    assert node is not None
    codes = list(node.inputs)[1].producer
    assert codes is not None
    return codes.operands["x"]  # type: ignore[return-value]


def test_everything_done(compiled: sparqc.Compiled) -> None:
    found = row(compiled, "conv1")
    assert found.int8 and found.sparse
    assert (found.float_reason, found.dense_reason) == ("", "")
    assert (found.op, found.shape, found.weight) == ("nn.conv", (16, 16, 3, 3), "conv1.weight")


def test_codes_that_are_not_2_4_are_dense_whatever_was_meant(compiled: sparqc.Compiled) -> None:
    codes = weight_codes(compiled, "conv2")
    codes.data = np.ones_like(codes.data)
    found = row(compiled, "conv2")
    assert not found.sparse
    assert found.dense_reason == "meant to be 2:4, but its stored codes are not"


def test_a_quantizer_that_was_lost_makes_the_layer_float(compiled: sparqc.Compiled) -> None:
    graph = compiled.graph
    node = graph.value(row(compiled, "conv2").value).producer
    assert node is not None
    graph.set_operand(node, "x", next(v for v in graph.inputs))
    found = row(compiled, "conv2")
    assert not found.int8
    assert found.float_reason == "meant to be INT8, but its Q/DQ pairs were lost on the way"


def test_a_model_that_is_2_4_by_itself_is_sparse_without_prune() -> None:
    layer = nn.Conv2d(16, 16, 1).eval()
    layer.weight.data[:, ::2] = 0
    made = sparqc.compile(layer, (torch.randn(2, 16, 4, 4),), passes="float")
    (found,) = layer_rows(made.graph, made.context)
    assert found.sparse and not found.int8
    assert "`place` did not run" in found.float_reason


def test_reasons_are_those_of_the_passes() -> None:
    net = nn.Sequential(nn.Conv2d(16, 32, 1), nn.Conv2d(32, 32, 3, groups=32)).eval()
    x = (torch.randn(2, 16, 8, 8),)
    made = sparqc.compile(net, x, calibration=lambda: [x], exclude=("0",))
    rows = layer_rows(made.graph, made.context)
    assert rows[0].float_reason == "excluded by --exclude 0"
    assert "grouped convolutions" in rows[1].dense_reason


def test_operators_without_weights_and_adds(compiled: sparqc.Compiled) -> None:
    assert [(r.op, r.int8) for r in other_rows(compiled.graph, compiled.context)] == [
        ("nn.reduce_mean", True)
    ]
    adds = residual_adds(compiled.graph, compiled.context)
    assert (adds.none, adds.one, adds.both) == (0, 1, 0)


def test_the_report_holds_what_compile_found(compiled: sparqc.Compiled, tmp_path: Path) -> None:
    compiled.save(tmp_path / "out.onnx")
    report = report_of(compiled, Account("model.py"))
    assert (report.int8_layers, report.sparse_layers) == (3, 3)
    assert report.sizes.file_bytes == (tmp_path / "out.onnx").stat().st_size
    assert "--minShapes=x:1x16x8x8" in report.build_line


def test_free_sizes_beside_the_batch_are_built_as_the_example_has_them(tmp_path: Path) -> None:
    class Rows(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.relu()

    made = sparqc.compile(Rows(), (torch.randn(4, 8),), passes="float")
    (value,) = made.graph.inputs
    dims = made.model.graph.input[0].type.tensor_type.shape.dim
    dims[1].dim_param = "length"
    made.save(tmp_path / "out.onnx")
    line = report_of(made, Account("model.py")).build_line
    assert f"--minShapes={value.name}:1x8" in line and f"--maxShapes={value.name}:4x8" in line
