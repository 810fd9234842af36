"""What holds of every prediction, on random graphs with Q/DQ in sensible and in odd places."""

from __future__ import annotations

import numpy as np
import onnx
from hypothesis import given, settings
from hypothesis import strategies as st

from sparqc.predict.engine import PredictedEngine
from sparqc.tools.engine.rtx import compile_rtx
from sparqc.tools.explain.prediction import predict
from tests.engine_models import Net

#: A step takes two earlier values; most use the first only.  All are [batch, 16, 8, 8].
STEPS = (
    "conv", "conv", "conv", "qdq", "float conv", "half conv", "relu", "sigmoid", "qdq",
    "other qdq", "pool", "add", "mul", "concat", "reshape", "transpose",
)  # fmt: skip
Step = tuple[str, int, int]


def step(net: Net, kind: str, a: str, b: str) -> str:
    name = f"n{len(net.nodes)}"
    weight = (16, 16, 3, 3)
    match kind:
        case "conv":
            return net.conv(a, name)
        case "float conv" | "half conv":
            data = a if kind == "float conv" else net.qdq(a)
            stored = net.constant(f"{name}_w", np.full(weight, 0.01, np.float32))
            return net.op("Conv", data, stored, name=name, pads=[1] * 4)
        case "relu" | "sigmoid":
            return net.op(kind.capitalize(), a)
        case "qdq":
            return net.qdq(a)
        case "other qdq":
            net.constant("other", np.float32(0.07))
            codes = net.op("QuantizeLinear", a, "other", "zero")
            return net.op("DequantizeLinear", codes, "other", "zero")
        case "pool":
            return net.op("MaxPool", a, kernel_shape=[3, 3], pads=[1] * 4)
        case "add" | "mul":
            return net.op(kind.capitalize(), a, b)
        case "concat":
            joined = net.op("Concat", a, b, axis=1)
            stored = net.weight(f"{name}_w", (16, 32, 1, 1))
            return net.op("Conv", joined, stored, name=name)
        case "reshape":
            shape = net.constant("shape", np.array([-1, 16, 8, 8]))
            return net.op("Reshape", a, shape)
        case _:
            return net.op("Transpose", a, perm=[0, 1, 3, 2])


@st.composite
def models(draw: st.DrawFn) -> onnx.ModelProto:
    net, values = Net(), ["x"]
    places = st.integers(0, 2)
    for _ in range(draw(st.integers(2, 8))):
        kind, a, b = draw(st.tuples(st.sampled_from(STEPS), places, places))
        values.append(step(net, kind, values[-1 - a % len(values)], values[-1 - b % len(values)]))
    return net.model(values[-1])


def computing(model: onnx.ModelProto) -> list[str]:
    """The nodes that a kernel has to run for: those that the output depends on."""
    producers = {o: n for n in model.graph.node for o in n.output}
    constants = {i.name for i in model.graph.initializer}
    waiting, found = [model.graph.output[0].name], {}
    while waiting:
        node = producers.get(waiting.pop())
        if node is None or node.name in found or set(node.input) <= constants:
            continue
        found[node.name] = node.op_type
        waiting.extend(node.input)
    quiet = {"Reshape", "QuantizeLinear", "DequantizeLinear"}
    return [name for name, kind in found.items() if kind not in quiet]


def consistent(engine: PredictedEngine, model: onnx.ModelProto) -> None:
    nodes = [n for k in engine.kernels for n in k.nodes]
    assert all(nodes.count(name) == 1 for name in computing(model))
    written = {("x", "f32", None)}
    for kernel in engine.kernels:
        reads = {(t.name, t.dtype, t.scale) for t in kernel.inputs}
        writes = {(t.name, t.dtype, t.scale) for t in kernel.outputs}
        assert reads <= written and not writes & written, kernel
        written |= writes
    assert engine.unsized_tensors == 0


@settings(max_examples=60)
@given(models())
def test_each_operator_runs_once_and_reads_what_is_written_before(model: onnx.ModelProto) -> None:
    for target in ("tensorrt-11", "tensorrt-rtx"):
        consistent(predict(model, target, batch=2), model)


@settings(max_examples=25)
@given(models())
def test_the_int8_set_is_that_of_tensorrt_rtx(model: onnx.ModelProto) -> None:
    engine, report = predict(model, "tensorrt-rtx", batch=2), compile_rtx(model, batch=2)
    assert report.accepted
    known = {o.node for o in report.operators} - set(report.unknown_nodes)
    assert known & set(engine.int8_nodes) == set(report.int8_nodes)
