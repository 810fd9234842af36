"""ONNX files of rare element types and kinds of values, and quantizers of all kinds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import ml_dtypes
import numpy as np
import onnx
from onnx import TensorProto, helper

from tests.hostile.suite.case import Case, onnx_cases
from tests.hostile.suite.kinds.networks import F, behind, f32, info, model, node, weight

Make = Callable[[], onnx.ModelProto]


def cases() -> Iterator[Case]:
    yield from onnx_cases("types", _types())
    yield from onnx_cases("values", _values())
    yield from onnx_cases("quantizers", _refused(), "refused")
    yield from onnx_cases("quantizers", _allowed(), "allowed")


def _types() -> dict[str, Make]:
    made: dict[str, Make] = {}
    for name, number in onnx.TensorProto.DataType.items():
        if name == "UNDEFINED":
            continue
        made[f"an input of {name}"] = lambda number=number: model(
            [node("Identity", "x", "y")],
            inputs=[info("x", number)],
            outputs=[info("y", number, None)],
            opset=23,
        )
        if name not in ("STRING", "BOOL", "FLOAT", "COMPLEX64", "COMPLEX128"):
            made[f"a weight cast from {name}"] = lambda number=number: model(
                [node("Cast", "v", "w", to=1), node("Conv", "x w", "y")],
                {"v": helper.make_tensor("v", number, [8, 4, 3, 3], [1] * 288)},
                opset=23 if number > 16 else 17,
            )
    for name in ("INT8", "UINT8", "INT4", "UINT4", "FLOAT8E4M3FN", "FLOAT8E5M2", "INT16", "INT32"):
        number = onnx.TensorProto.DataType.Value(name)
        made[f"a weight stored as {name}"] = lambda number=number: _dequantized(number)
    for name in ("FLOAT16", "BFLOAT16", "DOUBLE"):
        number = onnx.TensorProto.DataType.Value(name)
        made[f"a convolution in {name}"] = lambda number=number: model(
            [node("Conv", "x w", "y")],
            {"w": helper.make_tensor("w", number, [8, 4, 3, 3], [0.5] * 288)},
            inputs=[info("x", number)],
            outputs=[info("y", number, None)],
            opset=22,
        )
    return made


def _dequantized(number: int) -> onnx.ModelProto:
    codes = helper.make_tensor("v", number, [8, 4, 3, 3], [1, 0, 1, 1] * 72)
    return model(
        [node("DequantizeLinear", "v s", "w"), node("Conv", "x w", "y")],
        {"v": codes, "s": np.float32(0.5)},
        opset=21,
    )


def _values() -> dict[str, Make]:
    tensor = helper.make_tensor_type_proto(F, ["b", 4])
    sequence = helper.make_sequence_type_proto(tensor)
    optional = helper.make_optional_type_proto(tensor)
    sparse = helper.make_sparse_tensor_type_proto(F, [4, 4])
    mapped = helper.make_map_type_proto(TensorProto.INT64, tensor)

    def through(op: str, kind: onnx.TypeProto) -> Make:
        def make() -> onnx.ModelProto:
            infos = [helper.make_value_info(n, kind) for n in "xy"]
            return model([node(op, "x", "y")], inputs=infos[:1], outputs=infos[1:])

        return make

    return {
        "an input that is a sequence": through("Identity", sequence),
        "an input that is optional": through("Identity", optional),
        "an input that is sparse": through("Identity", sparse),
        "an input that is a map": through("Identity", mapped),
        "an input without a type": through("Identity", onnx.TypeProto()),
        "an element of an optional": lambda: model(
            [node("OptionalGetElement", "o", "y")],
            inputs=[helper.make_value_info("o", optional)],
            opset=18,
        ),
        "an empty sequence": lambda: behind(
            [node("SequenceEmpty", "", "q"), node("SequenceInsert", "q z", "r"),
             node("SequenceAt", "r i", "e")],
            {"i": np.array(0)},
        ),
        "an element out of a sequence's range": lambda: behind(
            [node("SequenceConstruct", "z", "r"), node("SequenceAt", "r i", "e")],
            {"i": np.array(99)},
        ),
        "a split to a sequence": lambda: behind(
            [node("SplitToSequence", "z", "q"), node("ConcatFromSequence", "q", "e", axis=0)],
            {},
        ),
        "a map over a sequence": _sequence_map,
        "text and its lengths": lambda: model(
            [node("StringNormalizer", "x", "y", case_change_action="LOWER")],
            inputs=[info("x", TensorProto.STRING, ["n"])],
            outputs=[info("y", TensorProto.STRING, None)],
        ),
        "constants of text": lambda: behind(
            [helper.make_node("Constant", [], ["t"], value_strings=[b"a", b"\xff\xfe"]),
             node("Relu", "z", "e")], {},
        ),
        "an output that is text": lambda: model(
            [helper.make_node("Constant", [], ["t"], value_strings=["a", "b"]),
             node("Relu", "x", "y")],
            outputs=[info("y", F, None), info("t", TensorProto.STRING, [2])],
        ),
        "a sparse initializer": _sparse,
        "a Constant that is sparse": _sparse_constant,
        "a tensor in segments": lambda: _segment(),
        "a weight in float_data": lambda: model(
            [node("Conv", "x w", "y")],
            {"w": helper.make_tensor("w", F, [8, 4, 3, 3], [0.5] * 288)},
        ),
        "a weight in both": _both,
        "a batch of text": lambda: model(
            [node("Identity", "x", "y"), node("Relu", "u", "v")],
            inputs=[info("x", TensorProto.STRING), info("u")],
            outputs=[info("y", TensorProto.STRING, None), info("v", F, None)],
        ),
        "a label encoder of ai.onnx.ml": lambda: model(
            [helper.make_node("LabelEncoder", ["x"], ["y"], domain="ai.onnx.ml",
                              keys_strings=["a"], values_int64s=[1])],
            inputs=[info("x", TensorProto.STRING, ["n"])],
            outputs=[info("y", TensorProto.INT64, None)],
            imports=[helper.make_opsetid("ai.onnx.ml", 3)],
        ),
    }  # fmt: skip


def _sequence_map() -> onnx.ModelProto:
    body = helper.make_graph(
        [node("Relu", "a", "b")], "body", [info("a", F, None)], [info("b", F, None)]
    )
    steps = [
        node("SequenceConstruct", "z z", "q"),
        helper.make_node("SequenceMap", ["q"], ["r"], body=body, name="map"),
        node("ConcatFromSequence", "r", "e", axis=1),
    ]
    return behind(steps, {})


def _sparse() -> onnx.ModelProto:
    made = model([node("Add", "x s", "y")])
    values = helper.make_tensor("s", F, [2], [1.0, 2.0])
    places = helper.make_tensor("i", TensorProto.INT64, [2], [0, 3])
    made.graph.sparse_initializer.append(helper.make_sparse_tensor(values, places, [8]))
    return made


def _sparse_constant() -> onnx.ModelProto:
    values = helper.make_tensor("s", F, [2], [1.0, 2.0])
    places = helper.make_tensor("i", TensorProto.INT64, [2], [0, 3])
    sparse = helper.make_sparse_tensor(values, places, [8])
    return model(
        [
            helper.make_node("Constant", [], ["s"], sparse_value=sparse),
            helper.make_node("Add", ["x", "s"], ["y"]),
        ]
    )


def _segment() -> onnx.ModelProto:
    made = model([node("Conv", "x w", "y")], {"w": weight()})
    made.graph.initializer[0].segment.begin = 5
    made.graph.initializer[0].segment.end = 2**60
    return made


def _both() -> onnx.ModelProto:
    made = model([node("Conv", "x w", "y")], {"w": weight()})
    made.graph.initializer[0].float_data.extend([1.0] * 288)
    return made


# -- quantizers ----------------------------------------------------------------------------------


def pair(
    scale: Any = None,
    zero: Any = None,
    *,
    on: str = "x",
    opset: int = 19,
    **attributes: Any,
) -> onnx.ModelProto:
    """A Q/DQ pair on the image, or on the weight, of a convolution."""
    held = {"w": weight(), "s": np.float32(0.05) if scale is None else scale}
    operands = "s"
    if zero is not None:
        held["n"] = zero
        operands = "s n"
    steps = [
        node("QuantizeLinear", f"{on} {operands}", "q", **attributes),
        node("DequantizeLinear", f"q {operands}", "d", **attributes),
        node("Conv", "d w" if on == "x" else "x d", "y"),
    ]
    return model(steps, held, opset=opset)


def _refused() -> dict[str, Make]:
    nan, inf = np.float32(np.nan), np.float32(np.inf)
    return {
        "a scale of 0": lambda: pair(np.float32(0)),
        "a scale of -1": lambda: pair(np.float32(-1)),
        "a scale of NaN": lambda: pair(nan),
        "a scale of infinity": lambda: pair(inf),
        "one scale of 0 among eight": lambda: pair(f32(*[1] * 7, 0), on="w", axis=0),
        "a scale of integers": lambda: pair(np.array(1)),
        "a scale of doubles": lambda: pair(np.array(0.5)),
        "a scale of text": lambda: pair(helper.make_tensor("s", TensorProto.STRING, [], [b"1"])),
        "five scales for eight channels": lambda: pair(_scales(5), on="w", axis=0),
        "eight scales along another axis": lambda: pair(_scales(8), on="w", axis=1),
        "scales along axis 77": lambda: pair(_scales(8), on="w", axis=77),
        "scales along axis -9": lambda: pair(_scales(8), on="w", axis=-9),
        "scales of rank 2": lambda: pair(np.ones((8, 4), np.float32), on="w", axis=0),
        "no scales": lambda: pair(_scales(0), on="w", axis=0),
        "a zero point of floats": lambda: pair(zero=np.float32(0)),
        "a zero point of INT64": lambda: pair(zero=np.array(0)),
        "zero points of another number": lambda: pair(
            _scales(8), np.zeros(5, np.int8), on="w", axis=0
        ),
        "a zero point of another type than the codes": lambda: _mixed(),
        "a quantizer of text": lambda: model(
            [node("QuantizeLinear", "x s", "y")],
            {"s": np.float32(1)},
            inputs=[info("x", TensorProto.STRING)],
            outputs=[info("y", TensorProto.UINT8, None)],
        ),
        "a dequantizer of floats": lambda: model(
            [node("DequantizeLinear", "x s", "y")], {"s": np.float32(1)}
        ),
        "a quantizer without a scale": lambda: model(
            [node("QuantizeLinear", "x", "y")], outputs=[info("y", TensorProto.UINT8, None)]
        ),
        "a block of 3 of 8": lambda: _blocked(3),
        "a block of -4": lambda: _blocked(-4),
        "a scale of 0 that is computed": lambda: model(
            [
                node("Sub", "a a", "s"),
                node("QuantizeLinear", "x s", "q"),
                node("DequantizeLinear", "q s", "d"),
                node("Conv", "d w", "y"),
            ],
            {"a": np.float32(1), "w": weight()},
        ),
    }


def _scales(count: int) -> np.ndarray:
    return np.full(count, 0.05, np.float32)


def _mixed() -> onnx.ModelProto:
    steps = [
        node("QuantizeLinear", "x s n", "q"),
        node("DequantizeLinear", "q s m", "d"),
        node("Conv", "d w", "y"),
    ]
    held = {"w": weight(), "s": np.float32(0.1), "n": np.int8(0), "m": np.uint8(0)}
    return model(steps, held, opset=19)


def _blocked(size: int) -> onnx.ModelProto:
    return model(
        [
            node("DequantizeLinear", "v s", "w", axis=0, block_size=size),
            node("MatMul", "x w", "y"),
        ],
        {"v": np.ones((8, 4), np.int8), "s": np.ones((2, 4), np.float32)},
        inputs=[info("x", shape=["b", 8])],
        opset=21,
    )


def _allowed() -> dict[str, Make]:
    half = np.float16
    return {
        "a pair": lambda: pair(),
        "a pair on the weight": lambda: pair(_scales(8), on="w", axis=0),
        "a pair without axis of 1 scale": lambda: pair(_scales(1)),
        "a pair at opset 10": lambda: pair(zero=np.uint8(3), opset=10),
        "a zero point of 200": lambda: pair(zero=np.uint8(200)),
        "a zero point of -128": lambda: pair(zero=np.int8(-128)),
        "a pair of INT16": lambda: pair(zero=np.int16(0), opset=21),
        "a pair of INT4": lambda: pair(zero=_int4(), opset=21),
        "a pair of float8": lambda: pair(zero=_float8(), opset=19),
        "a pair of float8 that does not saturate": lambda: _float8_pair(),
        "a scale of 10^-40": lambda: pair(np.float32(1e-40)),
        "a scale of 10^38": lambda: pair(np.float32(1e38)),
        "a scale of half": lambda: pair(half(0.05), opset=19),
        "a scale that is an input": lambda: _fed_scale(),
        "blocks of 4": lambda: _blocked(4),
        "a quantizer alone": lambda: model(
            [node("QuantizeLinear", "x s", "y")],
            {"s": np.float32(1)},
            outputs=[info("y", TensorProto.UINT8, None)],
        ),
        "pairs in a row": lambda: _row(6),
        "a dynamic quantizer": lambda: model(
            [node("DynamicQuantizeLinear", "x", "q s n"), node("DequantizeLinear", "q s n", "d"),
             node("Conv", "d w", "y")],
            {"w": weight()},
        ),
        "a QLinearConv": _qlinear,
        "a ConvInteger": lambda: model(
            [node("DynamicQuantizeLinear", "x", "q s n"), node("ConvInteger", "q v n", "i"),
             node("Cast", "i", "y", to=1)],
            {"v": np.ones((8, 4, 3, 3), np.int8)},
        ),
        "a MatMulInteger": lambda: model(
            [node("DynamicQuantizeLinear", "x", "q s n"), node("MatMulInteger", "q v n", "i"),
             node("Cast", "i", "y", to=1)],
            {"v": np.ones((8, 3), np.uint8)},
        ),
        "a pair per channel of the image": lambda: pair(_scales(4), axis=1),
        "a pair on a bias": lambda: model(
            [node("QuantizeLinear", "c s n", "q"), node("DequantizeLinear", "q s n", "d"),
             node("Conv", "x w d", "y")],
            {"w": weight(), "c": f32(*[0.5] * 8), "s": np.float32(0.1), "n": np.int8(0)},
        ),
        "codes of 32 bits for a bias": lambda: model(
            [node("DequantizeLinear", "c s", "d"), node("Conv", "x w d", "y")],
            {"w": weight(), "c": np.arange(8, dtype=np.int32), "s": np.float32(0.1)},
        ),
        "a scale of the shape 1, 1": lambda: pair(np.full((1, 1), 0.05, np.float32)),
    }  # fmt: skip


def _int4() -> TensorProto:
    return helper.make_tensor("n", TensorProto.INT4, [], [0])


def _float8() -> TensorProto:
    return helper.make_tensor("n", TensorProto.FLOAT8E4M3FN, [], [ml_dtypes.float8_e4m3fn(0)])


def _float8_pair() -> onnx.ModelProto:
    made = pair(zero=_float8(), opset=19)
    made.graph.node[0].attribute.append(helper.make_attribute("saturate", 0))
    return made


def _fed_scale() -> onnx.ModelProto:
    made = pair()
    del made.graph.initializer[1]
    made.graph.input.append(info("s", shape=[]))
    return made


def _row(count: int) -> onnx.ModelProto:
    steps, last = [], "x"
    for i in range(count):
        steps += [
            node("QuantizeLinear", f"{last} s", f"q{i}"),
            node("DequantizeLinear", f"q{i} s", f"d{i}"),
        ]
        last = f"d{i}"
    return model([*steps, node("Conv", f"{last} w", "y")], {"s": np.float32(0.1), "w": weight()})


def _qlinear() -> onnx.ModelProto:
    scale, zero = np.float32(0.1), np.uint8(0)
    return model(
        [
            node("QuantizeLinear", "x s n", "q"),
            node("QLinearConv", "q s n v s m s n", "c"),
            node("DequantizeLinear", "c s n", "y"),
        ],
        {"s": scale, "n": zero, "m": np.int8(0), "v": np.ones((8, 4, 3, 3), np.int8)},
    )
