"""Listings of engines in every form in which they come."""

import json

import pytest

from sparqc.errors import SparqcError, UsageError
from sparqc.tools.engine.listings.listing import read_listing
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
    (kernel,) = read_listing(written(tmp_path, json.dumps(INSPECTOR))).kernels
    assert (kernel.nodes, kernel.sparse) == (("conv", "relu"), True)


def test_the_log_of_tensorrt_rtx(tmp_path):
    text = f"[V] Layers:\n{RTX_LINE}\n\nEngine Metadata"
    (kernel,) = read_listing(written(tmp_path, text)).kernels
    assert (kernel.nodes, kernel.outputs[0].dtype) == (("conv",), "float32")


def test_the_json_of_sparqc_build(tmp_path):
    report = compile_rtx(quantized_conv())
    path = written(tmp_path, json.dumps(report.to_json()))
    found = read_listing(path)
    assert (found.kernels, found.compiler) == (report.kernels, report.compiler)
    assert found.sparsity is report.sparsity_enabled is True


def test_other_listings_say_neither_version_nor_sparsity(tmp_path):
    found = read_listing(written(tmp_path, json.dumps(INSPECTOR)))
    assert (found.compiler, found.sparsity) == ("", None)


def test_of_a_list_that_was_cut_the_whole_layers_are_read(tmp_path):
    layers = {"Layers": INSPECTOR["Layers"] * 3}
    text = json.dumps(layers, indent=1)
    assert not read_listing(written(tmp_path, text)).cut
    each = (len(text) - len('{"Layers": []}')) / 3
    for share in (1.5, 2.5, 2.99):
        found = read_listing(written(tmp_path, text[: int(share * each)]))
        assert (len(found.kernels), found.cut) == (int(share), True)


def test_of_a_log_that_was_cut_the_whole_lines_are_read(tmp_path):
    text = f"{RTX_LINE}\n{RTX_LINE}\n{RTX_LINE[:200]}"
    found = read_listing(written(tmp_path, text))
    assert (len(found.kernels), found.cut) == (2, True)


def test_a_log_with_a_line_of_another_form_is_refused(tmp_path):
    with pytest.raises(SparqcError, match="in a form that sparqc does not know"):
        read_listing(written(tmp_path, f"{RTX_LINE[:200]}\n{RTX_LINE}\n"))


@pytest.mark.parametrize(
    "text",
    [
        '{"Layers": [{"Name": "co', '{"Layers": ["conv", "re', '{"Layers": [{"Name": "a"}, {"Na',
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
