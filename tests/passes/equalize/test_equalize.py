"""Channels between layers get equal ranges, and the network computes the same."""

import copy
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from sparqc.capture.capture import capture
from sparqc.errors import SparqcError
from sparqc.ir.graph import Array, Graph, TensorType
from sparqc.ir.levels.execute import open_runner
from sparqc.ir.text.parse import parse_statements
from sparqc.ir.vocabulary.table import default_table
from sparqc.passes.correct_bias.correct_bias import BiasCorrection
from sparqc.passes.equalize.equalize import Equalize
from sparqc.passes.equalize.equalized import Equalization, Equalized
from sparqc.passes.equalize.factors import Reading, Weight, choose, noise
from sparqc.passes.equalize.group import channel_groups
from sparqc.passes.equalize.statistics import ChannelStatistics
from sparqc.rewrite.context import Context
from tests.calibration_models import placing_context

SHAPE = (2, 3, 6, 6)


def images(count: int = 3) -> list[list[Array]]:
    rng = np.random.default_rng(0)
    return [[rng.standard_normal(SHAPE).astype(np.float32)] for _ in range(count)]


class Does(nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


def unequal(*modules: nn.Module) -> nn.Sequential:
    """A chain whose first layer gives channels of very different ranges."""
    torch.manual_seed(0)
    net = nn.Sequential(*modules).eval()
    first = net[0]
    assert isinstance(first, nn.Conv2d | nn.ConvTranspose2d)
    axis = 1 if isinstance(first, nn.ConvTranspose2d) else 0
    shape = [-1 if a == axis else 1 for a in range(4)]
    with torch.no_grad():
        first.weight *= torch.logspace(-1.5, 0.5, first.weight.shape[axis]).reshape(shape)
        if first.bias is not None:
            first.bias.zero_()  # no channel is always negative
    return net


def graph_of(net: nn.Module, shape: tuple[int, ...] = SHAPE) -> Graph:
    return capture(net, (torch.randn(shape),)).graph


def output(graph: Graph, batch: list[Array]) -> Array:
    return open_runner(graph, default_table()).run(batch)[0][0]


def equalized(graph: Graph, found: Context | None = None) -> list[Equalized]:
    """The rows; the outputs are what they were, for the calibration data."""
    batches = images()
    found = found or placing_context(batches)
    before = [output(graph, batch) for batch in batches]
    # What the tests equalize is what they calibrate on: no channel grows larger than it was seen.
    Equalize(margin=0, always=True).run(graph, found)
    graph.verify()
    for batch, expected in zip(batches, before, strict=True):
        actual = output(graph, batch)
        np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())
    rows = list(found.facts[Equalization].groups)
    return rows


CHAINS = {
    "relu": lambda: (nn.Conv2d(3, 8, 3, bias=True), nn.ReLU(), nn.Conv2d(8, 4, 3)),
    "no bias": lambda: (nn.Conv2d(3, 8, 3, bias=False), nn.ReLU(), nn.Conv2d(8, 4, 1)),
    "leaky": lambda: (nn.Conv2d(3, 8, 3), nn.LeakyReLU(0.1), nn.Conv2d(8, 4, 1)),
    "prelu": lambda: (nn.Conv2d(3, 8, 3), nn.PReLU(8), nn.Conv2d(8, 4, 1)),
    "none": lambda: (nn.Conv2d(3, 8, 3), nn.Conv2d(8, 4, 1)),
    "depthwise": lambda: (nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3, groups=8)),
    "groups": lambda: (nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 3, groups=2)),
    "transposed": lambda: (nn.ConvTranspose2d(3, 8, 2), nn.ReLU(), nn.ConvTranspose2d(8, 2, 2)),
    "to transposed groups": lambda: (
        nn.Conv2d(3, 8, 3), nn.ReLU(), nn.ConvTranspose2d(8, 4, 2, groups=2)),
    "pool": lambda: (nn.Conv2d(3, 8, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 4, 1)),
    "head": lambda: (
        nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5)),
    "upsampling": lambda: (
        nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Upsample(scale_factor=2, mode="bilinear"),
        nn.Conv2d(8, 4, 1)),
    "magnitude": lambda: (nn.Conv2d(3, 8, 3), Does(torch.abs), nn.Conv2d(8, 4, 1)),
    "largest": lambda: (
        nn.Conv2d(3, 8, 3), nn.ReLU(), Does(lambda x: x.amax((2, 3))), nn.Linear(8, 5)),
    "spread": lambda: (
        nn.Conv2d(3, 8, 3), Does(lambda x: x.std((2, 3), keepdim=True).squeeze(-1).squeeze(-1)),
        nn.Linear(8, 5)),
}  # fmt: skip


