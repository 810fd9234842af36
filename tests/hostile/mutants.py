"""Small real ONNX networks, and seeded changes of their structure.

`python -m tests.hostile.mutants [COUNT [FIRST]]` tries many; what it finds goes to `corpus/onnx`.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from tests.hostile.suite.case import OF_ONNX, Case
from tests.hostile.suite.judge import judged
from tests.hostile.suite.kinds.networks import f32, i64, info, model, node, weight
from tests.hostile.suite.worker import Worker


def residual() -> onnx.ModelProto:
    ones = np.ones(8, np.float32)
    return model(
        [
            node("Conv", "x w", "a", pads=[1, 1, 1, 1]),
            node("BatchNormalization", "a s t m v", "b"),
            node("Relu", "b", "c"),
            node("Conv", "c u k", "d", pads=[1, 1, 1, 1]),
            node("Add", "c d", "e"),
            node("MaxPool", "e", "f", kernel_shape=[2, 2], strides=[2, 2]),
            node("GlobalAveragePool", "f", "g"),
            node("Flatten", "g", "h"),
            node("Gemm", "h n o", "y", transB=1),
        ],
        {
            "w": weight(), "s": ones, "t": ones * 0.1, "m": ones * 0.2, "v": ones * 0.9,
            "u": weight(8, 8), "k": ones, "n": weight(3, 8, 1)[:, :, 0, 0], "o": f32(1, 2, 3),
        },
    )  # fmt: skip


def branches() -> onnx.ModelProto:
    return model(
        [
            node("Conv", "x w", "a", strides=[2, 2], pads=[1, 1, 1, 1]),
            node("Resize", "a _ s", "b", mode="nearest"),
            node("Concat", "b x", "c", axis=1),
            node("Split", "c p", "d e", axis=1),
            node("Sigmoid", "d", "f"),
            node("Mul", "d f", "g"),
            node("Slice", "e z i o", "h"),
            node("Clip", "h lo hi", "j"),
            node("Pad", "j q", "k"),
            node("Concat", "g k", "l", axis=1),
            node("Transpose", "l", "m", perm=[0, 2, 3, 1]),
            node("ReduceMean", "m", "y", axes=[1, 2], keepdims=0),
        ],
        {
            "w": weight(), "s": f32(1, 1, 2, 2), "p": i64(8, 4), "z": i64(1), "i": i64(3),
            "o": i64(1), "lo": np.float32(0), "hi": np.float32(6), "q": i64(*[0] * 5, 1, 0, 0),
        },
    )  # fmt: skip


def quantized() -> onnx.ModelProto:
    return model(
        [
            node("QuantizeLinear", "x s n", "a"),
            node("DequantizeLinear", "a s n", "b"),
            node("DequantizeLinear", "w r m", "c", axis=0),
            node("Conv", "b c k", "d", pads=[1, 1, 1, 1]),
            node("Relu", "d", "e"),
            node("QuantizeLinear", "e t n", "f"),
            node("DequantizeLinear", "f t n", "g"),
            node("AveragePool", "g", "y", kernel_shape=[2, 2]),
        ],
        {
            "s": np.float32(0.03), "t": np.float32(0.05), "n": np.int8(0), "k": np.ones(8, "f4"),
            "w": (weight() * 100).astype(np.int8), "r": np.full(8, 0.01, np.float32),
            "m": np.zeros(8, np.int8),
        },
    )  # fmt: skip


def attention() -> onnx.ModelProto:
    square = weight(8, 8, 1)[:, :, 0, 0]
    return model(
        [
            node("LayerNormalization", "x g h", "a", axis=-1),
            node("MatMul", "a w", "q"),
            node("MatMul", "a u", "k"),
            node("Transpose", "k", "t", perm=[0, 2, 1]),
            node("MatMul", "q t", "s"),
            node("Div", "s d", "r"),
            node("Softmax", "r", "p", axis=-1),
            node("MatMul", "p a", "o"),
            node("Reshape", "o n", "f"),
            node("Gather", "f i", "y", axis=1),
        ],
        {
            "g": np.ones(8, "f4"), "h": np.zeros(8, "f4"), "w": square, "u": square.T.copy(),
            "d": np.float32(2.8), "n": i64(0, -1), "i": i64(0, 3, 5),
        },
        inputs=[info("x", shape=["b", 6, 8])],
    )  # fmt: skip


NETWORKS = (residual, branches, quantized, attention)


# -- changes -------------------------------------------------------------------------------------


def _drop(made: onnx.ModelProto, r: random.Random) -> None:
    del made.graph.node[r.randrange(len(made.graph.node))]


def _bypass(made: onnx.ModelProto, r: random.Random) -> None:
    """A node goes, and its readers read what it read."""
    index = r.randrange(len(made.graph.node))
    gone = made.graph.node[index]
    source, output = gone.input[0], gone.output[0]
    del made.graph.node[index]
    for other in made.graph.node:
        other.input[:] = [source if name == output else name for name in other.input]


def _duplicate(made: onnx.ModelProto, r: random.Random) -> None:
    copy = made.graph.node.add()
    copy.CopyFrom(r.choice(made.graph.node[:-1]))
    copy.output[:] = [f"{name}_again" for name in copy.output]
    reader = r.choice(made.graph.node[:-1])
    if reader.input:
        reader.input[r.randrange(len(reader.input))] = copy.output[0]


def _rewire(made: onnx.ModelProto, r: random.Random) -> None:
    reader = r.choice(made.graph.node)
    names = [n for node in made.graph.node for n in (*node.input, *node.output)] + ["x", "ghost"]
    if reader.input:
        reader.input[r.randrange(len(reader.input))] = r.choice(names)


def _swap(made: onnx.ModelProto, r: random.Random) -> None:
    reader = r.choice([n for n in made.graph.node if len(n.input) > 1] or made.graph.node)
    names = list(reader.input)
    r.shuffle(names)
    reader.input[:] = names


def _operands(made: onnx.ModelProto, r: random.Random) -> None:
    """One operand more, or less."""
    reader = r.choice(made.graph.node)
    if r.random() < 0.5 and reader.input:
        del reader.input[-1]
    else:
        reader.input.append(r.choice(["", "x", made.graph.initializer[0].name]))


def _operator(made: onnx.ModelProto, r: random.Random) -> None:
    others = ["Relu", "Identity", "Add", "Mul", "Sigmoid", "Transpose", "Cast", "Shape", "Conv"]
    r.choice(made.graph.node).op_type = r.choice([n.op_type for n in made.graph.node] + others)


def _attribute(made: onnx.ModelProto, r: random.Random) -> None:
    owners = [n for n in made.graph.node if n.attribute]
    if not owners:
        return
    owner = r.choice(owners)
    attribute = r.choice(owner.attribute)
    numbers = [0, -1, 1, 2, 3, 7, 99, 2**31, 2**62, -(2**40)]
    if r.random() < 0.2:
        owner.attribute.remove(attribute)
    elif attribute.type == onnx.AttributeProto.INTS and attribute.ints:
        if r.random() < 0.3:
            attribute.ints.append(r.choice(numbers))
        else:
            attribute.ints[r.randrange(len(attribute.ints))] = r.choice(numbers)
    elif attribute.type == onnx.AttributeProto.INT:
        attribute.i = r.choice(numbers)
    elif attribute.type == onnx.AttributeProto.STRING:
        attribute.s = r.choice([b"", b"linear", b"cubic", b"what", b"\xff"])


def _constant(made: onnx.ModelProto, r: random.Random) -> None:
    tensor = r.choice(made.graph.initializer)
    array = np.array(numpy_helper.to_array(tensor))
    choice = r.randrange(6)
    if choice == 0:
        array = array.astype(r.choice(["f4", "f8", "f2", "i8", "i4", "u1", "i1", "?"]))
    elif choice == 1 and array.ndim:
        array = array[..., :-1] if array.shape[-1] > 1 else array[..., 0]
    elif choice == 2:
        array = array[None]
    elif choice == 3 and array.size:
        flat = array.reshape(-1)
        flat[r.randrange(flat.size)] = r.choice([0, 1, 2, 77] + [-1] * (array.dtype.kind != "u"))
    elif choice == 4 and array.dtype.kind == "f" and array.size:
        array.reshape(-1)[0] = r.choice([np.nan, np.inf, 1e30, -1e30, 0])
    else:
        array = array.T.copy()
    held = np.ascontiguousarray(array).reshape(array.shape)
    tensor.CopyFrom(numpy_helper.from_array(held, tensor.name))


def _forget(made: onnx.ModelProto, r: random.Random) -> None:
    """An initializer becomes an input, or nothing."""
    index = r.randrange(len(made.graph.initializer))
    tensor = made.graph.initializer[index]
    if r.random() < 0.6:
        made.graph.input.append(info(tensor.name, tensor.data_type, list(tensor.dims)))
    del made.graph.initializer[index]


def _declared(made: onnx.ModelProto, r: random.Random) -> None:
    value = r.choice([*made.graph.input, *made.graph.output])
    kind = value.type.tensor_type
    if r.random() < 0.3:
        kind.elem_type = r.choice([1, 2, 3, 6, 7, 9, 10, 11, 16])
    elif kind.shape.dim:
        dim = r.choice(kind.shape.dim)
        if r.random() < 0.3:
            dim.dim_param = r.choice(["b", "n", ""])
        else:
            dim.dim_value = r.choice([0, -1, 1, 3, 5, 2**31, 2**40])
    if r.random() < 0.2:
        kind.shape.dim.add().dim_value = 2


def _ends(made: onnx.ModelProto, r: random.Random) -> None:
    """Another value is an output, too."""
    name = r.choice([n for node in made.graph.node for n in node.output])
    made.graph.output.append(info(name, shape=["q0", "q1", "q2", "q3"]))


def _opset(made: onnx.ModelProto, r: random.Random) -> None:
    made.opset_import[0].version = r.choice([7, 9, 11, 12, 13, 16, 18, 19, 21, 23])


CHANGES: Sequence[Callable[[onnx.ModelProto, random.Random], None]] = (
    _drop, _bypass, _duplicate, _rewire, _swap, _operands, _operator, _attribute, _attribute,
    _constant, _constant, _constant, _forget, _declared, _ends, _opset,
)  # fmt: skip


def mutant(seed: int) -> onnx.ModelProto:
    """A network with one to three changes; always the same for a seed."""
    r = random.Random(seed)
    made = NETWORKS[seed % len(NETWORKS)]()
    for _ in range(r.choice([1, 1, 1, 2, 3])):
        r.choice(CHANGES)(made, r)
    return made


def case_of(seed: int, commands: Sequence[int] = range(len(OF_ONNX))) -> Case:
    """A mutant as a file, and the commands that read it."""

    def write(folder: Path) -> Path:
        path = folder / "model.onnx"
        path.write_bytes(mutant(seed).SerializeToString())
        return path

    exact = NETWORKS[seed % len(NETWORKS)] is not quantized
    chosen = [OF_ONNX[i] for i in commands]
    return Case(f"mutant {seed}", write, chosen, "same" if exact else "allowed")


def main() -> None:
    """Print what is wrong with how commands end on mutants."""
    count, first = (*map(int, sys.argv[1:3]), *(1000, 0)[len(sys.argv) - 1 :])
    worker = Worker(20)
    wrong = 0
    for seed in range(first, first + count):
        for verdict in judged(case_of(seed), worker):
            if verdict.wrong:
                wrong += 1
                sys.stdout.write(f"{verdict}\n")
                sys.stdout.flush()
    worker.close()
    sys.stdout.write(f"{count} mutants, {wrong} wrong\n")


if __name__ == "__main__":
    main()
