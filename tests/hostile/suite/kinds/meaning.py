"""ONNX files whose structure is right, and which no runtime can compute."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto

from tests.hostile.suite.case import Case, onnx_cases
from tests.hostile.suite.kinds.networks import (
    I64,
    behind,
    conv,
    ending,
    f32,
    i64,
    info,
    model,
    node,
    weight,
)

Make = Callable[[], onnx.ModelProto]


def cases() -> Iterator[Case]:
    yield from onnx_cases(
        "meaning", {**_layers(), **_shapes(), **_types(), **_outputs()}, "refused"
    )
    yield from onnx_cases("numbers", _numbers(), "refused")
    yield from onnx_cases("legal", _legal())
    yield from onnx_cases("random", _random(), "allowed")


def _layers() -> dict[str, Make]:
    return {
        "strides of 0": lambda: conv(strides=[0, 0]),
        "strides of -1": lambda: conv(strides=[-1, -1]),
        "strides of one": lambda: conv(strides=[1]),
        "strides of 2^62": lambda: conv(strides=[2**62, 2**62], pads=[2**62] * 4),
        "dilations of 0": lambda: conv(dilations=[0, 0]),
        "dilations of 2^40": lambda: conv(dilations=[2**40, 1]),
        "pads of two": lambda: conv(pads=[1, 1]),
        "pads of -9": lambda: conv(pads=[-9, -9, -9, -9]),
        "pads of 2^40": lambda: conv(pads=[2**40] * 4),
        "pads of 2^62": lambda: conv(pads=[2**62] * 4),
        "group 0": lambda: conv(group=0),
        "group -4": lambda: conv(group=-4),
        "group 3": lambda: conv(group=3),
        "group 2^40": lambda: conv(group=2**40),
        "a kernel_shape of one": lambda: conv(kernel_shape=[7]),
        "a kernel_shape that differs": lambda: conv(kernel_shape=[5, 5]),
        "an auto_pad of nobody": lambda: conv(auto_pad="WHAT"),
        "a kernel larger than its map": lambda: conv(weight(8, 4, 11)),
        "a kernel of another rank": lambda: conv(np.ones((8, 4, 3), np.float32)),
        "a kernel of rank 2": lambda: conv(np.ones((8, 4), np.float32)),
        "a kernel of rank 0": lambda: conv(np.float32(1)),
        "a kernel of other channels": lambda: conv(weight(8, 5)),
        "a kernel of no channels": lambda: conv(np.ones((8, 0, 3, 3), np.float32)),
        "a kernel of integers": lambda: conv(np.ones((8, 4, 3, 3), np.int64)),
        "a kernel of doubles": lambda: conv(np.ones((8, 4, 3, 3))),
        "a bias of other channels": lambda: model(
            [node("Conv", "x w c", "y")], {"w": weight(), "c": np.ones(7, np.float32)}
        ),
        "a bias of rank 2": lambda: model(
            [node("Conv", "x w c", "y")], {"w": weight(), "c": np.ones((8, 1), np.float32)}
        ),
        "an image of rank 2": lambda: model(
            [node("Conv", "x w", "y")], {"w": weight()}, inputs=[info("x", shape=["b", 4])]
        ),
        "an image of integers": lambda: model(
            [node("Conv", "x w", "y")], {"w": weight()}, inputs=[info("x", I64)]
        ),
        "a pool of 0": lambda: ending("MaxPool", kernel_shape=[0, 0]),
        "a pool of -2": lambda: ending("AveragePool", kernel_shape=[-2, -2]),
        "a pool without a size": lambda: ending("AveragePool"),
        "a pool larger than its map": lambda: ending("MaxPool", kernel_shape=[99, 99]),
        "a pool of three axes": lambda: ending("MaxPool", kernel_shape=[2, 2, 2]),
        "a ConvTranspose of other channels": lambda: ending("ConvTranspose", weight(5, 4)),
        "a ConvTranspose of group 3": lambda: ending("ConvTranspose", weight(8, 4), group=3),
        "a batch norm without statistics": lambda: ending("BatchNormalization"),
        "a batch norm of other channels": lambda: ending("BatchNormalization", *[_ones(7)] * 4),
        "a layer norm of another size": lambda: ending("LayerNormalization", _ones(9), axis=-1),
        "a layer norm of axis 9": lambda: ending("LayerNormalization", _ones(8), axis=9),
        "an instance norm of other channels": lambda: ending(
            "InstanceNormalization", _ones(3), _ones(3)
        ),
        "a Gemm of rank 4": lambda: ending("Gemm", np.ones((8, 8), np.float32)),
        "a Gemm of other sizes": lambda: model(
            [node("Gemm", "x w", "y")], {"w": np.ones((5, 3), np.float32)},
            inputs=[info("x", shape=["b", 4])],
        ),
        "a MatMul of other sizes": lambda: ending("MatMul", np.ones((5, 3), np.float32)),
        "a MatMul of a scalar": lambda: ending("MatMul", np.float32(3)),
        "a PRelu of other channels": lambda: ending("PRelu", np.ones((5, 1, 1), np.float32)),
        "an LSTM of rank 4": lambda: ending(
            "LSTM", np.ones((1, 16, 8), np.float32), np.ones((1, 16, 4), np.float32), hidden_size=4
        ),
    }  # fmt: skip


def _ones(count: int) -> np.ndarray:
    return np.ones(count, np.float32)


def _shapes() -> dict[str, Make]:
    return {
        "a concat along axis 9": lambda: ending("Concat", _ones(8).reshape(1, 8, 1, 1), axis=9),
        "a concat without an axis": lambda: ending("Concat", np.ones((1, 8, 8, 8), np.float32)),
        "a concat of other ranks": lambda: ending("Concat", np.ones((1, 1), np.float32), axis=1),
        "a concat of other sizes": lambda: ending(
            "Concat", np.ones((1, 8, 7, 8), np.float32), axis=1
        ),
        "a concat of other types": lambda: ending("Concat", np.ones((1, 8, 8, 8)), axis=1),
        "a concat of nothing": lambda: model([node("Concat", "", "y", axis=0)]),
        "a transpose along axis 9": lambda: ending("Transpose", perm=[9, 9, 1, 0]),
        "a transpose of three axes": lambda: ending("Transpose", perm=[0, 1, 2]),
        "a transpose along one axis twice": lambda: ending("Transpose", perm=[0, 1, 1, 3]),
        "a reshape to -1, -1": lambda: ending("Reshape", i64(-1, -1, 8)),
        "a reshape to -7": lambda: ending("Reshape", i64(-7)),
        "a reshape to floats": lambda: ending("Reshape", f32(1, 2)),
        "a reshape to another size": lambda: model(
            [node("Reshape", "x s", "y")], {"s": i64(3, 3)}, inputs=[info("x", shape=[2, 4])]
        ),
        "a reshape to 2^62": lambda: ending("Reshape", i64(2**62, 2**62)),
        "a reshape by a matrix": lambda: ending("Reshape", i64(1, 2).reshape(1, 2)),
        "a squeeze of axis 50": lambda: ending("Squeeze", i64(50)),
        "a squeeze of channels": lambda: ending("Squeeze", i64(1)),
        "an unsqueeze of axis 50": lambda: ending("Unsqueeze", i64(50)),
        "an unsqueeze twice": lambda: ending("Unsqueeze", i64(0, 0)),
        "a flatten of axis 9": lambda: ending("Flatten", axis=9),
        "a softmax of axis 9": lambda: ending("Softmax", axis=9),
        "a softmax of axis -9": lambda: ending("Softmax", axis=-9),
        "a mean of axis 9": lambda: ending("ReduceMean", axes=[9]),
        "an argmax of axis 9": lambda: model(
            [node("ArgMax", "x", "y", axis=9)], outputs=[info("y", I64, None)]
        ),
        "a gather of axis 9": lambda: ending("Gather", i64(0), axis=9),
        "a gather out of range": lambda: ending("Gather", i64(2**40), axis=1),
        "a gather below range": lambda: ending("Gather", i64(-9), axis=1),
        "a gather of floats": lambda: ending("Gather", f32(1), axis=1),
        "a split into -1": lambda: _split(i64(-1, 9)),
        "a split into too much": lambda: _split(i64(5, 5)),
        "a split of axis 9": lambda: _split(i64(4, 4), axis=9),
        "a slice in steps of 0": lambda: ending("Slice", i64(0), i64(4), i64(1), i64(0)),
        "a slice of axis 9": lambda: ending("Slice", i64(0), i64(4), i64(9)),
        "a slice of other lengths": lambda: ending("Slice", i64(0, 0), i64(4), i64(1)),
        "a slice by floats": lambda: ending("Slice", f32(0), f32(4), i64(1)),
        "a pad of three": lambda: ending("Pad", i64(1, 1, 1)),
        "a pad of -99": lambda: ending("Pad", i64(0, 0, -99, 0, 0, 0, -99, 0)),
        "a pad of nobody's mode": lambda: ending("Pad", i64(*[1] * 8), mode="shine"),
        "a tile of two": lambda: ending("Tile", i64(1, 1)),
        "a tile of -1": lambda: ending("Tile", i64(1, 1, -1, 1)),
        "an expand to another size": lambda: ending("Expand", i64(1, 5, 8, 8)),
        "an expand to -3": lambda: ending("Expand", i64(1, 8, 8, -3)),
        "a resize by a scale of 0": lambda: _resize(f32(1, 1, 0, 0)),
        "a resize by a scale of -2": lambda: _resize(f32(1, 1, -2, -2)),
        "a resize by NaN": lambda: _resize(f32(1, 1, np.nan, np.nan)),
        "a resize by an infinity": lambda: _resize(f32(1, 1, np.inf, np.inf)),
        "a resize by two scales": lambda: _resize(f32(2, 2)),
        "a resize of nobody's mode": lambda: _resize(f32(1, 1, 2, 2), mode="quantum"),
        "an add of other sizes": lambda: ending("Add", np.ones((5, 1, 1), np.float32)),
        "an add of other types": lambda: ending("Add", np.ones((1, 1, 1))),
        "a where of other types": lambda: behind(
            [node("Where", "c z d", "e")], {"c": np.array([True]), "d": np.array([1.0])}
        ),
        "an einsum of nothing": lambda: ending("Einsum", equation="ij,,->>"),
        "an einsum of other ranks": lambda: ending("Einsum", equation="ab->ba"),
        "a depth to space of 3": lambda: ending("DepthToSpace", blocksize=3),
        "a depth to space of 0": lambda: ending("DepthToSpace", blocksize=0),
        "a space to depth of 3": lambda: ending("SpaceToDepth", blocksize=3),
        "a top of 99": lambda: model(
            [node("TopK", "x k", "y i", axis=1)], {"k": i64(99)}
        ),
        "a top of -1": lambda: model([node("TopK", "x k", "y i", axis=1)], {"k": i64(-1)}),
        "a cumsum of axis 9": lambda: ending("CumSum", np.array(9)),
        "a one-hot of depth -3": lambda: model(
            [node("Cast", "x", "n", to=7), node("OneHot", "n d v", "y")],
            {"d": np.array(-3), "v": f32(0, 1)},
        ),
        "a scatter of other ranks": lambda: ending(
            "ScatterElements", i64(0), f32(1), axis=1
        ),
        "a grid sample of three": lambda: ending("GridSample", np.ones((1, 2, 2, 3), np.float32)),
        "a range of steps of 0": lambda: behind(
            [node("Range", "a b c", "r"), node("Cast", "r", "s", to=1), node("Add", "z s", "e")],
            {"a": np.array(0), "b": np.array(8), "c": np.array(0)},
        ),
    }  # fmt: skip


def _split(sizes: np.ndarray, axis: int = 1) -> onnx.ModelProto:
    return behind([node("Split", "z s", "p q", axis=axis), node("Relu", "p", "e")], {"s": sizes})


def _resize(scales: np.ndarray, **attributes: Any) -> onnx.ModelProto:
    return behind([node("Resize", "z _ s", "e", **attributes)], {"s": scales})


def _types() -> dict[str, Make]:
    return {
        "a cast to 99": lambda: ending("Cast", to=99),
        "a cast to nothing": lambda: ending("Cast"),
        "a relu of strings": lambda: model(
            [node("Relu", "x", "y")], inputs=[info("x", TensorProto.STRING)]
        ),
        "a not of floats": lambda: model([node("Not", "x", "y")]),
        "an and of floats": lambda: model([node("And", "x x", "y")]),
        "a sigmoid of integers": lambda: model(
            [node("Sigmoid", "x", "y")], inputs=[info("x", I64)], outputs=[info("y", I64, None)]
        ),
        "a sequence where a tensor is meant": lambda: model(
            [node("SequenceConstruct", "x", "s"), node("Relu", "s", "y")]
        ),
    }


def _outputs() -> dict[str, Make]:
    one = lambda *outputs: model([node("Relu", "x", "y")], outputs=outputs)  # noqa: E731
    return {
        "an output of another rank": lambda: one(info("y", shape=["b", 4])),
        "an output of another size": lambda: one(info("y", shape=["b", 5, 8, 8])),
        "an output of another type": lambda: one(info("y", I64)),
    }


def _numbers() -> dict[str, Make]:
    def spoiled(value: float, op: str = "Conv") -> Make:
        w = weight()
        w[1, 2, 0, 0] = value
        return lambda: conv(w)

    def held(op: str, *constants: Any, **attributes: Any) -> Make:
        return lambda: ending(op, *constants, **attributes)

    bad = np.ones(8, np.float32)
    bad[3] = np.nan
    good = np.ones(8, np.float32)
    return {
        "a weight of NaN": spoiled(np.nan),
        "a weight of infinity": spoiled(np.inf),
        "a weight of -infinity": spoiled(-np.inf),
        "a bias of NaN": lambda: model([node("Conv", "x w c", "y")], {"w": weight(), "c": bad}),
        "a batch norm's mean of NaN": held("BatchNormalization", good, good, bad, good),
        "a batch norm's variance of NaN": held("BatchNormalization", good, good, good, bad),
        "a layer norm of NaN": held("LayerNormalization", bad),
        "a MatMul of NaN": held("MatMul", np.full((8, 4), np.nan, np.float32)),
        "a weight of NaN behind a Constant": lambda: model(
            [
                node("Constant", "", "w", value=_tensor(np.full((8, 4, 3, 3), np.nan))),
                node("Conv", "x w", "y"),
            ]
        ),
        "a weight of NaN behind an Identity": lambda: model(
            [node("Identity", "v", "w"), node("Conv", "x w", "y")],
            {"v": np.full((8, 4, 3, 3), np.nan, np.float32)},
        ),
        "a weight of NaN behind a Transpose": lambda: model(
            [node("Transpose", "v", "w", perm=[3, 2, 0, 1]), node("Conv", "x w", "y")],
            {"v": np.full((3, 4, 3, 8), np.nan, np.float32)},
        ),
        "a PRelu of NaN": held("PRelu", np.full((8, 1, 1), np.nan, np.float32)),
        "a half weight of infinity": lambda: model(
            [node("Conv", "x w", "y")],
            {"w": np.full((8, 4, 3, 3), np.inf, np.float16)},
            inputs=[info("x", TensorProto.FLOAT16)],
            outputs=[info("y", TensorProto.FLOAT16, None)],
        ),
    }


def _tensor(array: np.ndarray) -> TensorProto:
    from onnx import numpy_helper

    return numpy_helper.from_array(array.astype(np.float32))


def _legal() -> dict[str, Make]:
    """What looks wrong, and is allowed."""
    zero = info("x", shape=[0, 4, 8, 8])
    return {
        "weights of zero": lambda: conv(np.zeros((8, 4, 3, 3), np.float32)),
        "weights of 10^30": lambda: conv(weight() * np.float32(1e30)),
        "weights of 10^38": lambda: conv(np.full((8, 4, 3, 3), 3e38, np.float32)),
        "weights of 10^-40": lambda: conv(weight() * np.float32(1e-40)),
        "weights all the same": lambda: conv(np.ones((8, 4, 3, 3), np.float32)),
        "a variance of 0": lambda: ending(
            "BatchNormalization", *[np.ones(8, np.float32)] * 3, np.zeros(8, np.float32)
        ),
        "a variance of -1": lambda: ending(
            "BatchNormalization", *[np.ones(8, np.float32)] * 3, -np.ones(8, np.float32)
        ),
        "an epsilon of 0": lambda: ending(
            "BatchNormalization", *[np.ones(8, np.float32)] * 4, epsilon=0.0
        ),
        "an epsilon of NaN": lambda: ending(
            "BatchNormalization", *[np.ones(8, np.float32)] * 4, epsilon=float("nan")
        ),
        "a mask of infinity": lambda: ending("Add", f32(-np.inf)),
        "a clip of nothing": lambda: ending("Clip"),
        "a clip of infinities": lambda: ending("Clip", np.float32(-np.inf), np.float32(np.inf)),
        "a clip that is upside down": lambda: ending("Clip", np.float32(6), np.float32(0)),
        "a clip of NaN": lambda: ending("Clip", np.float32(np.nan), np.float32(6)),
        "a leaky slope of NaN": lambda: ending("LeakyRelu", alpha=float("nan")),
        "a leaky slope of 10^30": lambda: ending("LeakyRelu", alpha=1e30),
        "a division by 0": lambda: ending("Div", f32(0)),
        "a power of 10^30": lambda: ending("Pow", f32(1e30)),
        "a slice of nothing": lambda: ending("Slice", i64(), i64()),
        "a slice that is empty": lambda: ending("Slice", i64(5), i64(2), i64(2)),
        "a slice to 2^62": lambda: ending("Slice", i64(0), i64(2**62), i64(2)),
        "a slice backwards": lambda: ending("Slice", i64(-1), i64(-(2**62)), i64(2), i64(-1)),
        "a reshape that copies": lambda: ending("Reshape", i64(0, 0, -1)),
        "a batch of 0": lambda: model([node("Conv", "x w", "y")], {"w": weight()}, inputs=[zero]),
        "a batch of -1": lambda: model(
            [node("Conv", "x w", "y")], {"w": weight()}, inputs=[info("x", shape=[-1, 4, 8, 8])]
        ),
        "a batch of -7": lambda: model(
            [node("Conv", "x w", "y")], {"w": weight()}, inputs=[info("x", shape=[-7, 4, 8, 8])]
        ),
        "an image without a shape": lambda: model(
            [node("Conv", "x w", "y")], {"w": weight()}, inputs=[info("x", shape=None)]
        ),
        "an image of symbols alone": lambda: model(
            [node("Conv", "x w", "y")], {"w": weight()}, inputs=[info("x", shape=list("abcd"))]
        ),
        "an image of one symbol": lambda: model(
            [node("Conv", "x w", "y")], {"w": weight()}, inputs=[info("x", shape=list("nnnn"))]
        ),
        "an image of 2^31": lambda: model(
            [node("Conv", "x w", "y")],
            {"w": weight()},
            inputs=[info("x", shape=["b", 4, 2**31 - 1, 1])],
        ),
        "a scalar input": lambda: model([node("Relu", "x", "y")], inputs=[info("x", shape=[])]),
        "no inputs at all": lambda: model(
            [node("Relu", "c", "y")], {"c": f32(1, -1)}, inputs=[]
        ),
        "a batch norm in training": lambda: behind(
            [node("BatchNormalization", "z a a a a", "e f g", training_mode=1)],
            {"a": np.ones(8, np.float32)},
        ),
        "two inputs of one tensor": lambda: ending("Relu"),
        "an add of itself": lambda: behind([node("Add", "z z", "e")], {}),
        "a weight read by two kinds": lambda: model(
            [node("Conv", "x w", "y"), node("Relu", "w", "v")],
            {"w": weight()},
            outputs=[info("y", shape=None), info("v", shape=None)],
        ),
        "a conv of one pixel": lambda: conv(weight(8, 4, 1)),
        "a conv of ceil_mode pools": lambda: ending(
            "MaxPool", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1
        ),
        "a dimension of a name of a number": lambda: model(
            [node("Conv", "x w", "y")], {"w": weight()}, inputs=[info("x", shape=["8", 4, 8, 8])]
        ),
        **_old(),
    }  # fmt: skip


def _random() -> dict[str, Make]:
    return {
        "a dropout in training": lambda: behind(
            [node("Dropout", "z r t", "e")], {"r": np.float32(0.5), "t": np.array(True)}
        ),
        "random numbers": lambda: behind(
            [node("RandomNormalLike", "z", "r"), node("Add", "z r", "e")], {}
        ),
    }


def _old() -> dict[str, Make]:
    made: dict[str, Make] = {}
    for opset in (7, 8, 9, 11, 12, 13, 15, 18, 19, 21, 22, 23, 24, 25):
        made[f"opset {opset}"] = lambda opset=opset: conv(opset=opset)
    return made
