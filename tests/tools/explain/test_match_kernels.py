"""Which nodes of a file the kernels of a listing are taken to stand for."""

from dataclasses import replace

import pytest

from sparqc.errors import SparqcError
from sparqc.tools.engine.kernel import EngineTensor, Kernel
from sparqc.tools.engine.listings.kernel_names import names_in
from sparqc.tools.engine.onnx_source import read_source
from sparqc.tools.explain.match_kernels import match_kernels
from tests.engine_models import residual_block

MODEL = residual_block(True)
WEIGHTS = 64 * 64 * 9


def kernel(name: str, count: int = WEIGHTS) -> Kernel:
    weights = EngineTensor(f"{name}.Weights", (count,), "int8")
    return Kernel(name, "Cask", constants=(weights,), nodes=names_in(name), from_name=True)


def nodes(*kernels: Kernel) -> list[tuple[str, ...]]:
    return [k.nodes for k in match_kernels(kernels, MODEL).kernels]


def test_names_are_nodes_where_the_file_has_them() -> None:
    assert nodes(kernel("conv1_w + quantizelinear_1_clone_0 + conv1 + PWN(relu_4)")) == [
        ("quantizelinear_1", "conv1", "relu_4")
    ]


def test_a_node_without_a_name_is_that_of_its_tensor() -> None:
    assert nodes(kernel("conv1 + node_of_relu_4")) == [("conv1", "relu_4")]


def test_quantizers_have_longer_names_in_8_0() -> None:
    assert nodes(kernel("quantizelinear_1_quantize_scale_node"), kernel("conv1"))[0] == (
        "quantizelinear_1",
    )


def test_a_weight_stands_for_its_layer() -> None:
    found = match_kernels([kernel("conv2_w + Q_8 + Conv_9 + Add_10")], MODEL)
    assert [k.nodes for k in found.kernels] == [("conv2",)]
    assert len(found.partly) == 1


@pytest.mark.parametrize("count", [9, 2 * WEIGHTS])
def test_a_weight_of_another_size_is_another_model(count: int) -> None:
    with pytest.raises(SparqcError, match="another model: of its 2 kernels 1 name layers"):
        match_kernels([kernel("conv1", count), kernel("elsewhere")], MODEL)


def test_a_quantizer_alone_tells_nothing() -> None:
    with pytest.raises(SparqcError, match="names no node of this model"):
        match_kernels([kernel("quantizelinear_1"), kernel("elsewhere")], MODEL)


def test_more_weights_are_channels_that_were_added_where_the_compiler_names_the_node() -> None:
    padded = replace(kernel("conv1", 2 * WEIGHTS), from_name=False)
    assert nodes(padded) == [("conv1",)]


def test_one_name_in_two_kernels_is_none() -> None:
    found = match_kernels([kernel("conv1"), kernel("conv1 + relu_4"), kernel("conv2")], MODEL)
    assert [k.nodes for k in found.kernels] == [(), (), ("conv2",)]
    assert found.doubts == ("several nodes or kernels are called conv1",)


def test_a_name_that_two_nodes_have_is_none() -> None:
    twice = residual_block(True)
    for node in twice.graph.node:
        if node.name == "conv2":
            node.name = "conv1"
    model = read_source(twice).model
    found = match_kernels([kernel("conv1"), kernel("conv3")], model)
    assert [k.nodes for k in found.kernels] == [(), ("conv3",)]
