"""Reading the verbose log of TensorRT-RTX."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparqc.errors import SparqcError
from sparqc.tools.engine.kernel import EngineTensor, Kernel
from sparqc.tools.engine.listings.rtx_listing import parse_listing

# Written by TensorRT-RTX 1.7.1 for a quantized convolution in a network with branches.
LISTING = (
    "Layers:\n"
    "Name: __mye529_0_myl0_0, LayerType: shape_call, Inputs: [], Constants: [], Outputs: [], "
    "TacticName: , StreamId: 0, Metadata: \n"
    "Name: node_conv_myl0_2, LayerType: correlation, Inputs: [ { Name: x_q, Dimensions: "
    "[-1,4,32,32], Strides: [4096,1,128,4], StrideOrder: [3,0,2,1], Datatype: Int8, Format: "
    "(NHWC) Channel major format }], Constants: [ { Name: w, Dimensions: [32,4,3,3], Strides: "
    "[36,1,12,4], StrideOrder: [3,0,2,1], Datatype: Int8, Format: (NHWC) Channel major format }, "
    "{ Name: scale, Dimensions: [1], Strides: [1], StrideOrder: [0], Datatype: Float, Format: "
    "(Linear) Row major linear format }], Outputs: [ { Name: y, Dimensions: [-1,32,32,32], "
    "Strides: [32768,1,1024,32], StrideOrder: [3,0,2,1], Datatype: Half, Format: (NHWC) Channel "
    "major format }], TacticName: __myelin_CASK_STUB, StreamId: 0, Metadata: "
    "[ONNX Layer: node_conv][ONNX Layer: x_DQ]\n"
    "Name: __mye15011_myl0_13, LayerType: signal, Inputs: [], Constants: [], Outputs: [], "
    "TacticName: , StreamId: 0, EventId: 1, Metadata: \n"
    "\n"
    "I/O Tensors:\n"
    " Name: x, IOMode: Input, DataType: Float, Dimensions: [-1,3,32,32], Location: Device\n"
)


def test_a_kernel_is_read_with_its_tensors_and_onnx_nodes():
    (kernel,) = parse_listing(LISTING)
    assert kernel == Kernel(
        name="node_conv_myl0_2",
        layer_type="correlation",
        inputs=(EngineTensor("x_q", (-1, 4, 32, 32), "int8"),),
        outputs=(EngineTensor("y", (-1, 32, 32, 32), "float16"),),
        constants=(
            EngineTensor("w", (32, 4, 3, 3), "int8"),
            EngineTensor("scale", (1,), "float32"),
        ),
        nodes=("node_conv", "x_DQ"),
        tactic="__myelin_CASK_STUB",
    )


@pytest.mark.parametrize("text", ["", "Layers:\n\n", "Layers:\nName: conv, Type: new, In: []\n"])
def test_another_form_is_an_error_and_not_an_empty_engine(text):
    with pytest.raises(SparqcError):
        parse_listing(text)


WORDS = st.from_regex(r"[A-Za-z_][\w./:+-]{0,12}", fullmatch=True)
TENSORS = st.lists(
    st.builds(
        EngineTensor,
        WORDS,
        st.lists(st.integers(-1, 4096), max_size=5).map(tuple),
        st.sampled_from(["int8", "int32", "int64", "bool", "uint8"]),
    ),
    max_size=3,
).map(tuple)
KERNELS = st.builds(
    Kernel,
    name=WORDS,
    layer_type=st.sampled_from(["kgen", "gemm", "runtime_fusion"]),
    inputs=TENSORS,
    outputs=TENSORS,
    constants=TENSORS,
    nodes=st.lists(WORDS, unique=True, max_size=3).map(tuple),
    tactic=WORDS,
)


def written(kernel: Kernel) -> str:
    """A kernel as TensorRT-RTX would list it."""

    def tensors(items):
        return ", ".join(
            f"{{ Name: {t.name}, Dimensions: [{','.join(map(str, t.dims))}], Strides: [1], "
            f"StrideOrder: [0], Datatype: {t.dtype.capitalize()}, Format: (Linear) Row major }}"
            for t in items
        )

    return (
        f"Name: {kernel.name}, LayerType: {kernel.layer_type}, "
        f"Inputs: [ {tensors(kernel.inputs)}], Constants: [ {tensors(kernel.constants)}], "
        f"Outputs: [ {tensors(kernel.outputs)}], TacticName: {kernel.tactic}, StreamId: 0, "
        f"Metadata: {''.join(f'[ONNX Layer: {n}]' for n in kernel.nodes)}"
    )


@settings(max_examples=40)
@given(st.lists(KERNELS, min_size=1, max_size=4))
def test_what_is_listed_is_read_back(kernels):
    listing = "\n".join(["Layers:", *map(written, kernels), "", "I/O Tensors:"])
    assert parse_listing(listing) == tuple(kernels)
