"""Scaled dot-product attention, and the rotation of queries and keys by their positions."""

from __future__ import annotations

import math

import numpy as np

from sparqc.errors import NoForm
from sparqc.ir.graph import Node, Value
from sparqc.ir.vocabulary.forms import (
    NUMPY_DTYPES,
    Rng,
    fx_call,
    normal,
    optional_tensor,
    tensor,
    written_as_others,
)
from sparqc.ir.vocabulary.multiply_adds import product, shape_of, size_of
from sparqc.ir.vocabulary.operator import (
    Call,
    FxCall,
    FxForm,
    OnnxEmitter,
    OnnxForm,
    OperandSpec,
    Operator,
    Reading,
    Sample,
)

OPERANDS = (
    OperandSpec("q"), OperandSpec("k"), OperandSpec("v"), OperandSpec("mask", optional=True),
)  # fmt: skip


def _read(call: Call) -> Reading | None:
    given = call.arguments
    if given["dropout_p"] != 0 or given.get("enable_gqa"):
        return None
    operands = {
        "q": given["query"], "k": given["key"], "v": given["value"], "mask": given["attn_mask"],
    }  # fmt: skip
    return Reading(operands, {name: given[name] for name in ("scale", "is_causal")})


def _write(node: Node) -> FxCall:
    operands = [optional_tensor(node, slot.name) for slot in OPERANDS]
    scale = node.attributes["scale"]
    more = {} if scale is None else {"scale": scale}
    call = fx_call("aten.scaled_dot_product_attention.default", *operands)
    if not node.attributes["is_causal"]:
        return FxCall(call.target, call.args, more)
    return FxCall(call.target, call.args, {"is_causal": True, **more})


def _write_onnx(node: Node, emitter: OnnxEmitter) -> None:
    """softmax(q @ k.T * scale + mask) @ v, the scale on q and k so that no product overflows."""
    q, k, v = (tensor(node, slot) for slot in ("q", "k", "v"))
    hint, dtype = node.output.name, NUMPY_DTYPES.get(q.type.dtype, np.dtype("float32"))
    root = emitter.constant(np.array(_scale(node, q) ** 0.5, dtype), f"{hint}_scale")
    turned, scaled_q, scaled_k, scores, weights = (emitter.temp(hint) for _ in range(5))
    rank = q.type.rank or 4
    perm = (*range(rank - 2), rank - 1, rank - 2)
    emitter.emit("Transpose", [k], {"perm": perm}, outputs=[turned])
    emitter.emit("Mul", [q, root], outputs=[scaled_q])
    emitter.emit("Mul", [turned, root], outputs=[scaled_k])
    emitter.emit("MatMul", [scaled_q, scaled_k], outputs=[scores])
    masked = _masked(node, emitter, scores, optional_tensor(node, "mask"))
    emitter.emit("Softmax", [masked], {"axis": -1}, outputs=[weights])
    emitter.emit("MatMul", [weights, v], outputs=node.outputs)


def _scale(node: Node, q: Value) -> float:
    """The factor on the scores: 1 / sqrt(head size) where none is given."""
    scale = node.attributes["scale"]
    if isinstance(scale, int | float):
        return float(scale)
    size = q.shape[-1] if q.shape else None
    if not isinstance(size, int):
        raise NoForm(f"{node.output.name}: the head size of the attention is unknown")
    return 1 / math.sqrt(size)


def _masked(node: Node, emitter: OnnxEmitter, scores: str, mask: Value | None) -> str:
    """The scores plus a float mask, or minus infinity where a bool mask or causality forbids."""
    output = emitter.temp(node.output.name)
    if node.attributes["is_causal"]:
        emitter.emit("Add", [scores, _causal(node, emitter)], outputs=[output])
    elif mask is None:
        return scores
    elif mask.type.dtype != "bool":
        emitter.emit("Add", [scores, mask], outputs=[output])
    else:
        q = tensor(node, "q")
        dtype = NUMPY_DTYPES.get(q.type.dtype, np.dtype("float32"))
        low = emitter.constant(np.array(-np.inf, dtype), f"{output}_low")
        emitter.emit("Where", [mask, scores, low], outputs=[output])
    return output


def _causal(node: Node, emitter: OnnxEmitter) -> str:
    q, k = tensor(node, "q"), tensor(node, "k")
    rows, columns = (v.shape[-2] if v.shape else None for v in (q, k))
    if not isinstance(rows, int) or not isinstance(columns, int):
        raise NoForm(
            f"{node.output.name}: causal attention over a symbolic number of tokens",
            hint="export with a fixed sequence length",
        )
    dtype = NUMPY_DTYPES.get(q.type.dtype, np.dtype("float32"))
    allowed = np.tril(np.ones((rows, columns), bool))
    mask = np.where(allowed, 0, -np.inf).astype(dtype)
    return emitter.constant(mask, f"{node.output.name}_causal")


def _macs(node: Node) -> int | None:
    """Scores of q [..., L, E] and k [..., S, E], and their product with v [..., S, F]."""
    tokens = size_of(node, "k", -2)
    scores, sums = product(shape_of(node, "q"), tokens), product(node.output.shape, tokens)
    return None if scores is None or sums is None else scores + sums


