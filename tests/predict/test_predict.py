"""Which kernels are predicted for small graphs with Q/DQ, and what they read and write."""

import numpy as np
import pytest
from onnx import helper

from sparqc.errors import UsageError
from sparqc.ir.graph import Graph
from sparqc.job.open import new_job
from sparqc.job.options import Options
from sparqc.predict.predict import predict_graph
from sparqc.predict.units import unrun
from sparqc.tools.explain.prediction import predict
from tests.engine_models import Net, float_conv, quantized_conv, residual_block


def predicted(model, target="tensorrt-11"):
    prepared = new_job(model, options=Options(passes="", target=target))
    return predict_graph(prepared.graph, prepared.context)


def kernels(model, target="tensorrt-11"):
    """Each kernel: what it is, its operators, the types that it reads and writes."""
    return [
        (
            k.kind,
            [o.rpartition(".")[2] for o in k.operators if not o.startswith("q.")],
            [t.dtype for t in k.inputs],
            [t.dtype for t in k.outputs],
        )
        for k in predicted(model, target).kernels
    ]


def test_a_convolution_takes_in_the_dequantizers_and_leaves_the_first_quantizer():
    assert kernels(quantized_conv()) == [
        ("q.quantize", [], ["f32"], ["i8"]),
        ("conv_act", ["conv"], ["i8"], ["f32"]),
    ]


def test_a_residual_block_is_two_kernels_that_write_codes():
    assert kernels(residual_block(quantize_skip=True)) == [
        ("q.quantize", [], ["f32"], ["i8"]),
        ("conv_act", ["conv", "relu"], ["i8"], ["i8"]),
        ("conv_add_act", ["conv", "add", "relu"], ["i8"], ["i8"]),
        ("conv_act", ["conv"], ["i8"], ["f32"]),
    ]


def test_without_codes_on_the_skip_the_convolution_writes_float_and_every_quantizer_is_a_kernel():
    """As 18 of 18 blocks in public engines of TensorRT 8.4 (tensorrt.md §9.1)."""
    assert kernels(residual_block(quantize_skip=False)) == [
        ("q.quantize", [], ["f32"], ["i8"]),
        ("conv_act", ["conv", "relu"], ["i8"], ["f32"]),
        ("q.quantize", [], ["f32"], ["i8"]),
        ("conv_add_act", ["conv", "add", "relu"], ["f32", "i8"], ["f32"]),
        ("q.quantize", [], ["f32"], ["i8"]),
        ("conv_act", ["conv"], ["i8"], ["f32"]),
    ]


def two_branches(quantized="", *, swapped=False, float_skip=False):
    """A convolution `down` beside two others, `first` and `second`, and their sum."""
    net = Net(("batch", 64, 16, 16))
    second = net.conv(net.op("Relu", net.conv("x", "first", (64, 64))), "second", (64, 64))
    if float_skip:
        weight = net.constant("w", np.ones((64, 64, 3, 3), np.float32))
        down = net.op("Conv", "x", weight, name="down", pads=[1] * 4)
    else:
        down = net.conv("x", "down", (64, 64))
    branches = {"second": second, "down": down}
    inputs = [net.qdq(v) if k == quantized else v for k, v in branches.items()]
    total = net.op("Relu", net.op("Add", *(inputs[::-1] if swapped else inputs), name="add"))
    return net.model(net.conv(total, "last", (64, 64)))


@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize(
    ("quantized", "float_skip", "taker"),
    [("", False, "down"), ("down", False, "second"), ("second", False, "down"),
     ("", True, "second")],
)  # fmt: skip
def test_which_branch_takes_the_add(quantized, float_skip, taker, swapped):
    """The longer one, but the shorter one where both are INT8 and neither is quantized, as 3 of 3
    in a public engine of TensorRT 8.4 (tensorrt.md §9.1)."""
    engine = predict(two_branches(quantized, swapped=swapped, float_skip=float_skip))
    kernel = next(k for k in engine.kernels if "add" in k.nodes)
    assert taker in kernel.nodes
    assert len({"second", "down"} & {*kernel.nodes}) == 1


@pytest.mark.parametrize("where", ["in front", "both"])
def test_a_pool_behind_a_quantizer_moves_codes_by_itself(where):
    net = Net()
    value = net.qdq(net.op("Relu", net.conv("x", "conv1")))
    value = net.op("MaxPool", value, kernel_shape=[2, 2], strides=[2, 2])
    if where == "in front":
        weight = net.weight("w", (16, 16, 3, 3))
        model = net.model(net.op("Conv", value, weight))
    else:
        model = net.model(net.conv(value, "conv2"))
    assert kernels(model)[1:] == [
        ("conv_act", ["conv", "relu"], ["i8"], ["i8"]),
        ("nn.max_pool", ["max_pool"], ["i8"], ["i8"]),
        ("conv_act", ["conv"], ["i8"], ["f32"]),
    ]


