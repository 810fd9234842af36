"""ONNX files that lie: read, or refused by a sentence, and never by a traceback."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from sparqc.errors import SparqcError
from sparqc.ir.onnx.load import load_onnx
from sparqc.ir.onnx.read import read_onnx
from sparqc.ir.vocabulary.table import default_table
from sparqc.tools.engine.onnx_source import read_source

Change = Callable[[onnx.ModelProto], object]


def conv(**attributes: Any) -> onnx.ModelProto:
    weight = numpy_helper.from_array(np.ones((8, 4, 3, 3), np.float32), "w")
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["y"], name="conv", **attributes),
        helper.make_node("Relu", ["y"], ["z"], name="relu"),
    ]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["b", 4, 8, 8])
    z = helper.make_tensor_value_info("z", TensorProto.FLOAT, ["b", None, None, None])
    graph = helper.make_graph(nodes, "g", [x], [z], [weight])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def ending(op: str, *constants: Any, **attributes: Any) -> onnx.ModelProto:
    """The same with another operator behind, which reads these constants."""
    model = conv()
    names = [f"c{i}" for i in range(len(constants))]
    for name, data in zip(names, constants, strict=True):
        model.graph.initializer.append(numpy_helper.from_array(np.asarray(data), name))
    model.graph.node.append(helper.make_node(op, ["z", *names], ["e"], name="end", **attributes))
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("e", TensorProto.FLOAT, ["q"]))
    return model


def changed(change: Change) -> onnx.ModelProto:
    model = conv()
    change(model)
    return model


def text_weight(model: onnx.ModelProto) -> None:
    weight = model.graph.initializer[0]
    weight.ClearField("raw_data")
    weight.data_type = TensorProto.STRING
    weight.string_data.extend([b"x"] * 288)


def weight(**fields: Any) -> Change:
    def change(model: onnx.ModelProto) -> None:
        tensor = model.graph.initializer[0]
        for name, value in fields.items():
            if name == "dims":
                tensor.dims[:] = value
            else:
                setattr(tensor, name, value)

    return change


def constant(**attributes: Any) -> Change:
    def change(model: onnx.ModelProto) -> None:
        model.graph.node.insert(0, helper.make_node("Constant", [], ["k"], **attributes))
        model.graph.node[1].input.append("k")

    return change


MODELS: dict[str, Callable[[], onnx.ModelProto]] = {
    "strides of 0": lambda: conv(strides=[0, 0]),
    "strides of 2^62": lambda: conv(strides=[2**62, 1]),
    "pads of two": lambda: conv(pads=[1, 1]),
    "pads of 2^40": lambda: conv(pads=[2**40] * 4),
    "no group": lambda: conv(group=0),
    "strides that are text": lambda: conv(strides="ab"),
    "strides that are floats": lambda: conv(strides=[1.5, 2.5]),
    "kernel_shape of one": lambda: conv(kernel_shape=[7]),
    "auto_pad that is none": lambda: conv(auto_pad="WHAT"),
    "weights of text": lambda: changed(text_weight),
    "weights cut off": lambda: changed(weight(raw_data=b"12345")),
    "weights of 10^36": lambda: changed(weight(dims=[2**40] * 3)),
    "weights of no elements": lambda: changed(weight(dims=[0, 4, 3, 3], raw_data=b"")),
    "weights of type 99": lambda: changed(weight(data_type=99)),
    "weights of type int4": lambda: changed(weight(data_type=22)),
    "a constant without a value": lambda: changed(constant()),
    "a constant of text": lambda: changed(constant(value_string="hello")),
    "a constant of two values": lambda: changed(constant(value_float=1.0, value_int=3)),
    "names of 5,000 letters": lambda: changed(
        lambda m: [setattr(n, "name", "n" * 5000) for n in m.graph.node]
    ),
    "an opset of 2^40": lambda: changed(lambda m: setattr(m.opset_import[0], "version", 2**40)),
    "an opset below 0": lambda: changed(lambda m: setattr(m.opset_import[0], "version", -5)),
    "no inputs": lambda: changed(lambda m: m.graph.node[0].ClearField("input")),
    "a slice of nothing": lambda: ending("Slice", np.zeros(0, int), np.zeros(0, int)),
    "a slice in steps of 0": lambda: ending("Slice", [0], [4], [1], [0]),
    "a reshape to -1, -1": lambda: ending("Reshape", [-1, -1, -7]),
    "a reshape to floats": lambda: ending("Reshape", np.float32([1, 2])),
    "a transpose along axis 9": lambda: ending("Transpose", perm=[9, 9, 1]),
    "a concat along axis 9": lambda: ending("Concat", np.ones((1, 1), np.float32), axis=9),
    "a concat along nothing": lambda: ending("Concat", np.ones((1, 1), np.float32)),
    "a padding of 10^12": lambda: ending("Pad", [10**12] * 8),
    "a tiling of 10^12": lambda: ending("Tile", [10**12] * 4),
    "a split into -1": lambda: ending("Split", [-1, 5]),
    "a squeeze of axis 50": lambda: ending("Squeeze", [50]),
    "an unsqueeze of axis 50": lambda: ending("Unsqueeze", [50, -50]),
    "a pool of 0": lambda: ending("MaxPool", kernel_shape=[0, 0]),
    "a pool without a size": lambda: ending("AveragePool"),
    "a cast to 99": lambda: ending("Cast", to=99),
    "a batch norm without statistics": lambda: ending("BatchNormalization"),
    "an einsum of nothing": lambda: ending("Einsum", equation="ij,,->>"),
    "a scale of 5": lambda: ending("QuantizeLinear", np.ones(5, np.float32)),
    "a scale along axis 77": lambda: ending("QuantizeLinear", np.ones(8, np.float32), axis=77),
    "an operator of nobody": lambda: ending("NoSuchOperator"),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_model_that_lies(tmp_path: Path, name: str) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(MODELS[name]().SerializeToString())
    for read in (lambda: read_onnx(load_onnx(path), default_table()), lambda: read_source(path)):
        try:
            read()
        except SparqcError as error:
            assert len(str(error)) < 12_000


def test_a_slice_of_nothing_is_a_slice_of_everything(tmp_path: Path) -> None:
    graph = read_onnx(MODELS["a slice of nothing"](), default_table())
    (node,) = (n for n in graph.nodes if n.output is graph.outputs[0])
    assert node.op == "nn.identity" and node.inputs