@pytest.mark.parametrize("chain", CHAINS)
def test_the_network_computes_the_same(chain: str) -> None:
    row, *_ = equalized(graph_of(unequal(*CHAINS[chain]())))
    assert row.reason == ""
    assert row.gain_db > 1
    assert row.most > 2


def ranges(graph: Graph, name: str) -> Array:
    _, (x,) = open_runner(graph, default_table()).run(images()[0], [graph.value(name)])
    return np.abs(x).max((0, 2, 3))


def test_a_depthwise_layer_reads_equal_ranges() -> None:
    graph = graph_of(unequal(*CHAINS["depthwise"]()))
    assert ranges(graph, "relu").max() > 20 * ranges(graph, "relu").min()
    equalized(graph)
    assert ranges(graph, "relu").max() < 4 * ranges(graph, "relu").min()  # one batch of three


def test_int8_becomes_more_precise() -> None:
    found = {}
    for passes in ("place, calibrate, export", "equalize{always=true}, place, calibrate, export"):
        import sparqc

        net = copy.deepcopy(unequal(*(nn.Conv2d(3, 32, 3), nn.ReLU(), nn.Conv2d(32, 16, 3))))
        x = torch.from_numpy(images()[0][0])
        compiled = sparqc.compile(
            net, (x,), calibration=lambda: images(), passes=passes, target="tensorrt-rtx"
        )
        assert compiled.difference is not None
        found[passes] = compiled.difference.snr_db
    plain, better = found.values()
    assert better > plain + 1


