"""Listings of engines in every form in which they come."""

import json

import pytest

from sparqc.errors import SparqcError, UsageError
from sparqc.tools.engine.listing import read_listing
from sparqc.tools.engine.rtx import compile_rtx
from tests.engine_models import quantized_conv

INSPECTOR = {
    "Layers": [
        {
            "Name": "conv + relu",
            "LayerType": "CaskConvolution",
            "Inputs": [{"Name": "x", "Dimensions": [1, 16, 8, 8], "Format/Datatype": "Int8"}],
            "Outputs": [{"Name": "y", "Dimensions": [1, 16, 8, 8], "Format/Datatype": "Int8"}],
            "Weights": {"Type": "Int8", "Count": 2304},
            "TacticName": "sm80_sparse",
            "Metadata": "[ONNX Layer: conv][ONNX Layer: relu]",
        }
    ]
}
RTX_LINE = (
    "Name: conv_myl0_1, LayerType: correlation, Inputs: [ { Name: x, Dimensions: [1,16,8,8], "
    "Datatype: Int8, Format: a }], Constants: [], Outputs: [ { Name: y, Dimensions: [1,16,8,8], "
    "Datatype: Float, Format: a }], TacticName: t, StreamId: 0, Metadata: [ONNX Layer: conv]"
)


def written(tmp_path, text):
    path = tmp_path / "listing"
    path.write_text(text)
    return path


def test_the_json_of_trtexec(tmp_path):
    (kernel,) = read_listing(written(tmp_path, json.dumps(INSPECTOR)))
    assert (kernel.nodes, kernel.sparse) == (("conv", "relu"), True)


def test_the_log_of_tensorrt_rtx(tmp_path):
    (kernel,) = read_listing(written(tmp_path, f"[V] Layers:\n{RTX_LINE}\n\nEngine Metadata"))
    assert (kernel.nodes, kernel.outputs[0].dtype) == (("conv",), "float32")


def test_the_json_of_sparqc_build(tmp_path):
    report = compile_rtx(quantized_conv())
    path = written(tmp_path, json.dumps(report.to_json()))
    assert read_listing(path) == report.kernels


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "[]", "{}", '{"Layers": 3}', '{"Layers": ["conv", "relu"]}', '{"kernels": []}',
        '{"kernels": [{"name": "conv"}]}', "nothing of the kind",
    ],
)  # fmt: skip
def test_anything_else_is_refused(tmp_path, text):
    with pytest.raises(SparqcError):
        read_listing(written(tmp_path, text))


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(UsageError, match="there is no file"):
        read_listing(tmp_path / "missing.json")


def test_a_file_that_is_no_text(tmp_path):
    path = tmp_path / "listing"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SparqcError, match="cannot be read"):
        read_listing(path)
