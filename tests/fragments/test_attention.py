"""Attention: float by default, with all four inputs in INT8 by a knob (tensorrt.md §3.14)."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional

from sparqc.passes.check.finding import Findings
from sparqc.tools.engine.rtx import compile_rtx
from tests.fragments.roads import Function, both, hold, same_numbers, the_compiler_agrees

TOKENS, WIDTH, HEADS = 32, 32, 2
HELD = "attention stays in float; --knob attention=int8 opts in"


def sdpa(q, k, v):
    return functional.scaled_dot_product_attention(q, k, v)


def causal(q, k, v):
    return functional.scaled_dot_product_attention(q, k, v, is_causal=True)


def masked(q, k, v):
    mask = torch.linspace(-1, 0, TOKENS).expand(TOKENS, TOKENS)
    return functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)


def choosing(q, k, v):
    mask = torch.ones(TOKENS, TOKENS, dtype=torch.bool).tril()
    return functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)


def divided(q, k, v):
    return torch.softmax(q @ k.transpose(-2, -1) / 4.0, -1) @ v


def multiplied(q, k, v):
    return torch.softmax(q @ k.transpose(-2, -1) * 0.25, -1) @ v


def scaled_queries(q, k, v):
    return torch.softmax((q * 0.25) @ k.transpose(-2, -1), -1) @ v


def added(q, k, v):
    return torch.softmax(q @ k.transpose(-2, -1) / math.sqrt(16) + torch.ones(TOKENS), -1) @ v


OPERATORS = [sdpa, causal, masked, choosing]
WRITTEN_OUT = [divided, multiplied, scaled_queries, added]


def block(function, tokens=TOKENS):
    """Three Linears, attention over heads, and a Linear."""

    def forward(m, x):
        q, k, v = (f(x).reshape(-1, tokens, HEADS, 16).transpose(1, 2) for f in (m.q, m.k, m.v))
        return m.out(function(q, k, v).transpose(1, 2).reshape(-1, tokens, WIDTH))

    linears = {name: nn.Linear(WIDTH, WIDTH) for name in ("q", "k", "v", "out")}
    return Function(forward, **linears), torch.randn(2, tokens, WIDTH)


QKV = "linear_1_matmul linear_2_matmul linear_matmul"
FLOAT = {"x": QKV, "reshape_3": "linear_3_matmul"}


@pytest.mark.parametrize("function", [*OPERATORS, *WRITTEN_OUT])
def test_in_float_only_the_linears_are_quantized(function):
    net, x = block(function)
    name = "attention" if function in OPERATORS else "matmul_1"
    roads = hold(net, x, reads=FLOAT, floats={name: HELD}, onnx_reads=dict(FLOAT))
    assert list(roads.onnx.reasons.values()) == [HELD]


def four_inputs(file):
    """The two matrix products of attention: for each input what stands behind its Q/DQ pair."""
    structure = file.graph
    found = []
    for node in structure.of("MatMul"):
        if structure.is_dequantized(node.input[1]) and structure.codes(node) is None:
            codes = [structure.producer[name].input[0] for name in node.input]
            sources = [structure.producer[structure.producer[c].input[0]].op_type for c in codes]
            found.append((node, sources))
    return found


@pytest.mark.parametrize("function", [*OPERATORS, *WRITTEN_OUT])
def test_in_int8_all_four_inputs_are_quantized(function):
    """The scale, if the weights of the queries do not hold it, and the transpose of the keys lie
    in front of the quantizers, and softmax has a scale that nobody measured."""
    net, x = block(function)
    roads = hold_int8(net, x)
    for file in (roads.fx, roads.onnx):
        (scores, before), (_, behind) = four_inputs(file)
        assert before[0] in ("Mul", "Div", "Transpose")
        assert before[1] in ("Mul", "Transpose")
        assert behind[0] == "Softmax"
        softmax = next(file.graph.of("Softmax")).output[0]
        assert file.scale(softmax) == pytest.approx(1 / 127)
        assert not reaches_before_softmax(file, scores, ("Mul", "Div"))


def hold_int8(net, x):
    """Both roads with the knob, in numbers and with the compiler."""
    roads = both(net, x, knobs=("attention=int8",))
    same_numbers(roads)
    the_compiler_agrees(roads.fx)
    for file in (roads.fx, roads.onnx):
        assert file.reasons == {}
        found = file.compiled.context.facts[Findings].findings
        assert [f for f in found if f.grade != "note"] == []
    return roads


def reaches_before_softmax(file, node, kinds):
    """Whether an operator of those kinds stands between the scores and softmax."""
    (reader,) = (n for n in file.graph.nodes if node.output[0] in n.input)
    while reader.op_type != "Softmax":
        if reader.op_type in kinds:
            return True
        (reader,) = (n for n in file.graph.nodes if reader.output[0] in n.input)
    return False


def test_the_compiler_makes_one_int8_kernel_of_it():
    """With less traffic than in float: the kernel reads and writes INT8."""
    net, x = block(sdpa)
    int8 = compile_rtx(hold_int8(net, x).fx.compiled.model)
    name = {"attention": HELD}
    file = hold(net, x, reads=FLOAT, floats=name, onnx_reads=dict(FLOAT)).fx
    plain = compile_rtx(file.compiled.model)
    assert int8.bytes_read + int8.bytes_written < plain.bytes_read + plain.bytes_written
    kernels = [k for k in int8.kernels if "mha" in k.name]
    assert [{t.dtype for t in (*k.inputs, *k.outputs)} for k in kernels] == [{"int8"}]


def test_more_than_512_tokens_stay_in_float():
    net, x = block(sdpa, 520)
    reason = "more than 512 tokens: [batch, 2, 520, 520]"
    hold(net, x, reads=FLOAT, floats={"attention": reason}, onnx_reads=dict(FLOAT),
         knobs=("attention=int8",))  # fmt: skip


def test_few_tokens_stay_in_float():
    net, x = block(sdpa, 8)
    reason = "fewer than 16 tokens or numbers in a head"
    hold(net, x, reads=FLOAT, floats={"attention": reason}, onnx_reads=dict(FLOAT),
         knobs=("attention=int8",))  # fmt: skip


CUTS = {
    "permute": lambda y: y.reshape(-1, TOKENS, 3, HEADS, 16).permute(2, 0, 3, 1, 4),
    "chunk": lambda y: (heads(part) for part in y.chunk(3, -1)),
    "unbind": lambda y: (part.transpose(1, 2) for part in y.reshape(
        -1, TOKENS, 3, HEADS, 16).unbind(2)),
}  # fmt: skip


def heads(y):
    return y.reshape(-1, TOKENS, HEADS, 16).transpose(1, 2)


@pytest.mark.parametrize("cut", CUTS)
def test_one_linear_for_queries_keys_and_values(cut):
    """TensorRT-RTX cuts its weight, which it does in INT8 only where the weight has one scale."""

    def forward(m, x):
        y = sdpa(*CUTS[cut](m.qkv(x)))
        return m.out(y.transpose(1, 2).reshape(-1, TOKENS, WIDTH))

    net = Function(forward, qkv=nn.Linear(WIDTH, 3 * WIDTH), out=nn.Linear(WIDTH, WIDTH))
    last = "reshape_3" if cut == "chunk" else "reshape_1"
    reads = {"x": "linear_matmul", last: "linear_1_matmul"}
    roads = hold(net, torch.randn(2, TOKENS, WIDTH), reads=reads, floats={"attention": HELD},
                 onnx_reads=dict(reads))  # fmt: skip
    the_compiler_agrees(roads.onnx)
    for file in (roads.fx, roads.onnx):
        fusions = {row.name: row.fusion for row in file.plan.layers}
        first, last = (q for q in file.plan.quantizers if "weight" in q.value)
        assert (first.reason, first.axis) == (next(iter(fusions.values())), None)
        assert last.axis is not None


def test_multi_head_attention_and_a_whole_encoder_layer():
    net = nn.TransformerEncoderLayer(32, 2, 64, activation="gelu", batch_first=True,
                                     norm_first=True)  # fmt: skip
    reads = {"transpose": "linear_matmul", "reshape_7": "linear_1",
             "layer_norm_1": "linear_2_matmul", "gelu": "linear_3_matmul"}  # fmt: skip
    residual = "transformer residual Adds stay float"
    hold(net, torch.randn(2, 5, 32), reads=reads, onnx_reads=dict(reads),
         floats={"attention": HELD, "add": residual, "add_1": residual})  # fmt: skip
