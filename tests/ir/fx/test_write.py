"""Writing graphs as modules that run, train, and can be exported again."""

import copy

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from sparqc.capture.capture import capture
from sparqc.errors import SparqcError
from sparqc.ir.fx.adapter import read_fx, take_weights, write_fx
from sparqc.ir.graph import Graph, TensorType
from sparqc.ir.text.print import parse_graph, print_graph
from sparqc.ir.vocabulary.table import default_table

TABLE = default_table()


class Net(nn.Module):
    """A weight that trains, one that does not, a buffer, a scalar, and a tuple as result."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(inplace=True))
        self.head = nn.Linear(8, 4)
        self.head.bias.requires_grad = False
        self.temperature = nn.Parameter(torch.tensor(2.0))
        self.register_buffer("offset", torch.arange(4.0))

    def forward(self, x):
        y = self.head(self.body(x).mean((2, 3)))
        return y / self.temperature, {"shifted": y + self.offset, "nothing": None}


@pytest.fixture
def net():
    return Net().eval()


@pytest.fixture
def graph(net):
    return capture(net, (torch.randn(2, 3, 8, 8),)).graph


def test_the_module_computes_the_same_and_nests_it_the_same(net, graph):
    written, x = write_fx(graph, TABLE), torch.randn(5, 3, 8, 8)
    written.graph.lint()
    (expected, named), (actual, also) = net(x), written(x)
    assert torch.equal(actual, expected)
    assert also.keys() == named.keys() and also["nothing"] is None
    assert torch.equal(also["shifted"], named["shifted"])


def test_parameters_and_buffers_keep_their_names_and_kinds(net, graph):
    written = write_fx(graph, TABLE)
    own = {k: v for k, v in net.state_dict().items() if not k.endswith("num_batches_tracked")}
    assert written.state_dict().keys() == own.keys()
    trained = {name for name, p in written.named_parameters() if p.requires_grad}
    assert trained == {n for n, p in net.named_parameters() if p.requires_grad}


def test_nodes_are_named_after_values(graph):
    names = {node.name for node in write_fx(graph, TABLE).graph.nodes}
    assert {v.name for node in graph.nodes for v in node.outputs} <= names


def test_the_written_module_reads_back_as_the_same_graph(graph):
    again = read_fx(write_fx(graph, TABLE), TABLE)
    assert print_graph(again, TABLE) == print_graph(graph, TABLE)


def test_the_written_module_can_be_captured_again(graph):
    again = capture(write_fx(graph, TABLE), (torch.randn(2, 3, 8, 8),)).graph
    text = print_graph(again, TABLE, origins=False)
    assert text == print_graph(graph, TABLE, origins=False)


def test_the_written_module_can_be_exported_to_onnx(graph):
    module, x = write_fx(graph, TABLE), torch.randn(2, 3, 8, 8)
    program = torch.export.export(module, (x,), strict=False)
    result = torch.onnx.export(program, dynamo=True, verbose=False)
    onnx.checker.check_model(result.model_proto)


def test_training_the_module_changes_the_graph(graph):
    module = write_fx(graph, TABLE)
    before = graph.value("head.weight").data.copy()
    optimizer = torch.optim.SGD(module.parameters(), 0.1)
    module(torch.randn(2, 3, 8, 8))[0].square().sum().backward()
    optimizer.step()
    assert not np.array_equal(graph.value("head.weight").data, before)
    assert graph.value("temperature").data != 2


def test_weights_of_a_trained_copy_are_taken_over(graph):
    module = copy.deepcopy(write_fx(graph, TABLE)).double().float()
    with torch.no_grad():
        module.head.weight.add_(1)
    before = graph.value("head.weight").data.copy()
    take_weights(graph, module)
    np.testing.assert_array_equal(graph.value("head.weight").data, before + 1)


def test_weights_of_another_module_are_refused(graph):
    with pytest.raises(SparqcError, match="was not written from this graph"):
        take_weights(Graph("fx"), write_fx(graph, TABLE))


def test_a_weight_that_a_rule_made_trains_and_a_scale_does_not(graph):
    conv = next(n for n in graph.nodes if n.op == "nn.conv")
    weight = graph.constant(conv.operands["w"].data * 2, "folded")
    scale = graph.constant(np.full(8, 0.01, np.float32), "scale")
    attributes = {"axis": 0, "low": -127, "high": 127}
    operands = {"x": weight, "scale": scale, "zero_point": None}
    qdq = graph.create("q.qdq", operands, attributes, types=[weight.type], before=conv)
    graph.set_operand(conv, "w", qdq.output)
    module = write_fx(graph, TABLE)
    assert module.folded.requires_grad
    assert "scale" in dict(module.named_buffers())
    module(torch.randn(2, 3, 8, 8))[0].sum().backward()
    assert module.folded.grad.abs().sum() > 0


def test_a_graph_made_by_hand_can_be_written():
    text = """graph mine on fx (x: f32[batch, 4]) -> (y):
        w: const f32[2, 4] = [[1.0, 2.0, 3.0, 4.0], [0.0, 1.0, 0.0, 1.0]]
        h = nn.linear(x, w, none) : f32[batch, 2]
        y = aten.cumsum.default(h, dim=1, dtype="f64") : f64[batch, 2]
        return y
    """
    module = write_fx(parse_graph(text, TABLE), TABLE)
    expected = torch.tensor([[10.0, 12.0]], dtype=torch.float64)
    assert torch.equal(module(torch.ones(1, 4)), expected)


def test_uneven_padding_is_written_as_a_pad():
    graph = Graph("fx")
    x = graph.add_input("x", TensorType("f32", (1, 1, 4, 4)))
    w = graph.constant(np.ones((1, 1, 3, 3), np.float32), "w")
    row = TABLE.require("nn.conv")
    attributes = {**row.attributes, "pads": (0, 0, 1, 2)}
    node = graph.create("nn.conv", {"x": x, "w": w, "b": None}, attributes)
    graph.set_outputs([node.output])
    module = write_fx(graph, TABLE)
    assert module(torch.ones(1, 1, 4, 4)).shape == (1, 1, 3, 4)
    assert [n.op for n in read_fx(module, TABLE).nodes] == ["nn.pad", "nn.conv"]


def test_names_that_collide_are_kept_apart():
    graph = Graph("fx")
    x = graph.add_input("x", TensorType("f32", (2,)))
    inner = graph.constant(np.ones(2, np.float32), "a.b")
    outer = graph.constant(np.full(2, 3, np.float32), "a")
    first = graph.create("nn.add", {"a": x, "b": inner}, types=[x.type])
    second = graph.create("nn.add", {"a": first.output, "b": outer}, types=[x.type])
    graph.set_outputs([second.output])
    assert torch.equal(write_fx(graph, TABLE)(torch.zeros(2)), torch.full((2,), 4.0))


def test_an_operator_of_onnx_only_is_refused():
    graph = Graph("fx")
    x = graph.add_input("x", TensorType("f32", (2,)))
    scale = graph.constant(np.float32(1), "scale")
    operands = {"x": x, "scale": scale, "zero_point": None}
    node = graph.create("q.quantize", operands, {"axis": None, "to": "i8"})
    graph.set_outputs([node.output])
    with pytest.raises(SparqcError, match=r"q.quantize has no form in PyTorch"):
        write_fx(graph, TABLE)


def test_an_onnx_graph_is_refused():
    with pytest.raises(SparqcError, match="cannot be written as a PyTorch module"):
        write_fx(Graph("onnx"), TABLE)
