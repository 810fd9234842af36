"""A Resize with antialias in a file: as PyTorch's it becomes products, another one is refused."""

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch

import sparqc
from sparqc.errors import SparqcError

IMAGES = torch.randn(2, 4, 13, 17, generator=torch.Generator().manual_seed(4))
NAMES = ("roi", "scales", "sizes")
FACTORS = {"scales": np.array([1, 1, 0.5, 1.3], np.float32)}
ROOM = {"sizes": np.array([2, 4, 7, 20])}


def resize_of(given, **attributes):
    """An ONNX file of one Resize with antialias."""
    words = {"antialias": 1, "exclude_outside": 1, "mode": "linear", **attributes}
    inputs = [name if name in given else "" for name in NAMES]
    node = onnx.helper.make_node("Resize", ["x", *inputs], ["y"], **words)
    resized = [2, 4, 7, 20] if "sizes" in given else [2, 4, 6, 22]
    slots = [
        onnx.helper.make_tensor_value_info(name, 1, shape)
        for name, shape in (("x", list(IMAGES.shape)), ("y", resized))
    ]
    constants = [onnx.numpy_helper.from_array(v, k) for k, v in given.items()]
    graph = onnx.helper.make_graph([node], "resize", slots[:1], slots[1:], constants)
    opset = onnx.helper.make_opsetid("", 19)
    return onnx.helper.make_model(graph, opset_imports=[opset], ir_version=9)


@pytest.mark.parametrize("given", [FACTORS, ROOM], ids=["scales", "sizes"])
@pytest.mark.parametrize("words", [{}, {"mode": "cubic", "cubic_coeff_a": -0.5}], ids=str)
def test_an_onnx_resize_with_antialias_becomes_products(given, words):
    model = resize_of(given, **words)
    done = sparqc.compile(model, (IMAGES,), passes="float")
    assert [n.op_type for n in done.model.graph.node] == ["MatMul", "Transpose"] * 2
    expected, actual = (
        ort.InferenceSession(m.SerializeToString()).run(None, {"x": IMAGES.numpy()})[0]
        for m in (model, done.model)
    )
    assert np.abs(expected - actual).max() < 1e-5 * np.abs(expected).max()


@pytest.mark.parametrize(
    "words",
    [
        {"exclude_outside": 0},
        {"mode": "cubic"},
        {"coordinate_transformation_mode": "align_corners"},
    ],
    ids=str,
)
def test_another_filter_than_pytorchs_is_refused(words):
    with pytest.raises(SparqcError, match="antialiased"):
        sparqc.compile(resize_of(ROOM, **words), (IMAGES,), passes="float")
