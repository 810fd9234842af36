"""Files of what newer releases brought: FP8, FP4, INT4, blocks, operators of opset 23 and 24."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from sparqc.ir.onnx.adapter import read_onnx
from sparqc.ir.vocabulary.table import default_table
from sparqc.tools.check.checked import check_file
from sparqc.tools.explain.prediction import predict

F8, F4, I4, I8 = (
    TensorProto.FLOAT8E4M3FN, TensorProto.FLOAT4E2M1, TensorProto.INT4, TensorProto.INT8,
)  # fmt: skip


def file_of(folder: Path, text: str, opset: int = 24, **stored: object) -> Path:
    """A file in ONNX's own text; `stored` are arrays, or a type with the shape of ones in it."""
    model = onnx.parser.parse_model(f'<ir_version: 11, opset_import: ["": {opset}]> g {text}')
    for name, given in stored.items():
        if isinstance(given, tuple):
            kind, *shape = given
            ones = np.ones(shape, np.float32).ravel()
            model.graph.initializer.append(helper.make_tensor(name, kind, shape, ones))
        else:
            model.graph.initializer.append(numpy_helper.from_array(np.asarray(given), name))
    path = folder / "m.onnx"
    onnx.save(model, path)
    return path


MATRIX = "(float[2, 16, 64] x) => (float[2, 16, 64] y) "
HALF = np.float32(0.5)
ROADS = {
    "FP8": (
        MATRIX + "{ q = QuantizeLinear(x, s, z) d = DequantizeLinear(q, s, z)"
        " v = DequantizeLinear(w, s, z) y = MatMul(d, v) }",
        {"s": HALF, "z": (F8,), "w": (F8, 64, 64)},
    ),
    "FP8 by blocks": (
        MATRIX + "{ q = QuantizeLinear<axis = 2, block_size = 32>(x, s, z)"
        " d = DequantizeLinear<axis = 2, block_size = 32>(q, s, z) v = DequantizeLinear(w, t)"
        " y = MatMul(d, v) }",
        {"s": np.full((2, 16, 2), HALF), "z": (F8, 2, 16, 2), "w": (F8, 64, 64), "t": HALF},
    ),
    "FP4 with scales in FP8": (
        MATRIX + "{ s = DequantizeLinear(b, t)"
        " v = DequantizeLinear<axis = 0, block_size = 16>(w, s) y = MatMul(x, v) }",
        {"w": (F4, 64, 64), "b": (F8, 4, 64), "t": HALF},
    ),
    "INT4 weights by blocks": (
        MATRIX + "{ v = DequantizeLinear<axis = 0, block_size = 16>(w, s) y = MatMul(x, v) }",
        {"w": (I4, 64, 64), "s": np.full((4, 64), HALF)},
    ),
    "INT4 weights": (
        MATRIX + "{ v = DequantizeLinear<axis = 1>(w, s) y = MatMul(x, v) }",
        {"w": (I4, 64, 64), "s": np.full(64, HALF)},
    ),
    "INT8 weights": (
        MATRIX + "{ v = DequantizeLinear<axis = 1>(w, s) y = MatMul(x, v) }",
        {"w": (I8, 64, 64), "s": np.full(64, HALF)},
    ),
    "INT8 weights beside INT8": (
        MATRIX + "{ v = DequantizeLinear<axis = 1>(w, s) h = MatMul(x, v)"
        " q = QuantizeLinear(h, t, z) d = DequantizeLinear(q, t, z)"
        " u = DequantizeLinear<axis = 1>(k, s) y = MatMul(d, u) }",
        {"w": (I8, 64, 64), "k": (I8, 64, 64), "s": np.full(64, HALF), "t": HALF, "z": np.int8(0)},
    ),
}  # fmt: skip


@pytest.mark.parametrize("road", ROADS)
def test_a_supported_road_is_not_called_slow(road: str, tmp_path: Path) -> None:
    text, stored = ROADS[road]
    path = file_of(tmp_path, text, **stored)
    found = check_file(path).findings
    assert {f.grade for f in found} <= {"note"}, found
    engine = predict(path)
    assert engine.macs == 2 * 16 * 64 * 64 * text.count("MatMul")
    assert "weight-per-tensor" not in {f.id for f in found}


