"""Small graphs with Q/DQ: where they part from the plan, and where they do not."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest

from sparqc.passes.check.finding import Finding
from sparqc.tools.check.checked import Asked, check_proto
from tests.engine_models import Net

#: Ids of what is no difference of placement.
OTHERS = {"padded-channels", "weight-per-tensor", "float-remainder"}


def findings(model: onnx.ModelProto, asked: Asked | None = None) -> list[Finding]:
    found = check_proto(model, asked or Asked()).findings
    return [f for f in found if f.id not in OTHERS]


def ids(model: onnx.ModelProto, asked: Asked | None = None) -> list[str]:
    return [f.id for f in findings(model, asked)]


def net(channels: int = 32) -> Net:
    return Net(("batch", channels, 16, 16))


def conv(n: Net, value: str, name: str, channels: tuple[int, int] = (32, 32)) -> str:
    return n.conv(value, name, channels)


# -- nothing to say ------------------------------------------------------------------------------


def in_a_row(n: Net) -> str:
    return conv(n, n.op("Relu", conv(n, "x", "a")), "b")


def equal_quantizers_twice(n: Net) -> str:
    """Real builders merge them: the engines of TensorRT 8.4 have one conversion."""
    first = n.op("Relu", conv(n, "x", "a"))
    return n.op("Add", conv(n, first, "b"), n.qdq(first))


def weight_turned_behind_its_codes(n: Net) -> str:
    float_weight = n.constant("w", np.ones((32, 32, 1, 1), np.float32))
    turned = n.op("Transpose", n.qdq(float_weight), perm=[1, 0, 2, 3])
    return n.op("Conv", n.qdq("x"), turned, name="conv")


def weights_alone(n: Net) -> str:
    return n.op("Conv", "x", n.weight("w", (32, 32, 3, 3)), name="conv", pads=[1] * 4)


def norm_behind_a_convolution(n: Net) -> str:
    one, none = n.constant("one", np.ones(32, np.float32)), n.constant("none", np.zeros(32, "f4"))
    normed = n.op("BatchNormalization", conv(n, "x", "a"), one, none, none, one)
    return conv(n, n.op("Relu", normed), "b")


@pytest.mark.parametrize(
    "build",
    [
        in_a_row, equal_quantizers_twice, weight_turned_behind_its_codes, weights_alone,
        norm_behind_a_convolution,
    ],
)  # fmt: skip
def test_a_healthy_graph_has_no_finding(build: Callable[[Net], str]) -> None:
    n = net()
    assert ids(n.model(build(n))) == []


# -- one difference each -------------------------------------------------------------------------


def between_pairs(kind: str, *inputs: str, **attributes: object) -> Callable[[Net], str]:
    """An operator that computes in float between two pairs."""

    def build(n: Net) -> str:
        given = [n.constant(f"k{i}", np.asarray(v)) if v else v for i, v in enumerate(inputs)]
        before = n.qdq(n.op("Relu", conv(n, "x", "a")))
        return conv(n, n.op(kind, before, *given, **attributes), "b")

    return build


def linear_resize(n: Net) -> str:
    scales = n.constant("scales", np.array([1, 1, 2, 2], np.float32))
    before = n.qdq(n.op("Relu", conv(n, "x", "a")))
    return conv(n, n.op("Resize", before, "", scales, mode="linear"), "b")


def space_to_depth(n: Net) -> str:
    before = n.qdq(n.op("Relu", conv(n, "x", "a")))
    return conv(n, n.op("SpaceToDepth", before, blocksize=2), "b", (64, 128))


def padded(mode: str, value: float) -> Callable[[Net], str]:
    def build(n: Net) -> str:
        pads = n.constant("pads", np.array([0, 0, 1, 1, 0, 0, 1, 1]))
        before = n.qdq(n.op("Relu", conv(n, "x", "a")))
        with_value = [n.constant("v", np.float32(value))] if mode == "constant" else []
        return conv(n, n.op("Pad", before, pads, *with_value, mode=mode), "b")

    return build


def in_front_of_the_activation(n: Net) -> str:
    return conv(n, n.op("Relu", n.qdq(conv(n, "x", "a"))), "b")


def inside_of_a_silu(n: Net) -> str:
    value = conv(n, "x", "a")
    return conv(n, n.op("Mul", value, n.qdq(n.op("Sigmoid", value))), "b")


def both_sides_of_an_add(n: Net) -> str:
    first = n.op("Relu", conv(n, "x", "a"))
    total = n.op("Add", n.qdq(conv(n, first, "b")), n.qdq(first))
    return conv(n, n.op("Relu", total), "c")


def skip_of_one_convolution(n: Net) -> str:
    """What it adds is what it convolves: one value, with two names in the rule."""
    first = n.op("Relu", conv(n, "x", "a"))
    return conv(n, n.op("Relu", n.op("Add", conv(n, first, "b"), first)), "c")


def half_a_gate(n: Net) -> str:
    first = n.op("Relu", conv(n, "x", "a"))
    gate = n.op("Sigmoid", n.op("GlobalAveragePool", n.qdq(first)))
    return conv(n, n.op("Mul", n.qdq(first), gate), "b")


def float_weight(n: Net) -> str:
    weight = n.constant("w", np.ones((32, 32, 3, 3), np.float32))
    return n.op("Conv", n.qdq("x"), weight, pads=[1] * 4)


def float_data(n: Net) -> str:
    """Beside a layer that is quantized: where weights alone are, nothing is half."""
    other = n.op("Conv", conv(n, "x", "a"), n.weight("w", (32, 32, 3, 3)), pads=[1] * 4)
    return conv(n, n.op("Relu", other), "b")


def grouped_transposed(n: Net) -> str:
    first = n.op("Relu", conv(n, "x", "a"))
    weight = n.weight("w", (32, 16, 2, 2), axis=1)
    return n.op("ConvTranspose", n.qdq(first), weight, group=2, strides=[2, 2])


@pytest.mark.parametrize(
    ("build", "expected", "says"),
    [
        (linear_resize, "float-readers", "no fusion of the target takes it in INT8"),
        (space_to_depth, "float-readers", "no fusion of the target takes it in INT8"),
        (padded("constant", 1), "float-readers", "no fusion of the target takes it in INT8"),
        (padded("reflect", 0), "float-readers", "no fusion of the target takes it in INT8"),
        (in_front_of_the_activation, "pair-inside-kernel", "inside of conv_act"),
        (inside_of_a_silu, "pair-inside-kernel", "inside of conv_act"),
        (both_sides_of_an_add, "pair-inside-kernel", "inside of conv_add_act"),
        (skip_of_one_convolution, "residual-bare", "so that it writes float"),
        (half_a_gate, "half-quantized-mul", "does not read both"),
        (float_weight, "bare-weight", "its weights w are float"),
        (float_data, "half-quantized", "reads conv"),
        (grouped_transposed, "float-readers", "grouped transposed convolutions have no INT8"),
    ],
)  # fmt: skip
def test_one_difference_is_one_finding(
    build: Callable[[Net], str], expected: str, says: str
) -> None:
    n = net()
    found = findings(n.model(build(n)))
    assert {f.id for f in found} == {expected}
    assert any(says in f.message for f in found)


def test_padding_with_zeros_moves_codes() -> None:
    n = net()
    assert ids(n.model(padded("constant", 0)(n))) == []


# -- scales --------------------------------------------------------------------------------------


def other_scale(n: Net, value: str, scale: float) -> str:
    given = n.constant(f"scale{scale}", np.float32(scale)), "zero"
    return n.op("DequantizeLinear", n.op("QuantizeLinear", value, *given), *given)


def around_a_pool(n: Net) -> str:
    pooled = n.op("MaxPool", other_scale(n, n.op("Relu", conv(n, "x", "a")), 0.08),
                  kernel_shape=[2, 2], strides=[2, 2])  # fmt: skip
    return conv(n, pooled, "b")


def into_a_concat(n: Net) -> str:
    a, b = (n.op("Relu", conv(n, "x", name)) for name in "ab")
    joined = n.op("Concat", n.qdq(a), other_scale(n, b, 0.08), axis=1)
    return n.conv(joined, "c", (32, 64))


def on_one_tensor(n: Net) -> str:
    first = n.op("Relu", conv(n, "x", "a"))
    skip = other_scale(n, first, 0.08)
    return conv(n, n.op("Relu", n.op("Add", conv(n, first, "b"), skip)), "c")


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        (around_a_pool, "move-scale-differs"),
        (into_a_concat, "concat-scales-differ"),
        (on_one_tensor, "several-scales"),
    ],
)
def test_scales_that_belong_together_and_differ(build: Callable[[Net], str], expected: str) -> None:
    n = net()
    (finding,) = findings(n.model(build(n)))
    assert finding.id == expected and "by a factor of" in finding.message
    assert "1.6" in finding.message and finding.fix == "lossy"


# -- layers that gain nothing --------------------------------------------------------------------


def depthwise(n: Net, channels: int) -> str:
    weight = n.weight("w", (channels, 1, 3, 3))
    return n.op("Conv", n.qdq("x"), weight, group=channels, pads=[1] * 4)


def test_a_knob_of_the_file_or_of_the_person_counts() -> None:
    n = Net(("batch", 16, 8, 8))
    model = n.model(depthwise(n, 16))
    assert ids(model) == ["small-depthwise"]
    assert ids(model, Asked(knobs=("depthwise_channels=16",))) == []
    model.metadata_props.add(key="sparqc.knobs", value="depthwise_channels=16,gone=1")
    assert ids(model) == []
    assert ids(model, Asked(knobs=("depthwise_channels=32",))) == ["small-depthwise"]


@pytest.mark.parametrize(
    ("channels", "groups", "expected"),
    [((12, 32), 1, "small-channels"), ((32, 6), 16, "group-channels")],
)
def test_layers_that_int8_does_not_help(
    channels: tuple[int, int], groups: int, expected: str
) -> None:
    n = Net(("batch", channels[1] * groups, 8, 8))
    value = n.op("Relu", "x")
    weight = n.weight("w", (*channels, 3, 3))
    first = n.op("Conv", n.qdq(value), weight, group=groups, pads=[1] * 4, name="conv")
    found = findings(n.model(first))
    assert [f.id for f in found] == [expected]
    assert "stays in float" not in found[0].message or "conv" in found[0].nodes


def test_two_four_that_no_kernel_takes_is_named_by_its_line() -> None:
    def layer(shape: tuple[int, ...], groups: int = 1) -> list[str]:
        n = Net(("batch", shape[1] * groups, 8, 8))
        weight = np.random.default_rng(0).normal(size=shape).astype(np.float32)
        weight[:, ::4] = weight[:, 1::4] = 0
        w = n.constant("w", weight)
        return ids(n.model(n.op("Conv", "x", w, group=groups)))

    assert layer((128, 128, 1, 1)) == ["two-four-small"]
    assert layer((256, 256, 1, 1)) == []
    assert layer((20, 20, 3, 3)) == ["two-four-channels"]
    assert layer((32, 16, 3, 3), groups=2) == ["two-four-grouped"]


@pytest.mark.parametrize(
    ("dim", "asked", "found"),
    [
        ("batch", None, []),  # at some batch it pays
        ("batch", Asked(batch=256), []),
        ("batch", Asked(batch=2), ["two-four-small"]),
        ("batch", Asked(knobs=("batch=2",)), ["two-four-small"]),
        (2, None, ["two-four-small"]),
    ],
)
def test_two_four_is_for_nothing_only_where_no_batch_pays(
    dim: int | str, asked: Asked | None, found: list[str]
) -> None:
    n = Net((dim, 64, 16, 16))
    weight = np.random.default_rng(0).normal(size=(64, 64, 3, 3)).astype(np.float32)
    weight[:, ::4] = weight[:, 1::4] = 0
    value = n.op("Conv", "x", n.constant("w", weight), pads=[1] * 4)
    assert ids(n.model(value), asked) == found


def test_a_weight_of_zeros_was_not_pruned_for_nothing() -> None:
    """It is 2:4, but so it was made: the last layer of a residual block often begins so."""
    n = Net(("batch", 20, 8, 8))
    weight = n.constant("w", np.zeros((20, 20, 3, 3), np.float32))
    assert ids(n.model(n.op("Conv", "x", weight))) == []


# -- attention: the choice of whoever quantized it ------------------------------------------------


def attention(quantize: str) -> onnx.ModelProto:
    n = Net(("batch", 4, 64, 32))
    q, k, v = (n.qdq if part in quantize else (lambda value: value) for part in "qkv")
    turned = n.op("Transpose", "x", perm=[0, 1, 3, 2])
    scores = n.op("MatMul", q("x"), k(turned))
    given = n.constant("unit", np.float32(1 / 127)), "zero"
    weights = n.op("Softmax", scores, axis=-1)
    if "p" in quantize:
        weights = n.op("DequantizeLinear", n.op("QuantizeLinear", weights, *given), *given)
    return n.model(n.op("MatMul", weights, v("x")))


def test_attention_in_int8_is_a_choice_and_half_of_it_none() -> None:
    assert ids(attention("qkvp")) == []
    assert ids(attention("")) == []
    assert set(ids(attention("qk"))) == {"float-readers"}
