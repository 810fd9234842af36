"""ONNX files that are damaged, cut off, or whose graph is none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from tests.hostile.suite.case import OF_ONNX, Case, onnx_cases, text_cases
from tests.hostile.suite.kinds.networks import conv, info, model, node, weight


def cases() -> Iterator[Case]:
    yield from text_cases("bytes", _bytes(), "model.onnx", OF_ONNX)
    yield from onnx_cases("structure", _models(), "refused")
    yield from onnx_cases("structure", _odd())


def _bytes() -> dict[str, str | bytes]:
    whole = conv().SerializeToString()
    turned = bytearray(whole)
    turned[len(whole) // 2] ^= 0xFF
    return {
        "empty": b"",
        "one byte": b"\0",
        "text": b"this is a text\n" * 100,
        "zeros": bytes(10_000),
        "ones": b"\xff" * 10_000,
        "zip": b"PK\x03\x04" + bytes(100),
        "half": whole[: len(whole) // 2],
        "all but a byte": whole[:-1],
        "a graph alone": conv().graph.SerializeToString(),
        "a tensor alone": conv().graph.initializer[0].SerializeToString(),
        "nested 10,000 deep": _nested(10_000),
        "a varint without an end": whole[:4] + b"\xff" * 64,
        "lengths of 2^63": b"\x3a" + b"\xff" * 8 + b"\x7f" + whole,
    }


def _nested(depth: int) -> bytes:
    """A graph in an attribute in a node in a graph, and so on."""
    inner = b""
    for tag in (7, 1, 5, 6) * (depth // 4):
        size, head = len(inner), bytearray([tag << 3 | 2])
        while size > 0x7F:
            head.append(size & 0x7F | 0x80)
            size >>= 7
        inner = bytes([*head, size]) + inner
    return inner


def _changed(change: Callable[[onnx.ModelProto], Any]) -> Callable[[], onnx.ModelProto]:
    def make() -> onnx.ModelProto:
        made = conv()
        change(made)
        return made

    return make


def _models() -> dict[str, Callable[[], onnx.ModelProto]]:
    return {
        "no graph": _changed(lambda m: m.ClearField("graph")),
        "no outputs": _changed(lambda m: m.graph.ClearField("output")),
        "no opset": _changed(lambda m: m.ClearField("opset_import")),
        "no nodes": _changed(lambda m: m.graph.ClearField("node")),
        "no input of the graph": _changed(lambda m: m.graph.ClearField("input")),
        "no weight": _changed(lambda m: m.graph.ClearField("initializer")),
        "opset 0": _changed(lambda m: setattr(m.opset_import[0], "version", 0)),
        "opset -5": _changed(lambda m: setattr(m.opset_import[0], "version", -5)),
        "opset 2^40": _changed(lambda m: setattr(m.opset_import[0], "version", 2**40)),
        "opset 999": _changed(lambda m: setattr(m.opset_import[0], "version", 999)),
        "ir version 2^40": _changed(lambda m: setattr(m, "ir_version", 2**40)),
        "ir version -1": _changed(lambda m: setattr(m, "ir_version", -1)),
        "a cycle": lambda: model([node("Add", "x b", "a"), node("Relu", "a", "b")]),
        "a cycle of itself": lambda: model([node("Add", "x y", "y")]),
        "a cycle of 2,000": lambda: model(
            [node("Add", f"x v{(i + 1) % 2000}", f"v{i}") for i in range(2000)],
        ),
        "a value defined twice": lambda: model([node("Relu", "x", "y"), node("Exp", "x", "y")]),
        "an input defined again": lambda: model([node("Relu", "x", "x")]),
        "a weight defined again": lambda: model(
            [node("Relu", "x", "w"), node("Conv", "x w", "y")], {"w": weight()}
        ),
        "a weight twice": _changed(lambda m: m.graph.initializer.append(m.graph.initializer[0])),
        "an input twice": _changed(lambda m: m.graph.input.append(m.graph.input[0])),
        "an output twice": _changed(lambda m: m.graph.output.append(m.graph.output[0])),
        "an operand from nowhere": lambda: model([node("Add", "x ghost", "y")]),
        "an output from nowhere": lambda: model([node("Relu", "x", "y")], outputs=[info("ghost")]),
        "a Conv without operands": _changed(lambda m: m.graph.node[0].ClearField("input")),
        "a Conv of nine operands": _changed(lambda m: m.graph.node[0].input.extend("x" * 7)),
        "a Relu without output": _changed(lambda m: m.graph.node[0].ClearField("output")),
        "a Relu of two outputs": _changed(lambda m: m.graph.node[1].output.append("second")),
        "an operator of nobody": lambda: model([node("NoSuchThing", "x", "y")]),
        "an operator without a name": lambda: model([node("", "x", "y")]),
        "an operator of a foreign domain": lambda: model(
            [helper.make_node("Relu", ["x"], ["y"], domain="nowhere")]
        ),
        "an operator newer than the opset": lambda: model([node("Gelu", "x", "y")], opset=13),
        "an operator older than the opset": lambda: model(
            [node("Upsample", "x s", "y")], {"s": np.ones(4, np.float32)}
        ),
        "attributes twice": _changed(
            lambda m: m.graph.node[0].attribute.extend(
                [helper.make_attribute("group", 1), helper.make_attribute("group", 1)]
            )
        ),
        "an attribute without a type": _changed(
            lambda m: m.graph.node[0].attribute.add(name="group", i=1)
        ),
        "an attribute of type 99": _changed(
            lambda m: (
                m.graph.node[0]
                .attribute.add(name="group", i=1, type=11)
                .ParseFromString(b"\x0a\x05group\xa0\x01\x63")
            )
        ),
        "an attribute that nobody knows": lambda: conv(colour="red"),
        "an attribute of another type": lambda: conv(strides="ab"),
        "an attribute that is a float": lambda: conv(group=1.5),
        "an attribute that is a reference": _changed(
            lambda m: m.graph.node[0].attribute.add(name="group", ref_attr_name="g", type=2)
        ),
        "a weight of 10^36 elements": _weight(dims=[2**40] * 3),
        "a weight of -1 elements": _weight(dims=[-1, 4, 3, 3]),
        "a weight cut off": _weight(raw_data=b"12345"),
        "a weight too long": _weight(raw_data=bytes(8 * 4 * 9 * 4 + 4)),
        "a weight of type 0": _weight(data_type=0),
        "a weight of type 99": _weight(data_type=99),
        "a weight of strings": _weight(data_type=TensorProto.STRING, raw_data=b""),
        "a weight without data": _changed(lambda m: m.graph.initializer[0].ClearField("raw_data")),
        "a weight without a name": _weight(name=""),
        "a Constant without a value": _constant(),
        "a Constant of two values": _constant(value_float=1.0, value_int=3),
        "a Constant that is text": _constant(value="hello"),
        "a Constant of a graph": _constant(value=conv().graph),
        "a dense sparse tensor": _changed(
            lambda m: m.graph.sparse_initializer.append(onnx.SparseTensorProto())
        ),
        "a text that is no UTF-8": lambda: _replaced(b"Conv_y", b"Con\xff\xfey"),
        "an op_type that is no UTF-8": lambda: _replaced(b"Relu", b"Re\xffu"),
    }


def _odd() -> dict[str, Callable[[], onnx.ModelProto]]:
    return {
        "no node names": _changed(lambda m: [n.ClearField("name") for n in m.graph.node]),
        "the same node name for all": _changed(
            lambda m: [setattr(n, "name", "n") for n in m.graph.node]
        ),
        "no graph name": _changed(lambda m: setattr(m.graph, "name", "")),
        "nodes in the wrong order": lambda: model(
            [node("Exp", "y", "z"), node("Relu", "x", "y")], outputs=[info("z")]
        ),
        "the output is the input": lambda: model([node("Relu", "x", "y")], outputs=[info("x")]),
        "the output is a weight": lambda: model(
            [node("Conv", "x w", "y")], {"w": weight()}, outputs=[info("w", shape=[8, 4, 3, 3])]
        ),
        "a weight that is an input too": _changed(
            lambda m: m.graph.input.append(info("w", shape=[8, 4, 3, 3]))
        ),
        "a weight that is an input of another shape": _changed(
            lambda m: m.graph.input.append(info("w", shape=[1, 1, 1, 1]))
        ),
        "value_info that lies": _changed(
            lambda m: m.graph.value_info.append(info("y", shape=[1, 77]))
        ),
        "value_info of nothing": _changed(lambda m: m.graph.value_info.append(info("ghost"))),
        "a stray initializer": _changed(
            lambda m: m.graph.initializer.add(name="stray", data_type=1, dims=[0])
        ),
        "two opsets of one domain": _changed(
            lambda m: m.opset_import.append(helper.make_opsetid("", 18))
        ),
        "the domain ai.onnx": _changed(
            lambda m: [setattr(n, "domain", "ai.onnx") for n in m.graph.node]
        ),
        "metadata of 10^5 entries": _changed(
            lambda m: [m.metadata_props.add(key=f"k{i}", value="v") for i in range(100_000)]
        ),
        "metadata twice": _changed(
            lambda m: [m.metadata_props.add(key="sparqc.target", value="v") for _ in range(2)]
        ),
        "metadata of ours that lies": _changed(
            lambda m: [
                m.metadata_props.add(key=f"sparqc.{k}", value="[[[[not JSON")
                for k in ("target", "int8_layers", "sparse_layers", "quantized", "version")
            ]
        ),
        "metadata of nodes that lie": _changed(
            lambda m: [
                n.metadata_props.add(key=f"sparqc.{k}", value="\x1b[2J" + "a, " * 10**5)
                for n in m.graph.node
                for k in ("module", "source", "rules")
            ]
        ),
        "training info": _changed(lambda m: m.training_info.add()),
        "an unused foreign domain": _changed(
            lambda m: m.opset_import.append(helper.make_opsetid("com.nobody", 2**31 - 1))
        ),
    }


def _weight(**fields: Any) -> Callable[[], onnx.ModelProto]:
    def change(made: onnx.ModelProto) -> None:
        tensor = made.graph.initializer[0]
        for name, value in fields.items():
            if name == "dims":
                tensor.dims[:] = value
            else:
                setattr(tensor, name, value)

    return _changed(change)


def _constant(**attributes: Any) -> Callable[[], onnx.ModelProto]:
    return lambda: model(
        [
            helper.make_node("Constant", [], ["k"], **attributes),
            helper.make_node("Add", ["x", "k"], ["y"]),
        ]
    )


def _replaced(old: bytes, new: bytes) -> Any:
    """Bytes that protobuf would not write, in the coat of a model."""
    data = conv().SerializeToString().replace(old, new)

    class Raw:
        def SerializeToString(self) -> bytes:  # noqa: N802
            return data

    return Raw()
