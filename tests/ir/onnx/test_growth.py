"""What a few bytes ask for is known before it is computed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from sparqc.errors import SparqcError
from sparqc.ir.bounds import LARGEST
from sparqc.ir.onnx.meaning.faults import faults_of
from sparqc.ir.onnx.meaning.growth import infers_numbers, require_finite, sized_graph
from tests.ir.onnx_models import model

X = {"x": ["b", 4]}
Y = {"y": ["p", "q"]}


def made(nodes: Sequence[onnx.NodeProto], **constants: Any) -> onnx.ModelProto:
    """A model of x [b, 4] whose last node gives y."""
    return model(list(nodes), constants, inputs=X, outputs=Y)


def node(op: str, inputs: str, output: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(op, inputs.split(), [output], output, **attributes)


def doubled(op: str, times: int, **attributes: Any) -> list[onnx.NodeProto]:
    return [node(op, f"v{i} v{i}", f"v{i + 1}", **attributes) for i in range(times)]


END = [node("ReduceMax", "g", "m", keepdims=0), node("Add", "x m", "y")]
TEN = {"ten": np.array([10]), "nine": np.array([10])}
GROWN: dict[str, Callable[[], onnx.ModelProto]] = {
    "concat": lambda: made(
        [*doubled("Concat", 30, axis=0), node("Add", "x v30", "y")], v0=np.ones(4, np.float32)
    ),
    "concat of sizes": lambda: made(
        [*doubled("Concat", 30, axis=0), node("Cast", "v30", "g", to=1), *END], v0=np.ones(4, int)
    ),
    "tile": lambda: made(
        [node("Tile", "a r", "g"), *END], a=np.ones(1, np.float32), r=np.array([10**10])
    ),
    "outer product": lambda: made(
        [node("Mul", "a c", "g"), *END],
        a=np.ones((10**5, 1), np.float32),
        c=np.ones((1, 10**5), np.float32),
    ),
    "computed": lambda: made(
        [node("Pow", "ten nine", "r"), node("Expand", "a r", "g"), *END],
        a=np.ones(1, np.float32), **TEN,
    ),
    "the shape of a shape": lambda: made(
        [
            node("ConstantOfShape", "r", "a"), node("Shape", "a", "c"), node("Mul", "c c", "d"),
            node("Expand", "one d", "g"), *END,
        ],
        r=np.array([90_000]), one=np.ones(1, np.float32),
    ),
    "of the input": lambda: made(
        [node("Shape", "x", "s"), node("Pow", "s p", "r"), node("Expand", "a r", "g"), *END],
        p=np.array([20]), a=np.ones(1, np.float32),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", GROWN)
def test_what_grows_is_found_before_it_is_computed(name: str) -> None:
    (fault,) = faults_of(GROWN[name]())
    assert "elements" in fault.message and "more than" in fault.message


def test_large_values_are_allowed() -> None:
    mask = made(
        [node("Expand", "a r", "g"), *END], a=np.ones(1, np.float32), r=np.array([4096, 4096])
    )
    assert faults_of(mask) == ()
    largest = model(
        [node("Relu", "x", "y")], {}, inputs={"x": [1, LARGEST]}, outputs={"y": [1, LARGEST]}
    )
    assert faults_of(largest) == ()
    largest.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 2
    largest.graph.output[0].type.tensor_type.shape.dim[0].dim_value = 2
    assert len(faults_of(largest)) > 0


def test_more_is_computed_of_a_model_that_stores_more() -> None:
    def of(stored: int) -> onnx.ModelProto:
        r = np.array([2**25 // stored, 9])
        return made([node("Tile", "a r", "g"), *END], a=np.ones((stored, 1), np.float32), r=r)

    assert faults_of(of(1)) != ()
    assert faults_of(of(2**20)) == ()


def test_numbers_in_short_lists_are_followed() -> None:
    short = made(doubled("Concat", 4, axis=0), v0=np.ones(4, int))
    assert infers_numbers(sized_graph(short))
    assert not infers_numbers(sized_graph(made(doubled("Concat", 20, axis=0), v0=np.ones(4, int))))


# -- loops ---------------------------------------------------------------------------------------


def loop(trips: Any, on: str = "go") -> onnx.ModelProto:
    """A loop that adds 1 to the input, and goes on while `on` says so."""
    body = helper.make_graph(
        [
            node("Add", "a one", "c"),
            node("Less", "i three", "less"),
            node("Identity", on, "next"),
        ],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("a", TensorProto.FLOAT, ["n", 4]),
        ],
        [
            helper.make_tensor_value_info("next", TensorProto.BOOL, []),
            helper.make_tensor_value_info("c", TensorProto.FLOAT, ["n", 4]),
        ],
    )
    constants = {"t": np.array(True), "one": np.float32(1), "three": np.array(3)}
    if trips is not None:
        constants["n"] = np.array(trips)
    inputs = ["" if trips is None else "n", "t", "x"]
    return made([helper.make_node("Loop", inputs, ["y"], "loop", body=body)], **constants)


@pytest.mark.parametrize("trips", [2**62, None])
def test_a_loop_that_does_not_end(trips: int | None) -> None:
    (fault,) = faults_of(loop(trips))
    assert "Loop 'loop': it runs" in fault.message
    assert faults_of(loop(trips, on="less")) == ()


def test_a_loop_that_ends() -> None:
    assert faults_of(loop(1000)) == ()


@pytest.mark.parametrize(("operands", "trips", "fits"), [
    ("a a", 40, False), ("a a", 10, True), ("a one", 1000, True), ("a one", 10**6, True),
])  # fmt: skip
def test_a_loop_whose_value_grows(operands: str, trips: int, fits: bool) -> None:
    growing = loop(trips)
    body = growing.graph.node[-1].attribute[0].g
    body.node[0].CopyFrom(node("Concat", operands, "c", axis=0))
    for tensor in growing.graph.initializer:
        if tensor.name == "one":
            tensor.CopyFrom(onnx.numpy_helper.from_array(np.ones((1, 4), np.float32), "one"))
    faults = faults_of(growing)
    assert (faults == ()) == fits and all("grows to" in f.message for f in faults)


# -- functions -----------------------------------------------------------------------------------


def functions(*calls: tuple[str, list[str]]) -> onnx.ModelProto:
    """A model that calls the first function; each calls the others that are named with it."""
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]

    def body(called: list[str]) -> list[onnx.NodeProto]:
        names = ["a", *(f"t{i}" for i in range(len(called) - 1)), "b"]
        return [
            helper.make_node(name, [names[i]], [names[i + 1]], domain="own")
            for i, name in enumerate(called)
        ] or [node("Relu", "a", "b")]

    main = made([helper.make_node(calls[0][0], ["x"], ["y"], domain="own")])
    main.functions.extend(
        helper.make_function("own", name, ["a"], ["b"], body(called), imports)
        for name, called in calls
    )
    return main


def test_functions_that_become_too_many_nodes() -> None:
    chain = [(f"f{i}", [f"f{i + 1}"] * 2) for i in range(40)]
    with pytest.raises(SparqcError, match=r"become 1\.1e\+12 nodes"):
        require_finite(functions(*chain, ("f40", [])))
    require_finite(functions(*chain[:10], ("f10", [])))


@pytest.mark.parametrize(
    "calls", [[("f", ["f"])], [("f", ["g"]), ("g", ["f"])], [("f", ["g", "h"]), ("g", ["h", "f"])]]
)
def test_functions_in_a_circle(calls: list[tuple[str, list[str]]]) -> None:
    with pytest.raises(SparqcError, match="calls itself"):
        require_finite(functions(*calls, ("h", [])))
