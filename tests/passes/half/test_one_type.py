"""What an operator computes with has one type, whatever ONNX allows: TensorRT-RTX is the judge."""

import numpy as np
import onnx
import pytest
import torch
import torch.nn.functional as F
from onnx import TensorProto, helper, numpy_helper
from torch import nn

import sparqc
from sparqc.ir.onnx.adapter import read_onnx
from sparqc.ir.vocabulary.table import default_table
from sparqc.passes.half.signatures import signature_of
from sparqc.tools.check.checked import Asked, check_proto
from sparqc.tools.engine.rtx import compile_rtx


class Warp(nn.Module):
    """Samples features at coordinates that a convolution gives."""

    def __init__(self, mode):
        super().__init__()
        self.mode = mode
        self.first = nn.Conv2d(16, 16, 3, padding=1)
        self.flow = nn.Conv2d(16, 2, 3, padding=1)
        self.last = nn.Conv2d(16, 16, 3, padding=1)

    def forward(self, x):
        y = torch.relu(self.first(x))
        grid = torch.tanh(self.flow(y)).permute(0, 2, 3, 1)
        return self.last(F.grid_sample(y, grid, mode=self.mode, align_corners=False))


IMAGES = torch.randn(4, 16, 8, 8, generator=torch.Generator().manual_seed(1))


def compiled(model, passes):
    return sparqc.compile(
        model, (IMAGES,), passes=passes, float="fp16", target="tensorrt-rtx",
        calibration=[(IMAGES,)],
    )  # fmt: skip


@pytest.mark.parametrize("mode", ["bilinear", "bicubic", "nearest"])
@pytest.mark.parametrize("passes", ["float", "int8"])
@pytest.mark.parametrize("road", ["FX", "ONNX"])
def test_image_and_coordinates_of_a_grid_sample(mode, passes, road):
    torch.manual_seed(2)
    model = Warp(mode).eval()
    if road == "ONNX":
        model = sparqc.compile(model, (IMAGES,), passes="export").model
    done = compiled(model, passes)
    (sample,) = [n for n in done.graph.nodes if n.op == "nn.grid_sample"]
    assert {v.type.dtype for v in (*sample.inputs, *sample.outputs)} == {"f32"}
    assert not compile_rtx(done.model).errors


def normalized(opset=21, op_type="GroupNormalization"):
    """Conv, a normalization of which onnx infers nothing, Conv."""
    rng = np.random.default_rng(3)

    def constant(name, *shape):
        return numpy_helper.from_array(rng.normal(0, 0.2, shape).astype(np.float32), name)

    extra = {"num_groups": 4} if op_type == "GroupNormalization" else {}
    operands = ["c", "s", "b"] if extra else ["c"]
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], pads=[1] * 4),
        helper.make_node(op_type, operands, ["n"], **extra),
        helper.make_node("Relu", ["n"], ["r"]),
        helper.make_node("Conv", ["r", "v"], ["y"], pads=[1] * 4),
    ]
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 16, 8, 8])
        for name in ("x", "y")
    ]
    constants = [constant("w", 16, 16, 3, 3), constant("v", 16, 16, 3, 3)]
    constants += [constant("s", 16), constant("b", 16)] if extra else []
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)


@pytest.mark.parametrize("op_type", ["GroupNormalization", "MeanVarianceNormalization"])
@pytest.mark.parametrize("passes", ["float", "int8"])
def test_an_operator_that_onnx_infers_nothing_of_has_a_type(op_type, passes):
    done = compiled(normalized(op_type=op_type), passes)
    made = [v for node in done.graph.nodes for v in node.outputs]
    assert all(v.type.dtype != "?" and v.shape is not None for v in made)
    convolutions = [n for n in done.graph.nodes if n.op == "nn.conv"]
    assert all({v.type.dtype for v in n.inputs} == {"f16"} for n in convolutions)
    if op_type == "GroupNormalization":
        assert not compile_rtx(done.model).errors