def stem(*, other_scale=False, float_reader=False, float_conv=False):
    """A convolution, ReLU and MaxPool, which two convolutions read."""
    net = Net()
    net.constant("other", np.float32(0.1))
    weight = net.constant("w", np.ones((16, 16, 3, 3), np.float32))
    value = net.op("Conv", "x", weight) if float_conv else net.conv("x", "conv1")
    value = net.op("MaxPool", net.op("Relu", value), kernel_shape=[2, 2], strides=[2, 2])
    first = net.conv(value, "conv2")
    if float_reader:
        return net.model(first, net.op("Sigmoid", value))
    scale = "other" if other_scale else "scale"
    codes = net.op("QuantizeLinear", value, scale, "zero")
    data = net.op("DequantizeLinear", codes, scale, "zero")
    return net.model(first, net.op("Conv", data, net.weight("v", (16, 16, 1, 1)), name="conv3"))


def pooling(model):
    """The kernel with the pool in it."""
    return next(k for k in kernels(model) if "max_pool" in k[1])


def test_a_convolution_takes_in_the_pool_that_quantizers_alone_read():
    """As in engines of TensorRT 8.4 (tensorrt.md §9.3)."""
    expected = ("pool_codes", ["conv", "relu", "max_pool"], ["i8"], ["i8"])
    assert pooling(stem()) == expected
    row = predicted(stem()).ledger[0]
    assert row.int8 and row.int8_out.holds


@pytest.mark.parametrize("why", ["other_scale", "float_reader"])
def test_a_pool_with_a_float_result_stands_alone(why):
    assert pooling(stem(**{why: True})) == ("nn.max_pool", ["max_pool"], ["f32"], ["f32"])


def test_a_float_convolution_leaves_the_pool_alone():
    assert pooling(stem(float_conv=True))[1:] == (["max_pool"], ["i8"], ["i8"])


def test_one_float_reader_keeps_a_pool_in_float():
    net = Net()
    value = net.op("MaxPool", net.conv("x", "conv1"), kernel_shape=[2, 2], strides=[2, 2])
    engine = predicted(net.model(net.conv(value, "conv2"), net.op("Sigmoid", value)))
    pool = next(k for k in engine.kernels if k.kind == "nn.max_pool")
    assert [t.dtype for t in (*pool.inputs, *pool.outputs)] == ["f32", "f32"]
    assert engine.int8_nodes == ["conv_3", "conv_8"]


def test_two_scales_on_one_value_are_two_quantizers():
    net = Net()
    net.constant("other", np.float32(0.1))
    codes = net.op("QuantizeLinear", "x", "other", "zero")
    value = net.op("DequantizeLinear", codes, "other", "zero")
    second = net.op("Conv", value, net.weight("w", (16, 16, 1, 1)))
    kinds = [kind for kind, *_ in kernels(net.model(net.conv("x", "conv"), second))]
    assert kinds.count("q.quantize") == 2


def test_a_requantization_reads_and_writes_codes():
    net = Net()
    net.constant("other", np.float32(0.1))
    codes = net.op("QuantizeLinear", net.qdq("x"), "other", "zero")
    value = net.op("DequantizeLinear", codes, "other", "zero")
    model = net.model(net.op("Conv", value, net.weight("w", (16, 16, 1, 1))))
    assert kernels(model)[:2] == [
        ("q.quantize", [], ["f32"], ["i8"]),
        ("q.quantize", [], ["i8"], ["i8"]),
    ]


def test_concatenated_codes_need_one_scale():
    def concat(second):
        net = Net()
        net.constant("other", np.float32(second))
        codes = net.op("QuantizeLinear", "x", "other", "zero")
        joined = net.op(
            "Concat", net.qdq("x"), net.op("DequantizeLinear", codes, "other", "zero"), axis=1
        )
        return predicted(net.model(net.op("Conv", joined, net.weight("w", (16, 32, 3, 3)))))

    assert len(concat(0.05).int8_nodes) == 1
    different = concat(0.1)
    assert different.int8_nodes == []
    assert "different scales" in different.ledger[0].int8_in.reason
    assert sum(k.kind == "q.dequantize" for k in different.kernels) == 2


def test_a_float_network_says_what_is_missing():
    engine = predicted(float_conv())
    assert (engine.int8_nodes, engine.float_nodes) == ([], ["conv_0"])
    reason = engine.ledger[0].int8_in.reason
    assert reason == "its data 'x' are an input of the graph in float; its weight is float"


