"""The report's numbers, its JSON and its summary."""

import io
import json

import pytest
from rich.console import Console

from sparqc.errors import SparqcError
from sparqc.tools.engine.kernel import EngineTensor, Kernel, constant_bytes, dtype_name, layer_names
from sparqc.tools.engine.report import CompilerMessage, EngineOperator, EngineReport
from sparqc.tools.engine.text import render_report

DATA = EngineTensor("data", (8, 64, 10, 10), "int8")
RESULT = EngineTensor("result", (8, 64, 10, 10), "float32")
WEIGHT = EngineTensor("weight", (64, 64, 3, 3), "int8")
CONV = Kernel("conv_0", "correlation", (DATA, DATA), (RESULT,), (WEIGHT,), ("conv", "relu"))

REPORT = EngineReport(
    target="tensorrt-rtx",
    compiler="TensorRT-RTX 1.7",
    accepted=True,
    compute_capability=86,
    kernels=(CONV,),
    operators=(
        EngineOperator("conv", "Conv", "w", "int8", "conv_0"),
        EngineOperator("fc[0]", "Gemm", "v", "float", "fc_1", "its data arrive as float32", "head"),
        EngineOperator("dead", "Gemm", "u", "unknown", reason="no kernel names it"),
    ),
    shapes=(("x", (8, 3, 10, 10)),),
    batch=8,
    weight_bytes=36864,
    plan_bytes=2_000_000,
    build_seconds=1.25,
)


def text_of(report: EngineReport) -> str:
    console = Console(file=io.StringIO(), width=40)
    render_report(report, console)
    return console.file.getvalue()


def test_a_tensor_that_a_kernel_lists_twice_is_read_once():
    assert CONV.bytes_read == 8 * 64 * 100
    assert CONV.bytes_written == 4 * 8 * 64 * 100
    assert REPORT.bytes_read == CONV.bytes_read


def test_a_constant_that_two_kernels_read_is_stored_once():
    assert constant_bytes([CONV, CONV]) == 64 * 64 * 9


def test_half_bytes_are_rounded_up():
    assert EngineTensor("w", (3,), "int4").bytes == 2


def test_a_size_that_the_data_decide_counts_nothing_and_is_told():
    boxes = EngineTensor("boxes", (-1, 3), "int64")
    report = EngineReport("t", "c", True, kernels=(Kernel("nms", "nms", (DATA,), (boxes,)),))
    assert (boxes.bytes, report.unsized_tensors) == (0, 1)
    assert "at least" in text_of(report)


def test_nodes_are_grouped_by_what_became_of_them():
    assert REPORT.int8_nodes == ["conv"]
    assert REPORT.float_nodes == ["fc[0]"]
    assert REPORT.unknown_nodes == ["dead"]


def test_the_summary_says_what_a_person_asks_first():
    text = text_of(REPORT)
    assert "accepted by TensorRT-RTX 1.7 for SM86 in 1.2 s" in text
    assert "1 of 3 weighted operators run in INT8" in text
    assert "fc[0] (head): Gemm with v: its data arrive as float32" in text
    assert "51.2 kB of activations read, 0.2 MB written at batch 8" in text
    assert "sparse tactics are picked at run time and not seen here" in text


def test_the_summary_of_a_refused_model_is_its_errors():
    error = CompilerMessage("its zero point is not 0", "q", "QuantizeLinear")
    text = text_of(EngineReport("t", "TensorRT 11", accepted=False, errors=(error,)))
    assert text.splitlines() == [
        "refused by TensorRT 11 in 0.0 s",
        "  error: QuantizeLinear node 'q': its zero point is not 0",
    ]


def test_a_long_list_is_cut_and_says_so():
    many = tuple(EngineOperator(f"n{i}", "Conv", "w", "float") for i in range(40))
    text = text_of(EngineReport("t", "c", accepted=True, operators=many))
    assert "and 28 more" in text


def test_sparse_tactics_are_counted_where_the_compiler_names_them():
    kernels = tuple(Kernel(f"k{i}", "CaskConvolution", sparse=i < 2) for i in range(5))
    report = EngineReport("t", "c", accepted=True, kernels=kernels)
    assert report.sparse_kernels == 2
    assert "2 kernels use a sparse tactic" in text_of(report)


def test_the_json_has_these_keys():
    data = json.loads(json.dumps(REPORT.to_json()))
    assert list(data) == [
        "target",
        "compiler",
        "compute_capability",
        "accepted",
        "errors",
        "warnings",
        "shapes",
        "batch",
        "kernel_count",
        "int8_nodes",
        "float_nodes",
        "unknown_nodes",
        "operators",
        "traffic",
        "unsized_tensors",
        "weight_bytes",
        "plan_bytes",
        "sparsity",
        "build_seconds",
        "kernels",
    ]
    assert data["kernels"][0]["constants"] == [
        {"name": "weight", "dims": [64, 64, 3, 3], "dtype": "int8"}
    ]


@pytest.mark.parametrize(
    ("word", "name"),
    [("Half", "float16"), ("FP32", "float32"), ("Int8", "int8"), ("FP4E2M1", "float4")],
)
def test_types_have_one_name(word, name):
    assert dtype_name(word) == name


def test_an_unknown_type_is_an_error_and_not_a_wrong_size():
    with pytest.raises(SparqcError, match="'Trit'"):
        dtype_name("Trit")


def test_layer_names_are_read_with_and_without_separators():
    assert layer_names("[ONNX Layer: a/b][ONNX Layer: c][ONNX Layer: c]") == ("a/b", "c")
    assert layer_names("[ONNX Layer: a]\u001e[ONNX Layer: b]") == ("a", "b")
