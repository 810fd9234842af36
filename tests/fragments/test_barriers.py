"""What runs in float whatever stands around it: LSTMs, custom operators, other functions."""

import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from sparqc import api
from sparqc.passes.place.placement import Placement
from sparqc.pipeline import run as pipeline
from tests.fragments.roads import Function, conv, hold, image


def test_an_lstm():
    net = Function(lambda m, x: m.b(m.lstm(m.a(x))[0]), a=nn.Linear(32, 32), b=nn.Linear(32, 32),
                   lstm=nn.LSTM(32, 32, batch_first=True))  # fmt: skip
    roads = hold(net, torch.randn(2, 5, 32),
                 reads={"x": "linear_matmul", "lstm": "linear_1_matmul"})  # fmt: skip
    (lstm,) = roads.fx.graph.of("LSTM")
    assert roads.fx.graph.dequantized_inputs(lstm) == 0


@pytest.mark.parametrize(
    ("function", "last"),
    [(torch.exp, "exp"), (lambda y: y.cumsum(1), "cumsum"), (lambda y: y.softmax(1), "softmax")],
    ids=["exp", "cumsum", "softmax"],
)
def test_another_function(function, last):
    net = Function(lambda m, x: m.b(function(m.a(x))), a=conv(), b=conv())
    hold(net, image(), reads={"x": "conv", last: "output"})


def custom_model():
    """Conv, an operator of an unknown domain with several inputs, Conv."""
    weight = torch.randn(32, 32, 1, 1).numpy()
    shape = ["batch", 32, 8, 8]
    nodes = [
        helper.make_node("Conv", ["x", "v"], ["c"], "front"),
        helper.make_node("Deform", ["c", "x"], ["d"], "custom", domain="com.example"),
        helper.make_node("Conv", ["d", "w"], ["y"], "behind"),
    ]
    graph = helper.make_graph(
        nodes,
        "custom",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(weight, name) for name in ("v", "w")],
        value_info=[helper.make_tensor_value_info(n, TensorProto.FLOAT, shape) for n in "cd"],
    )
    domains = [helper.make_opsetid("", 20), helper.make_opsetid("com.example", 1)]
    return helper.make_model(graph, opset_imports=domains, ir_version=10)


@torch.library.custom_op("fragments::deform", mutates_args=())
def deform(y: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    return y + x.mean()


@deform.register_fake
def _(y: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    return torch.empty_like(y)


def custom_module():
    return Function(lambda m, x: m.b(deform(m.a(x), x)), a=conv(size=1), b=conv(size=1)).eval()


@pytest.mark.parametrize("road", ["fx", "onnx"])
def test_a_custom_operator_reads_and_gives_floats(road):
    """Nobody but its author can run it, so the placed graph is looked at."""
    model, inputs = (custom_module(), (image(),)) if road == "fx" else (custom_model(), None)
    job = api.new_job(model, inputs, options=api.make_options())
    line = pipeline.parse("cleanup, fold, attention, place")
    graph = pipeline.run(line, job.graph, job.context)
    (custom,) = (n for n in graph.nodes if "eform" in n.op)
    front, x = custom.inputs
    assert front.producer.op == "nn.conv"
    assert x.is_input
    (reader,) = custom.output.readers
    assert reader.op == ("q.qdq" if road == "fx" else "q.quantize")
    quantized = {q.value for q in job.context.facts[Placement].quantizers if q.axis is None}
    assert quantized == {"x", custom.output.name}