def test_a_sentence_quotes_names_that_read_like_a_part_of_it():
    row = predicted(quantized_conv()).ledger[0]
    name = row.value
    assert row.int8_out.reason == f"it writes '{name}', an output of the graph, in float"


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"axis": 1}, "run along axis 1, not along its output channels (axis 0)"),
        ({"zero": np.uint8(128)}, "its codes are u8, not INT8"),
        ({"between": "Relu"}, "stands between the DequantizeLinear and it"),
        ({"weight": "float"}, "its weight is float"),
    ],
)
def test_what_keeps_a_convolution_in_float_is_named(wrong, reason):
    net = Net()
    zero = net.constant("point", wrong["zero"]) if "zero" in wrong else "zero"
    value = net.qdq("x", zero)
    value = net.op(wrong["between"], value) if "between" in wrong else value
    if "weight" in wrong:
        weight = net.constant("w", np.ones((16, 16, 3, 3), np.float32))
    else:
        weight = net.weight("w", (16, 16, 3, 3), wrong.get("axis", 0))
    engine = predicted(net.model(net.op("Conv", value, weight)))
    assert engine.int8_nodes == []
    assert reason in engine.ledger[0].int8_in.reason
    assert bool(engine.notes) == ("zero" in wrong)


def test_int8_that_placement_would_not_choose_is_int8_with_a_remark():
    net = Net(("batch", 4, 8, 8))
    engine = predicted(net.model(net.conv("x", "conv", (4, 4))))
    assert engine.ledger[0].int8
    assert "C or K below 16" in engine.ledger[0].remark


def test_what_only_one_target_cannot_do_is_known_of_that_target():
    net = Net(("batch", 64, 8, 8))
    weight = net.weight("w", (64, 64, 2, 2), axis=1)
    model = net.model(net.op("ConvTranspose", net.qdq("x"), weight, strides=[2, 2]))
    assert len(predicted(model, "tensorrt-11").int8_nodes) == 1
    engine = predicted(model, "tensorrt-rtx")
    assert engine.int8_nodes == []
    assert "TensorRT-RTX" in engine.ledger[0].int8_in.reason


def test_elementwise_operators_in_a_row_are_one_kernel():
    net = Net()
    value = net.op("Tanh", net.op("Mul", net.op("Exp", "x"), "x"))
    assert kernels(net.model(value)) == [("pointwise", ["exp", "mul", "tanh"], ["f32"], ["f32"])]


def test_an_elementwise_operator_that_two_read_is_a_kernel_of_its_own():
    net = Net()
    first = net.op("Exp", "x")
    model = net.model(net.op("Tanh", first), net.op("Abs", first))
    assert [kind for kind, *_ in kernels(model)] == ["pointwise"] * 3


def test_myelin_takes_quantizers_into_elementwise_kernels():
    net = Net()
    value = net.op("Exp", "x")
    model = net.model(net.conv(value, "conv"))
    assert [kind for kind, *_ in kernels(model)] == ["pointwise", "q.quantize", "conv_act"]
    assert [kind for kind, *_ in kernels(model, "tensorrt-rtx")] == ["rtx_quantize", "conv_act"]


def test_a_reshape_is_no_kernel_and_shape_arithmetic_neither():
    net = Net()
    sizes = net.op("Shape", "x")
    first = net.constant("first", np.array([0]))
    batch = net.op("Gather", sizes, first)
    rest = net.constant("rest", np.array([-1]))
    shape = net.op("Concat", batch, rest, axis=0)
    engine = predicted(net.model(net.op("Exp", net.op("Reshape", "x", shape))))
    assert [k.kind for k in engine.kernels] == ["pointwise"]
    assert engine.kernels[0].inputs[0].name == "x"


def test_constants_are_folded():
    net = Net()
    half = net.constant("half", np.full((16, 1, 1), 0.5, np.float32))
    doubled = net.op("Add", half, half)
    engine = predicted(net.model(net.op("Mul", "x", doubled)))
    assert [k.operators for k in engine.kernels] == [("nn.mul",)]
    assert engine.folded == (doubled,)


def test_an_operator_with_subgraphs_is_opaque_and_said_so():
    net = Net()
    inner = helper.make_graph(
        [helper.make_node("Exp", ["x"], ["inner"])], "inner", [],
        [helper.make_tensor_value_info("inner", 1, None)],
    )  # fmt: skip
    condition = net.constant("condition", np.array(True))
    value = net.op("If", condition, then_branch=inner, else_branch=inner)
    engine = predicted(net.model(value))
    assert [k.kind for k in engine.kernels] == ["onnx.If"]
    assert engine.notes == ("if_0 (onnx.If) has subgraphs, which are not looked into",)