class Stream(nn.Module):
    """Two blocks that add to one stream."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.stem = nn.Conv2d(3, 6, 3, padding=1)
        self.a, self.b = nn.Conv2d(6, 6, 3, padding=1), nn.Conv2d(6, 6, 3, padding=1)
        self.head = nn.Conv2d(6, 4, 1)
        with torch.no_grad():
            for layer in (self.stem, self.a, self.b):
                layer.weight *= torch.logspace(-1.5, 0.5, 6).reshape(-1, 1, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.stem(x))
        x = torch.relu(x + self.a(x))
        return torch.tanh(self.head(torch.relu(self.b(x) + x)))


def test_a_residual_stream_has_one_set_of_factors() -> None:
    first, second = equalized(graph_of(Stream().eval()))
    assert first.modules == ("stem", "a", "b")
    assert first.gain_db > 1
    assert second.reason == "nn.tanh ('tanh') lets no factors pass"


class Clipped(nn.Module):
    def __init__(self, low: float, high: float) -> None:
        super().__init__()
        torch.manual_seed(2)
        self.net = unequal(nn.Conv2d(3, 8, 3), nn.Hardtanh(low, high), nn.Conv2d(8, 8, 3, groups=8))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.net(x)
        return out


def test_channels_that_reach_a_clip_stay_and_others_reach_it_at_most() -> None:
    graph = graph_of(Clipped(0.0, 0.5))
    before = ranges(graph, "clip")
    (row, _) = equalized(graph)
    after = ranges(graph, "clip")
    clipped = before == 0.5
    assert 0 < clipped.sum() < 8
    assert (after[clipped] == 0.5).all()
    assert (after <= 0.5).all()
    assert after.min() > 2 * before.min()
    assert row.least == 1.0


def test_a_clip_that_begins_elsewhere() -> None:
    row, _ = equalized(graph_of(Clipped(-1.0, 1.0)))
    assert row.reason == "the Clip 'clip (net.1)' begins at -1.0"


class Shared(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.conv = nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.conv(torch.relu(self.conv(x))))


class Branching(nn.Module):
    """What `way` makes of the result of the first layer beside the second one."""

    def __init__(self, way: str) -> None:
        super().__init__()
        self.way, self.a, self.b = way, nn.Conv2d(3, 6, 1), nn.Conv2d(6, 6, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.a(x)
        beside = {
            "sigmoid": torch.sigmoid(y),
            "input": y + x.mean(1, keepdim=True),
            "constant": y + 1,
            "transpose": y.transpose(1, 2).reshape(y.shape),
        }[self.way]
        return torch.sigmoid(self.b(y)) + beside


@pytest.mark.parametrize(
    ("net", "reason"),
    [
        (Shared(), "the weight of 'conv"),
        (Branching("sigmoid"), "nn.sigmoid ("),
        (Branching("input"), "the Add 'add' adds what no layer scales"),
        (Branching("constant"), "the Add 'add' adds what no layer scales"),
        (Branching("transpose"), "nn.transpose ("),
        (nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU()), "they are an output of the model"),
        (nn.Sequential(nn.Conv2d(3, 4, 1), nn.GELU(), nn.Conv2d(4, 4, 1)), "nn.gelu ("),
        (nn.Sequential(nn.Conv2d(3, 4, 1), nn.Flatten(), nn.Linear(144, 4)), "nn.flatten ("),
    ],
)
def test_refusals(net: nn.Module, reason: str) -> None:
    graph = graph_of(net.eval())
    before = {c.name: c.data for c in graph.constants}
    rows = equalized(graph)
    assert rows[0].reason.startswith(reason)
    assert all(c.data is before[c.name] for c in graph.constants)


@pytest.mark.parametrize("known", [False, True])
def test_a_view_of_unknown_shape_lets_no_factors_pass(known: bool) -> None:
    graph = parse_statements(
        "x: f32[2, 3, 1, 1]\nv: const f32[8, 3, 1, 1]\nw: const f32[4, 8]\na = nn.conv(x, v)\n"
        "b = nn.relu(a)\nf = nn.flatten(b, axis=1)\ny = nn.linear(f, w)",
        default_table(),
        "fx",
    )
    for name in "bf" if not known else "":
        graph.value(name).type = TensorType("f32")
    group, _ = channel_groups(graph, default_table())
    assert (group.reason == "") is known


def test_masks_keep_their_zeros() -> None:
    net = unequal(*CHAINS["relu"]())
    graph = graph_of(net)
    layers = [node for node in graph.nodes if node.op == "nn.conv"]
    for node in layers:
        weight = node.operands["w"]
        assert not isinstance(weight, tuple)
        assert weight is not None
        assert weight.data is not None
        mask = graph.constant(np.abs(weight.data) > 0.05, f"{weight.name}.mask")
        masked = graph.create(
            "sparse.mask", {"w": weight, "mask": mask}, types=[weight.type], before=node
        )
        graph.set_operand(node, "w", masked.output)
    rows = equalized(graph)
    assert rows[0].gain_db > 1
    assert sum(node.op == "sparse.mask" for node in graph.nodes) == 2


def test_the_model_as_it_was_read_keeps_step() -> None:
    """Values of one name are the same in both, although BatchNorm is folded in one of them."""
    import sparqc
    from sparqc.passes.on_data.reference_value import reference_value

    net = unequal(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 6, 3), nn.ReLU())
    seen: dict[str, float] = {}
    x = torch.from_numpy(images()[0][0])
    compiled = sparqc.compile(
        net,
        (x,),
        calibration=lambda: images(),
        passes="fold, equalize{always=true}, place, calibrate, correct-bias{always=true}, export",
        target="tensorrt-rtx",
    )
    reference, row = compiled.context.reference, compiled.context.facts[Equalization].groups[0]
    assert reference is not None
    assert row.most > 4
    batch = images()[0]
    np.testing.assert_allclose(output(reference, batch), net(x).detach(), rtol=1e-3, atol=1e-5)
    for correction in compiled.context.facts[BiasCorrection].layers:
        seen[correction.layer] = correction.shift / max(correction.signal, 1e-9)
    assert max(seen.values()) < 0.1  # the same values, but for INT8
    assert reference_value(compiled.graph.inputs[0], compiled.graph, reference) is not None


def test_a_batch_with_nan() -> None:
    bad = images(2)
    bad[1][0][0, 0, 0, 0] = np.nan
    with pytest.raises(SparqcError, match="NaN or infinite in calibration batch 2"):
        Equalize(always=True).run(graph_of(unequal(*CHAINS["relu"]())), placing_context(bad))


# -- the factors ---------------------------------------------------------------------------------


def simulated(w: Array, x: Array, factors: Array) -> float:
    """The measured noise of a product with both sides rounded to INT8."""
    a, b = x * factors, w / factors
    step_a, step_b = np.abs(a).max() / 127, np.abs(b).max(1, keepdims=True) / 127
    rounded = np.rint(a / step_a) * step_a @ (np.rint(b / step_b) * step_b).T
    return float(((rounded - x @ w.T) ** 2).mean())


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.0, 1.5), st.floats(0.0, 1.5))
def test_the_predicted_noise_is_the_measured_one(seed: int, spread: float, columns: float) -> None:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((2000, 24)) * np.exp(spread * rng.standard_normal(24))
    w = rng.standard_normal((16, 24)) * np.exp(columns * rng.standard_normal(24))
    weight = Weight.of(w.reshape(1, 16, 24, 1))
    reading = Reading([weight], np.abs(x).max(0), (x**2).mean(0))
    factors = choose([reading], np.full(24, np.inf))
    ones = np.ones(24)
    assert noise([reading], factors) <= noise([reading], ones)
    for s in (ones, factors):
        predicted = noise([reading], s) / (12 * 127**2) / 16
        assert simulated(w, x, s) == pytest.approx(predicted, rel=0.35)


def test_depthwise_layers_want_equal_ranges() -> None:
    weight = Weight.of(np.ones((8, 1, 1, 9)))
    found = np.geomspace(0.05, 1.0, 8)
    factors = choose([Reading([weight], found, found**2)], np.full(8, np.inf))
    np.testing.assert_allclose(factors * found, 1.0)


def test_caps_and_dead_channels() -> None:
    weight = Weight.of(np.ones((4, 1, 1, 1)))
    found = np.array([1.0, 0.1, 0.0, 0.2])
    caps = np.array([1.0, 2.0, np.inf, np.inf])
    factors = choose([Reading([weight], found, found**2)], caps)
    np.testing.assert_allclose(factors, [1.0, 2.0, 1.0, 5.0])


def test_options_that_make_no_sense() -> None:
    with pytest.raises(ValueError, match="batches must be at least 1"):
        Equalize(batches=0)
    with pytest.raises(ValueError, match="margin"):
        Equalize(margin=-1)


def test_a_channel_that_few_images_excite_may_be_larger_elsewhere() -> None:
    """Channel 0 is alike in all images, channel 1 rises in one; channel 2 is the largest."""
    peaks = np.array([[0.5, 0.01, 1.0], [0.5, 0.01, 1.0], [0.5, 0.2, 1.0], [0.5, 0.01, 1.0]])
    seen = ChannelStatistics(axis=1)
    for part in (peaks[:3], peaks[3:]):
        seen.add(np.stack([part, -part / 2], axis=2))
    np.testing.assert_allclose(seen.expected(0), seen.largest)
    spread = np.log(peaks).std(axis=0)
    np.testing.assert_allclose(seen.expected(1), np.minimum([0.5, 0.2, 1.0] * np.exp(spread), 1))
    np.testing.assert_allclose(seen.expected(1)[0], 0.5)
    assert seen.expected(1)[1] > 0.6
    np.testing.assert_allclose(seen.expected(9), [0.5, 1.0, 1.0])


def test_a_margin_leaves_room_for_channels_whose_peaks_differ() -> None:
    bare = graph_of(unequal(*CHAINS["relu"]()))
    wide = bare.clone()
    for graph, margin in ((bare, 0.0), (wide, 3.0)):
        Equalize(margin=margin, always=True).run(graph, placing_context(images()))
    assert (ranges(wide, "relu") <= ranges(bare, "relu") * (1 + 1e-5)).all()
    assert (ranges(wide, "relu") < 0.99 * ranges(bare, "relu")).any()
