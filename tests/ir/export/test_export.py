"""From FX to ONNX through the operator table."""

from collections import Counter

import numpy as np
import onnx
import pytest
import torch

from sparqc.errors import SparqcError
from sparqc.ir.export.direct import to_onnx
from sparqc.ir.fx.adapter import read_fx
from sparqc.ir.graph import TensorType
from sparqc.ir.levels.execute import open_runner
from sparqc.ir.onnx.adapter import write_onnx
from sparqc.ir.text.print import print_graph
from sparqc.ir.vocabulary.table import default_table
from tests.ir.models import Quantized, exported

TABLE = default_table()
INPUT = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def captured(model):
    return read_fx(exported(model, INPUT), TABLE, name="net")


def run(graph, x):
    return open_runner(graph, TABLE).run([x.numpy()])[0][0]


@pytest.fixture(scope="module")
def fx_graph():
    torch.manual_seed(0)
    return captured(Quantized())


@pytest.fixture(scope="module")
def exported_graph(fx_graph):
    return to_onnx(fx_graph, TABLE, 20)


def test_the_exported_graph_computes_the_same(fx_graph, exported_graph):
    for count in (2, 5):
        x = torch.randn(count, 3, 8, 8)
        assert np.allclose(run(exported_graph, x), run(fx_graph, x), atol=1e-6)


def test_onnx_accepts_it(exported_graph):
    onnx.checker.check_model(write_onnx(exported_graph, TABLE), full_check=True)


def test_the_fx_graph_stays_as_it_was(fx_graph):
    before = print_graph(fx_graph)
    to_onnx(fx_graph, TABLE, 20)
    assert print_graph(fx_graph) == before


def test_a_second_export_gives_the_same_bytes(fx_graph):
    first, second = (write_onnx(to_onnx(fx_graph, TABLE, 20), TABLE) for _ in range(2))
    assert first.SerializeToString() == second.SerializeToString()


def test_values_weights_and_origins_carry_over(fx_graph, exported_graph):
    for name in ("conv", "relu", "add", "conv_1"):
        assert name in exported_graph
    for name in ("stem.weight", "conv.bias", "mix.weight"):
        assert exported_graph.value(name).is_const
    assert [v.name for v in exported_graph.inputs] == ["x"]
    assert exported_graph.inputs[0].type == TensorType("f32", ("batch", 3, 8, 8))
    assert exported_graph.output_names == fx_graph.output_names
    origin = exported_graph.value("conv").producer.origin
    assert origin.module == "stem"
    assert origin.source.startswith("models.py:")


def test_what_stands_between_layers_has_a_type_too(exported_graph):
    """The MatMul of a linear layer, codes, and sizes: no value of the FX graph tells these."""
    values = [v for n in exported_graph.nodes for v in n.outputs]
    assert all(v.type.dtype != "?" and v.shape is not None for v in values)
    (product,) = (n.output for n in exported_graph.nodes if n.op == "nn.matmul")
    assert product.type == TensorType("f32", ("batch", 64, 8))


def test_sizes_that_are_computed_have_types():
    class Shaped(torch.nn.Module):
        def forward(self, x):
            return x.reshape(x.shape[0], x.shape[2] * 3, -1, x.shape[0] // x.shape[0])

    sizes = {0: torch.export.Dim("batch"), 2: torch.export.Dim("height")}
    program = torch.export.export(Shaped(), (INPUT,), dynamic_shapes=(sizes,), strict=False)
    graph = to_onnx(read_fx(program.module(check_guards=False), TABLE), TABLE, 20)
    made = [v for n in graph.nodes for v in n.outputs if not v.is_output]
    assert made and {v.type.dtype for v in made} == {"i64"}
    assert {v.type.rank for v in made} == {0, 1}


def test_every_quantizer_is_a_pair_and_masks_are_folded(exported_graph):
    count = Counter(n.op for n in exported_graph.nodes)
    assert count["q.quantize"] == count["q.dequantize"] == 4
    assert count["q.qdq"] == count["sparse.mask"] == 0
    (pair,) = (n for n in exported_graph.nodes if n.op == "q.quantize"
               and n.operands["x"].name == "conv.weight")  # fmt: skip
    assert (pair.operands["x"].data == 0).mean() > 0.4
    assert pair.attributes["axis"] == 0


def test_channel_axes_are_always_written(exported_graph):
    for node in write_onnx(exported_graph, TABLE).graph.node:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            per_channel = exported_graph.value(node.input[1]).shape != ()
            assert ("axis" in [a.name for a in node.attribute]) == per_channel
            assert len(node.input) == 3  # the zero point, too


def test_the_weight_of_a_linear_layer_over_tokens_is_transposed_where_it_is_stored(
    exported_graph, fx_graph
):
    (product,) = (n for n in exported_graph.nodes if n.op == "nn.matmul")
    dequantize = product.operands["b"].producer
    assert dequantize.op == "q.dequantize"
    assert dequantize.attributes["axis"] == 1
    quantize = dequantize.operands["x"].producer
    weight = fx_graph.value("mix.weight").data
    assert np.array_equal(quantize.operands["x"].data, weight.T)


@pytest.mark.parametrize("opset", [13, 17, 18, 21])
def test_any_opset(fx_graph, opset):
    graph = to_onnx(fx_graph, TABLE, opset)
    model = write_onnx(graph, TABLE)
    onnx.checker.check_model(model, full_check=True)
    assert model.opset_import[0].version == opset
    assert np.allclose(run(graph, INPUT), run(fx_graph, INPUT), atol=1e-6)


def test_inputs_and_outputs_can_be_named(fx_graph):
    graph = to_onnx(fx_graph, TABLE, 20, input_names=["image"], output_names=["conv"])
    assert [v.name for v in graph.inputs] == ["image"]
    assert graph.output_names == ["conv"]
    model = write_onnx(graph, TABLE)
    assert (model.graph.input[0].name, model.graph.output[0].name) == ("image", "conv")
    onnx.checker.check_model(model, full_check=True)


def test_a_quantizer_without_a_scale_is_not_exported():
    model = Quantized()
    model.scale.fill_(float("nan"))
    with pytest.raises(SparqcError, match="has no scale yet"):
        to_onnx(captured(model), TABLE, 20)