def test_a_type_that_no_release_reads_is_an_error(tmp_path: Path) -> None:
    text, _ = ROADS["FP8"]
    other = TensorProto.FLOAT8E5M2
    path = file_of(tmp_path, text, s=HALF, z=(other,), w=(other, 64, 64))
    found = [f for f in check_file(path).findings if f.grade == "error"]
    assert {f.id for f in found} == {"unread-type"}
    assert "FLOAT8E5M2, which the target does not read" in found[0].message


OPERATORS = {
    "Attention": (
        "(float[2, 4, 16, 32] q, float[2, 4, 8, 32] k, float[2, 4, 8, 32] v)"
        " => (float[2, 4, 16, 32] y) { y = Attention<is_causal = 1>(q, k, v) }",
        "nn.attention_by_heads", 2 * (2 * 4 * 16 * 32 * 8),
    ),
    "Attention, heads side by side": (
        "(float[2, 16, 128] q, float[2, 8, 64] k, float[2, 8, 64] v) => (float[2, 16, 128] y)"
        " { y = Attention<q_num_heads = 4, kv_num_heads = 2>(q, k, v) }",
        "nn.attention_by_heads", 2 * (2 * 16 * 128 * 8),
    ),
    "Attention with a cache": (
        "(float[2, 4, 1, 32] q, float[2, 4, 1, 32] k, float[2, 4, 7, 32] p)"
        " => (float[2, 4, 1, 32] y) { y, a, b = Attention(q, k, k, , p, p) }",
        "onnx.Attention", None,
    ),
    "Swish": ("(float[2, 8] x) => (float[2, 8] y) { y = Swish<alpha = 2.0>(x) }", "nn.swish", 0),
    "RMSNormalization": (
        "(float[2, 8] x, float[8] s) => (float[2, 8] y) { y = RMSNormalization<axis = 1>(x, s) }",
        "nn.rms_norm", 0,
    ),
    "RotaryEmbedding": (
        "(float[2, 4, 16, 32] x, float[16, 16] c, float[16, 16] s, int64[2, 16] p)"
        " => (float[2, 4, 16, 32] y) { y = RotaryEmbedding(x, c, s, p) }",
        "nn.rotary_embedding", 0,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", OPERATORS)
def test_an_operator_has_its_row_and_its_products(name: str, tmp_path: Path) -> None:
    text, op, products = OPERATORS[name]
    path = file_of(tmp_path, text)
    assert [n.op for n in read_onnx(onnx.load(path), default_table()).nodes] == [op]
    assert not check_file(path).findings
    engine = predict(path)
    assert [k.macs for k in engine.kernels] == [products] and not engine.unsized_tensors
    assert [t.dtype for k in engine.kernels for t in k.outputs] == ["f32"]


def test_a_swish_is_in_the_kernel_of_its_convolution(tmp_path: Path) -> None:
    path = file_of(
        tmp_path,
        "(float[2, 32, 8, 8] x) => (float[2, 32, 8, 8] y) { c = Conv(x, w) y = Swish(c) }",
        w=np.ones((32, 32, 1, 1), np.float32),
    )
    assert [k.operators for k in predict(path).kernels] == [("nn.conv", "nn.swish")]


@pytest.mark.parametrize(("target", "int8"), [("tensorrt-11", 1), ("tensorrt-rtx", 0)])
def test_an_attention_that_reads_int8(target: str, int8: int, tmp_path: Path) -> None:
    pairs = " ".join(
        f"{n}c = QuantizeLinear({n}, s, z) {n}d = DequantizeLinear({n}c, s, z)" for n in "qkv"
    )
    shape = "float[2, 4, 16, 32]"
    text = (
        f"({shape} q, {shape} k, {shape} v) => ({shape} y) {{ {pairs} y = Attention(qd, kd, vd) }}"
    )
    path = file_of(tmp_path, text, s=HALF, z=np.int8(0))
    kernels = predict(path, target).kernels
    assert sum(k.int8 for k in kernels if "nn.attention_by_heads" in k.operators) == int8