@pytest.mark.parametrize(
    ("op_type", "operands", "attributes", "free"),
    [
        ("GridSample", ["x", "y"], {}, ""),
        ("Resize", ["x", "", "", "n"], {}, ""),
        ("Pow", ["x", "y"], {}, ""),
        ("Shape", ["x"], {}, "x"),
        ("IsNaN", ["x"], {}, "x"),
        ("ArgMax", ["x"], {}, "x"),
        ("Cast", ["x"], {"to": TensorProto.FLOAT}, "x"),
    ],
)
def test_only_what_is_not_computed_with_may_have_either_type(op_type, operands, attributes, free):
    read = [o for o in operands if o]
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, 2, 4, 2]) for n in read]
    if "n" in read:
        ends[-1] = helper.make_tensor_value_info("n", TensorProto.INT64, [4])
    node = helper.make_node(op_type, operands, ["z"], **attributes)
    output = helper.make_empty_tensor_value_info("z")
    graph = helper.make_graph([node], "g", ends, [output])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)])
    (made,) = read_onnx(model, default_table()).nodes
    signature = signature_of(made, default_table())
    assert {v.name for v in signature.free} == set(free)
    if not free:
        assert {v.name for v in signature.bound} == {o for o in read if o != "n"}


def test_check_finds_pixels_and_coordinates_of_two_types():
    ends = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2, 4, 4]),
        helper.make_tensor_value_info("grid", TensorProto.FLOAT16, [1, 3, 3, 2]),
    ]
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 2, 3, 3])
    node = helper.make_node("GridSample", ["x", "grid"], ["y"], mode="nearest")
    graph = helper.make_graph([node], "g", ends, [output])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    found = [
        f for f in check_proto(model, Asked("tensorrt-11")).findings if f.id == "mixed-operands"
    ]
    assert found and found[0].message == "y reads f32 pixels at f16 coordinates"


class Products(nn.Module):
    """Two products of one value, whose results meet or not."""

    def __init__(self, layer, join):
        super().__init__()
        self.a, self.b, self.join = layer(), layer(), join

    def forward(self, x):
        a, b = self.a(x), self.b(x)
        return {
            "product": lambda: a @ b.transpose(-1, -2),
            "sum": lambda: torch.relu(a + b),
            "apart": lambda: (torch.softmax(a, -1), torch.softmax(b, -1)),
        }[self.join]()


@pytest.mark.parametrize("kept", ["a", "b"])
@pytest.mark.parametrize("join", ["product", "sum", "apart"])
@pytest.mark.parametrize("rank", [2, 3])
@pytest.mark.parametrize("road", ["FX", "ONNX"])
def test_products_of_one_int8_value_share_a_type(kept, join, rank, road):
    torch.manual_seed(0)
    x = torch.randn((2, 16, 64)[-rank:])
    net = Products(lambda: nn.Linear(64, 64), join).eval()
    if road == "ONNX":
        net = sparqc.compile(net, (x,), passes="export").model
    layer = {"a": "linear", "b": "linear_1"}[kept]
    done = sparqc.compile(
        net, (x,), calibration=[(x,)], target="tensorrt-rtx",
        passes=f'int8,+half{{keep=["{layer}"]}}@instead=half',
    )  # fmt: skip
    codes = [n for n in done.graph.nodes if n.op == "q.dequantize"]
    assert {n.output.type.dtype for n in codes if not n.operands["x"].is_const} == {"f32"}
    report = compile_rtx(done.model)
    assert report.accepted, report.errors


def test_convolutions_of_one_value_may_differ():
    torch.manual_seed(0)
    done = sparqc.compile(
        Products(lambda: nn.Conv2d(16, 16, 1), "sum").eval(), (IMAGES,), calibration=[(IMAGES,)],
        target="tensorrt-rtx", passes='int8,+half{keep=["a"]}@instead=half',
    )  # fmt: skip
    assert compile_rtx(done.model).accepted