def _sample(rng: Rng) -> Sample:
    q, k, v = (normal(rng, 2, 2, 5, 4) for _ in range(3))
    mask = [None, normal(rng, 5, 5), rng.random((2, 1, 5, 5)) < 0.7][int(rng.integers(3))]
    if mask is not None and mask.dtype == bool:
        mask[..., 0] = True  # a token that may look nowhere gives NaN
    attributes = {"scale": [None, 0.5][int(rng.integers(2))], "is_causal": False}
    if mask is None:
        attributes["is_causal"] = bool(rng.integers(2))
    return Sample({"q": q, "k": k, "v": v, "mask": mask}, attributes)


# -- ONNX's own, from opset 23 on ----------------------------------------------------------------

#: Of these no target reads more than one value.
_UNUSED = {"softcap": 0, "left_window_size": -1, "right_window_size": -1}
_BY_HEADS = {
    "scale": None, "is_causal": 0, "q_num_heads": None, "kv_num_heads": None,
    "softmax_precision": None,
}  # fmt: skip


def _read_by_heads(call: Call) -> Reading | None:
    """Without a cache of earlier keys and values, and where nobody reads the scores."""
    given = call.arguments
    cached = [given.get(n) for n in ("past_key", "past_value", "nonpad_kv_seqlen")]
    plain = all(given.get(name) in (None, value) for name, value in _UNUSED.items())
    if len(call.types) > 1 or not plain or any(x is not None for x in cached):
        return None
    operands = {"q": given["Q"], "k": given["K"], "v": given["V"], "mask": given["attn_mask"]}
    return Reading(operands, {name: given.get(name) for name in _BY_HEADS})


def _write_by_heads(node: Node, emitter: OnnxEmitter) -> None:
    if emitter.opset < 23:
        raise NoForm(f"{node.output.name}: ONNX has no Attention before opset 23")
    inputs = [optional_tensor(node, slot.name) for slot in OPERANDS]
    emitter.emit("Attention", inputs, node.attributes, outputs=node.outputs)


def _sample_by_heads(rng: Rng) -> Sample:
    """Heads on an axis of their own, or side by side."""
    shape, heads = ((2, 4, 5, 8), None) if rng.random() < 0.5 else ((2, 5, 32), 4)
    q, k, v = (normal(rng, *shape) for _ in range(3))
    mask = normal(rng, 5, 5) if rng.random() < 0.5 else None
    attributes = {**_BY_HEADS, "q_num_heads": heads, "kv_num_heads": heads}
    return Sample({"q": q, "k": k, "v": v, "mask": mask}, attributes)


_ROTATED = (
    OperandSpec("x"), OperandSpec("cos"), OperandSpec("sin"),
    OperandSpec("positions", optional=True),
)  # fmt: skip
_ROTATION = {"interleaved": 0, "num_heads": 0, "rotary_embedding_dim": 0}


def _read_rotary(call: Call) -> Reading | None:
    given = call.arguments
    operands = {
        "x": given["X"], "cos": given["cos_cache"], "sin": given["sin_cache"],
        "positions": given["position_ids"],
    }  # fmt: skip
    return Reading(operands, {name: given.get(name) or 0 for name in _ROTATION})


def _write_rotary(node: Node, emitter: OnnxEmitter) -> None:
    if emitter.opset < 23:
        raise NoForm(f"{node.output.name}: ONNX has no RotaryEmbedding before opset 23")
    inputs = [optional_tensor(node, slot.name) for slot in _ROTATED]
    emitter.emit("RotaryEmbedding", inputs, node.attributes, outputs=node.outputs)


def _sample_rotary(rng: Rng) -> Sample:
    angles = rng.uniform(0, 3, (7, 4)).astype(np.float32)
    positions = np.tile(np.arange(5), (2, 1))
    operands = {
        "x": normal(rng, 2, 3, 5, 8), "cos": np.cos(angles), "sin": np.sin(angles),
        "positions": positions,
    }  # fmt: skip
    return Sample(operands, _ROTATION, frozenset({"cos", "sin"}))


OPERATORS = (
    Operator(
        "nn.attention",
        "softmax(q @ k.T * scale + mask) @ v on [..., heads, tokens, head size]; the scale is "
        "1 / sqrt(head size) where it is none.",
        OPERANDS, {"scale": None, "is_causal": False}, sample=_sample, macs=_macs,
        fx=FxForm(("aten.scaled_dot_product_attention.default",), _read, _write),
        onnx=written_as_others(_write_onnx),
    ),
    Operator(
        "nn.attention_by_heads",
        "ONNX's Attention on [batch, heads, tokens, size], or on [batch, tokens, heads * size] "
        "where the numbers of heads are given; keys and values may have fewer heads.",
        OPERANDS, _BY_HEADS, sample=_sample_by_heads, macs=_macs,
        onnx=OnnxForm(("Attention",), _read_by_heads, _write_by_heads),
    ),
    Operator(
        "nn.rotary_embedding",
        "Pairs of numbers of x turned by the angles of their position; cos and sin are tables.",
        _ROTATED, _ROTATION, traits=("keeps_type",), sample=_sample_rotary,
        onnx=OnnxForm(("RotaryEmbedding",), _read_rotary, _write_rotary),
    ),
)  # fmt: skip
