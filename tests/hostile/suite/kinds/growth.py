"""ONNX files of a few bytes that ask for much memory, time or depth."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from tests.hostile.suite.case import Case, onnx_cases
from tests.hostile.suite.kinds.networks import I64, F, behind, f32, i64, info, model, node

Make = Callable[[], onnx.ModelProto]
HUGE = 10**9


def cases() -> Iterator[Case]:
    yield from onnx_cases("growth", _constants(), "refused")
    yield from onnx_cases("growth", _fed())
    yield from onnx_cases("loops", _loops())
    yield from onnx_cases("depth", _depth())


def doubling(op: str, dtype: Any, times: int = 34, **attributes: Any) -> onnx.ModelProto:
    """A constant that each of many steps makes twice as large."""
    steps = [node(op, f"v{i} v{i}", f"v{i + 1}", **attributes) for i in range(times)]
    end = [node("Cast", f"v{times}", "f", to=1), node("ReduceSum", "f", "s", keepdims=0)]
    return behind([*steps, *end, node("Add", "z s", "e")], {"v0": np.ones(2, dtype)})


def grown(nodes: Sequence[onnx.NodeProto], **constants: Any) -> onnx.ModelProto:
    """A giant g, made of constants, whose sum is added to a convolution."""
    end = [
        node("Cast", "g", "f", to=1),
        node("ReduceSum", "f", "s", keepdims=0),
        node("Add", "z s", "e"),
    ]
    return behind([*nodes, *end], constants)


def computed(name: str, power: int = 9) -> list[onnx.NodeProto]:
    """A number 10^power that shape inference does not know."""
    return [node("Pow", "ten p", name)]


def _constants() -> dict[str, Make]:
    ten = {"ten": i64(10), "p": i64(10)}
    flat = {"ten": np.array(10), "p": np.array(10)}
    return {
        "concat of floats": lambda: doubling("Concat", np.float32, axis=0),
        "concat of sizes": lambda: doubling("Concat", np.int64, axis=0),
        "concat of one 10^5 times": lambda: grown(
            [node("Concat", "v " * 100_000, "a", axis=0), node("Concat", "a " * 1000, "g", axis=0)],
            v=np.ones(1000, np.float32),
        ),
        "tile by steps": lambda: grown(
            [node("Tile", f"{'g' if i == 34 else f'v{i}'} r".replace("g r", "v34 r"),
                  "g" if i == 34 else f"v{i + 1}") for i in range(35)],
            v0=f32(1), r=i64(2),
        ),
        "tile": lambda: grown([node("Tile", "v r", "g")], v=f32(1), r=i64(HUGE * 10)),
        "tile of an image": lambda: behind([node("Tile", "z r", "e")], {"r": i64(1, 1, HUGE, 9)}),
        "expand": lambda: grown([node("Expand", "v r", "g")], v=f32(1), r=i64(HUGE, 9)),
        "expand past 2^63": lambda: grown(
            [node("Expand", "v r", "g")], v=f32(1), r=i64(2**40, 2**40)
        ),
        "a constant of a shape": lambda: grown([node("ConstantOfShape", "r", "g")], r=i64(HUGE, 9)),
        "a constant of a shape of INT8": lambda: grown(
            [node("ConstantOfShape", "r", "g", value=helper.make_tensor("v", 3, [1], [1]))],
            r=i64(HUGE, 30),
        ),
        "a pad": lambda: grown([node("Pad", "v r", "g")], v=f32(1), r=i64(HUGE * 9, 0)),
        "a range": lambda: grown(
            [node("Range", "a b c", "g")], a=np.array(0), b=np.array(HUGE * 9), c=np.array(1)
        ),
        "a range of tiny steps": lambda: grown(
            [node("Range", "a b c", "g")],
            a=np.float32(0), b=np.float32(1), c=np.float32(1e-12),
        ),
        "a resize": lambda: grown(
            [node("Resize", "v _ s", "g")], v=f32(1, 1).reshape(1, 1, 2, 1), s=f32(1, 1, 9e4, 9e4)
        ),
        "a resize to sizes": lambda: grown(
            [node("Resize", "v _ _ s", "g")],
            v=np.ones((1, 1, 2, 2), np.float32), s=i64(1, 1, 90_000, 90_000),
        ),
        "a one-hot": lambda: grown(
            [node("OneHot", "i d v", "g")], i=i64(*range(100)), d=np.array(HUGE), v=f32(0, 1)
        ),
        "an outer product": lambda: grown(
            [node("Mul", "a b", "g")],
            a=np.ones((200_000, 1), np.float32), b=np.ones((1, 200_000), np.float32),
        ),
        "a matrix product": lambda: grown(
            [node("MatMul", "a b", "g")],
            a=np.ones((200_000, 1), np.float32), b=np.ones((1, 200_000), np.float32),
        ),
        "a comparison of all with all": lambda: grown(
            [node("Equal", "a b", "g")],
            a=np.ones((300_000, 1), np.float32), b=np.ones((1, 300_000), np.float32),
        ),
        "a gather of rows": lambda: grown(
            [node("Gather", "v i", "h"), node("Gather", "h i", "k"), node("MatMul", "k t", "g")],
            v=np.ones((1, 100), np.float32), i=np.zeros((500, 500), np.int64),
            t=np.ones((100, 1), np.float32),
        ),
        "an eye": lambda: grown(
            [node("ConstantOfShape", "r", "a"), node("EyeLike", "a", "g", dtype=1)],
            r=i64(200_000, 200_000),
        ),
        "a random tensor": lambda: grown([node("RandomNormal", "", "g", shape=[HUGE, 9])]),
        "a tile that is computed": lambda: grown(
            [*computed("r"), node("Tile", "v r", "g")], v=f32(1), **ten
        ),
        "an expand that is computed": lambda: grown(
            [*computed("r"), node("Expand", "v r", "g")], v=f32(1), **ten
        ),
        "a constant of a computed shape": lambda: grown(
            [*computed("r"), node("ConstantOfShape", "r", "g")], **ten
        ),
        "a range that is computed": lambda: grown(
            [*computed("b"), node("Range", "a b c", "g")], a=np.array(0), c=np.array(1), **flat
        ),
        "a pad that is computed": lambda: grown(
            [*computed("r"), node("Concat", "r zero", "q", axis=0), node("Pad", "v q", "g")],
            v=f32(1), zero=i64(0), **ten,
        ),
        "an image's tile that is computed": lambda: behind(
            [*computed("r"), node("Concat", "o o o r", "q", axis=0), node("Tile", "z q", "e")],
            {"o": i64(1), **ten},
        ),
        "a shape of a shape": lambda: grown(
            [node("ConstantOfShape", "r", "a"), node("Shape", "a", "b"), node("Mul", "b b", "c"),
             node("Expand", "one c", "g")],
            r=i64(90_000), one=f32(1),
        ),
        "a constant inside of an If": lambda: _if(
            [node("ConstantOfShape", "r", "a"), node("ReduceSum", "a", "s", keepdims=0)],
            {"r": i64(HUGE, 9)},
        ),
        "concat inside of an If": lambda: _if(
            [*[node("Concat", f"v{i} v{i}", f"v{i + 1}", axis=0) for i in range(34)],
             node("ReduceSum", "v34", "s", keepdims=0)],
            {"v0": f32(1, 1)},
        ),
    }  # fmt: skip


def _if(nodes: Sequence[onnx.NodeProto], constants: dict[str, Any]) -> onnx.ModelProto:
    """A condition that holds, whose branch gives s."""
    branch = helper.make_graph(list(nodes), "then", [], [info("s", F, None)])
    other = helper.make_graph([node("Identity", "zero", "s2")], "else", [], [info("s2", F, None)])
    steps = [
        helper.make_node("If", ["c"], ["s"], then_branch=branch, else_branch=other, name="if"),
        node("Add", "z s", "e"),
    ]
    return behind(steps, {"c": np.array(True), "zero": np.float32(0), **constants})


def _fed() -> dict[str, Make]:
    """What grows with the input alone."""
    return {
        "concat of the image": lambda: behind(
            [node("Concat", f"{'z' if i == 0 else f'v{i}'} " * 2, f"v{i + 1}", axis=3)
             for i in range(34)], {},
        ),
        "a resize of the image": lambda: behind(
            [node("Resize", "z _ s", "e")], {"s": f32(1, 1, 1e5, 1e5)}
        ),
        "a pad of the image": lambda: behind(
            [node("Pad", "z p", "e")], {"p": i64(*[HUGE] * 8)}
        ),
        "an upsampling by ConvTranspose": lambda: behind(
            [node("ConvTranspose", "z v", "e", strides=[10**6, 10**6])],
            {"v": np.ones((8, 1, 1, 1), np.float32)},
        ),
        "a one-hot of the image": lambda: behind(
            [node("Cast", "z", "i", to=7), node("OneHot", "i d v", "e")],
            {"d": np.array(10**8), "v": f32(0, 1)},
        ),
        "an expand of the image": lambda: behind(
            [node("Expand", "z s", "e")], {"s": i64(HUGE, 1, 1, 1, 1)}
        ),
        "a fixed image of 2^40": lambda: model(
            [node("Relu", "x", "y")], inputs=[info("x", shape=[2**20, 2**20])]
        ),
        "a product of all with all": lambda: behind(
            [node("Reshape", "z s", "a"), node("Transpose", "a", "t", perm=[1, 0]),
             node("Tile", "a r", "k"), node("MatMul", "k t", "e")],
            {"s": i64(-1, 1), "r": i64(10, 1)},
        ),
    }  # fmt: skip


def _loop(trips: int | None, condition: bool = True, nodes: Sequence[Any] = ()) -> onnx.ModelProto:
    """A loop of so many trips, which adds 1 to a number."""
    body = helper.make_graph(
        [node("Identity", "go", "on"), *(nodes or [node("Add", "a one", "b")])],
        "body",
        [info("i", I64, []), info("go", TensorProto.BOOL, []), info("a", F, None)],
        [info("on", TensorProto.BOOL, []), info("b", F, None)],
    )
    loop = helper.make_node(
        "Loop", ["" if trips is None else "m", "c", "one"], ["s"], body=body, name="loop"
    )
    return behind(
        [loop, node("ReduceSum", "s", "t", keepdims=0), node("Add", "z t", "e")],
        {"m": np.array(trips or 0), "c": np.array(condition), "one": f32(1)},
    )


def _loops() -> dict[str, Make]:
    return {
        "ten trips": lambda: _loop(10),
        "no trips": lambda: _loop(0),
        "-5 trips": lambda: _loop(-5),
        "2^62 trips": lambda: _loop(2**62),
        "trips without an end": lambda: _loop(None),
        "a body that doubles": lambda: _loop(40, nodes=[node("Concat", "a a", "b", axis=0)]),
        "a body that never begins": lambda: _loop(2**62, condition=False),
        "a loop in a loop": _nested_loop,
        "a scan of the image": _scan,
        "a sequence that grows": _sequence,
    }


def _nested_loop() -> onnx.ModelProto:
    inner = _loop(10**6).graph.node[1]
    inner.input[:] = ["m", "c", "a"]
    inner.output[:] = ["b"]
    return _loop(10**6, nodes=[inner])


def _scan() -> onnx.ModelProto:
    body = helper.make_graph(
        [node("Add", "s v", "t"), node("Identity", "t", "u")],
        "body",
        [info("s", F, None), info("v", F, None)],
        [info("t", F, None), info("u", F, None)],
    )
    scan = helper.make_node(
        "Scan", ["start", "z"], ["last", "all"], body=body, num_scan_inputs=1, name="scan"
    )
    return behind([scan, node("Relu", "all", "e")], {"start": f32(0)})


def _sequence() -> onnx.ModelProto:
    steps = [node("SequenceConstruct", "z", "q0")]
    steps += [node("SequenceInsert", f"q{i} z", f"q{i + 1}") for i in range(200)]
    return behind([*steps, node("ConcatFromSequence", "q200", "e", axis=1)], {})


def _depth() -> dict[str, Make]:
    return {
        "an Identity chain of 20,000": lambda: _chain("Identity", 20_000),
        "a Relu chain of 20,000": lambda: _chain("Relu", 20_000),
        "an Identity chain of 20,000 before a weight": lambda: model(
            [*[node("Identity", f"w{i}", f"w{i + 1}") for i in range(20_000)],
             node("Conv", "x w20000", "y")],
            {"w0": np.ones((8, 4, 3, 3), np.float32)},
        ),
        "a Relu read by 20,000": lambda: model(
            [node("Relu", "x", "v"), *[node("Neg", "v", f"n{i}") for i in range(20_000)],
             node("Sum", " ".join(f"n{i}" for i in range(20_000)), "y")],
        ),
        "20,000 outputs": lambda: model(
            [node("Neg", "x", f"n{i}") for i in range(20_000)],
            outputs=[info(f"n{i}") for i in range(20_000)],
        ),
        "20,000 inputs": lambda: model(
            [node("Sum", " ".join(f"x{i}" for i in range(20_000)), "y")],
            inputs=[info(f"x{i}") for i in range(20_000)],
        ),
        "20,000 initializers": lambda: model(
            [node("Relu", "x", "y")], {f"w{i}": f32(i) for i in range(20_000)}
        ),
        "a ladder of 40 Adds": lambda: model(
            [node("Add", f"{'x' if i == 0 else f'v{i}'} " * 2, f"v{i + 1}") for i in range(40)]
        ),
        "If in If, 25 deep": lambda: _ifs(25),
        "functions that call twice, 40 deep": lambda: _functions(40, 2),
        "functions that call twice, 12 deep": lambda: _functions(12, 2),
        "functions that call once, 400 deep": lambda: _functions(400, 1),
        "a function that calls itself": _recursion,
        "two functions that call each other": lambda: _recursion("b"),
        "rank 200": lambda: behind(
            [node("Unsqueeze", "z a", "u"), node("Relu", "u", "e")], {"a": i64(*range(4, 200))}
        ),
        "names of 10^6 letters": lambda: _named("n" * 10**6),
        "a doc string of 10^7 letters": _documented,
    }  # fmt: skip


def _chain(op: str, length: int) -> onnx.ModelProto:
    return model([node(op, "x" if i == 0 else f"v{i}", f"v{i + 1}") for i in range(length)])


def _ifs(depth: int) -> onnx.ModelProto:
    inner = [node("Relu", "z", "r0")]
    for i in range(1, depth):
        then = helper.make_graph(inner, "t", [], [info(f"r{i - 1}", F, None)])
        other = helper.make_graph([node("Neg", "z", f"o{i}")], "o", [], [info(f"o{i}", F, None)])
        inner = [helper.make_node("If", ["c"], [f"r{i}"], then_branch=then, else_branch=other)]
    return behind(inner, {"c": np.array(True)})


def _functions(depth: int, times: int) -> onnx.ModelProto:
    """f0 is a Relu; each further function calls the one before so many times."""
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    functions = [helper.make_function("own", "f0", ["a"], ["b"], [node("Relu", "a", "b")], imports)]
    for i in range(1, depth):
        steps = [
            helper.make_node(
                f"f{i - 1}",
                ["a" if t == 0 else f"t{t}"],
                ["b" if t == times - 1 else f"t{t + 1}"],
                domain="own",
            )
            for t in range(times)
        ]
        functions.append(helper.make_function("own", f"f{i}", ["a"], ["b"], steps, imports))
    call = helper.make_node(f"f{depth - 1}", ["x"], ["y"], domain="own", name="call")
    return model([call], functions=functions, imports=imports[1:])


def _recursion(other: str = "a") -> onnx.ModelProto:
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]

    def calling(name: str, called: str) -> onnx.FunctionProto:
        step = helper.make_node(called, ["x"], ["y"], domain="own")
        return helper.make_function("own", name, ["x"], ["y"], [step], imports)

    functions = [calling("a", other), *([calling(other, "a")] if other != "a" else [])]
    call = helper.make_node("a", ["x"], ["y"], domain="own", name="call")
    return model([call], functions=functions, imports=imports[1:])


def _named(name: str) -> onnx.ModelProto:
    return model([helper.make_node("Relu", ["x"], [name], name=name)])


def _documented() -> onnx.ModelProto:
    made = model([node("Relu", "x", "y")])
    made.doc_string = made.graph.doc_string = "d" * 10**7
    return made