def test_sizes_that_are_not_known_are_not_guessed():
    engine = predicted(quantized_conv())
    assert engine.bytes_read == engine.bytes_written == engine.macs == 0
    assert (engine.unsized_tensors, engine.uncounted) == (4, 1)


def test_traffic_and_products_of_known_sizes():
    engine = predicted(quantized_conv((2, 16, 8, 8)))
    elements = 2 * 16 * 8 * 8
    assert [(k.bytes_read, k.bytes_written) for k in engine.kernels] == [
        (4 * elements, elements),
        (elements, 4 * elements),
    ]
    assert engine.macs == engine.sparse_macs == elements * 16 * 9
    assert engine.weight_bytes == 16 * 16 * 9 + 4 * 16
    assert engine.unsized_tensors == 0


def test_comparisons_are_pointwise_as_well_and_a_choice_is_not():
    net = Net()
    net.constant("limit", np.float32(0.5))
    value = net.op("Neg", net.op("Mul", "x", "x"))
    chosen = net.op("Where", net.op("Greater", value, "limit"), "x", "limit")
    kinds = [(kind, operators) for kind, operators, *_ in kernels(net.model(chosen))]
    assert kinds == [("pointwise", ["mul", "neg", "greater"]), ("nn.where", ["where"])]


def test_the_products_of_an_einsum_are_counted():
    net = Net((3, 5, 7))
    net.constant("w", np.ones((7, 2), np.float32))
    assert predicted(net.model(net.op("Einsum", "x", "w", equation="bij,jk->bik"))).macs == 210
    net = Net((3, 5, 7))
    net.constant("w", np.ones((7, 2), np.float32))
    ellipsis = predicted(net.model(net.op("Einsum", "x", "w", equation="...j,jk->...k")))
    assert (ellipsis.macs, ellipsis.uncounted) == (0, 1)


def sparse_conv(channels):
    net = Net(("batch", channels, 8, 8))
    weight = net.conv("x", "conv", (channels, channels))
    net.constants["conv_w"][:, ::2] = 0
    return net.model(net.conv(net.op("Relu", weight), "next", (channels, channels)))


@pytest.mark.parametrize(("channels", "reason"), [(32, "C or K below 64"), (256, "")])
def test_the_ledger_of_a_sparse_layer(channels, reason):
    row, dense = predicted(sparse_conv(channels)).ledger
    assert row.int8 and row.int8_out.holds and row.two_four.holds and row.size_rule.holds
    assert row.sparse and not dense.sparse
    assert reason in row.missing and bool(row.missing) == bool(reason)
    assert dense.missing == "it is dense"


def test_a_broken_mask_is_told_from_a_dense_weight():
    net = Net(("batch", 64, 8, 8))
    value = net.conv("x", "conv", (64, 64))
    net.constants["conv_w"][:, ::2] = 0
    net.constants["conv_w"][0, :4, 0, 0] = 1
    row = predicted(net.model(value)).ledger[0]
    assert row.two_four.reason.startswith("2:4 is broken: 1 of 9216 groups")


def test_the_plan_names_values_groups_and_weights():
    net = Net()
    value = net.op("Relu", net.conv("x", "conv1"))
    pooled = net.op("MaxPool", value, kernel_shape=[2, 2], strides=[2, 2])
    engine = predicted(net.model(net.conv(pooled, "conv2")))
    assert [v.value for v in engine.values] == ["x", "maxpool_5"]
    assert [(w.weight, w.axis, w.two_four) for w in engine.weights] == [
        ("conv1_w", 0, False),
        ("conv2_w", 0, False),
    ]
    assert engine.values[0].group != engine.values[1].group
    assert engine.values[0].scale == np.float32(0.05)


def test_the_order_of_nodes_and_operands_changes_nothing():
    model = residual_block(quantize_skip=True)
    expected = kernels(model)
    adds = [n for n in model.graph.node if n.op_type == "Add"]
    for node in adds:
        node.input[:] = reversed(node.input)
    nodes = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend(reversed(nodes))
    assert kernels(model) == expected


def test_graphs_from_pytorch_are_refused():
    prepared = new_job(quantized_conv(), options=Options(passes=""))
    with pytest.raises(UsageError, match="export"):
        predict_graph(Graph("fx"), prepared.context)


def test_folded_and_host_operators_are_told_apart():
    net = Net()
    total = net.op("Size", "x")
    constant = net.op("Neg", net.constant("one", np.float32(1)))
    model = net.model(net.op("Add", "x", net.op("Cast", total, to=1)), net.op("Add", "x", constant))
    found = unrun(new_job(model, options=Options(passes="")).graph)
    assert {n.output.name for n in found.folded} == {constant}
    assert {n.output.name for n in found.host} == {total, "cast_2"}
