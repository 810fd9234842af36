"""The engine inspector's JSON, in the forms that NVIDIA documents for 8.x to 10.x and for 11.x."""

import json

import pytest

from sparqc.errors import SparqcError
from sparqc.tools.engine.kernel import EngineTensor
from sparqc.tools.engine.listings.inspector import parse_inspector

VECTORIZED = "Thirty-two wide channel vectorized row major Int8 format"

CONV = {
    "Name": "conv + relu",
    "LayerType": "CaskConvolution",
    "Inputs": [{"Name": "x", "Dimensions": [16, 512, 28, 28], "Format/Datatype": VECTORIZED}],
    "Outputs": [
        {"Name": "y", "Dimensions": [16, 256, 28, 28], "Format/Datatype": VECTORIZED + "."}
    ],
    "ParameterType": "Convolution",
    "Kernel": [1, 1],
    "Groups": 1,
    "Weights": {"Type": "Int8", "Count": 131072},
    "Bias": {"Type": "Float", "Count": 256},
    "HasSparseWeights": 1,
    "Activation": "RELU",
    "TacticName": "sm80_xmma_fprop_avdt_sparse_int8int8_tilesize64x64x64_r3s3_scalebias_relu",
    "StreamId": 0,
    "Metadata": "[ONNX Layer: conv]\u001e[ONNX Layer: relu]",
}

REFORMAT = {
    "Name": "Reformatting CopyNode for Input Tensor 0 to conv + relu",
    "LayerType": "Reformat",
    "Inputs": [
        {
            "Name": "image",
            "Location": "Device",
            "Dimensions": [16, 512, 28, 28],
            "Format/Datatype": "Row major linear FP32",
        }
    ],
    "Outputs": [{"Name": "x", "Dimensions": [16, 512, 28, 28], "Format/Datatype": VECTORIZED}],
    "TacticValue": "0x00000000000003e8",
    "Metadata": "",
}

# From 11 on type and layout are two fields.
GEMM = {
    "Name": "fc_myl0_9",
    "LayerType": "gemm",
    "Inputs": [
        {"Name": "q", "Dimensions": [16, 256], "Datatype": "Int8", "Format": "Row major linear"}
    ],
    "Constants": [{"Name": "w", "Dimensions": [256, 10], "Datatype": "Int8", "Format": "..."}],
    "Outputs": [{"Name": "z", "Dimensions": [16, 10], "Datatype": "Half", "Format": "..."}],
    "TacticName": "sm80_xmma_gemm_i8i32",
    "Metadata": "[ONNX Layer: fc]",
}

SIGNAL = {"Name": "event", "LayerType": "signal", "Inputs": [], "Outputs": [], "EventId": 1}

ENGINE = json.dumps({"Layers": [REFORMAT, CONV, SIGNAL, GEMM], "Bindings": ["image", "z"]})


def test_the_kernels_are_those_that_move_data():
    reformat, conv, gemm = parse_inspector(ENGINE)
    assert [reformat.layer_type, conv.layer_type, gemm.layer_type] == [
        "Reformat",
        "CaskConvolution",
        "gemm",
    ]


def test_types_are_read_out_of_the_sentence_and_out_of_the_field():
    reformat, conv, gemm = parse_inspector(ENGINE)
    assert reformat.inputs == (EngineTensor("image", (16, 512, 28, 28), "float32"),)
    assert conv.inputs[0].dtype == conv.outputs[0].dtype == "int8"
    assert (gemm.inputs[0].dtype, gemm.outputs[0].dtype) == ("int8", "float16")


def test_weights_are_constants():
    _, conv, gemm = parse_inspector(ENGINE)
    assert [(c.dtype, c.bytes) for c in conv.constants] == [("int8", 131072), ("float32", 1024)]
    assert gemm.constants == (EngineTensor("w", (256, 10), "int8"),)


def test_a_sparse_tactic_is_seen_in_its_name():
    assert [k.sparse for k in parse_inspector(ENGINE)] == [None, True, False]


def test_onnx_nodes_come_from_the_metadata():
    _, conv, gemm = parse_inspector(ENGINE)
    assert (conv.nodes, gemm.nodes) == (("conv", "relu"), ("fc",))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "cannot be read"),
        ("{}", "cannot be read"),
        ("[]", "cannot be read"),
        ('{"Layers": ["conv + relu", "pool"]}', "only the names"),
    ],
)
def test_anything_else_is_an_error(text, message):
    with pytest.raises(SparqcError, match=message):
        parse_inspector(text)
