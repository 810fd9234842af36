"""What is read in INT8 beside the layers counts, and what does not help is undone."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

import sparqc
from sparqc.capture.capture import capture
from sparqc.ir.graph import Array
from sparqc.passes.equalize import equalize
from sparqc.passes.equalize.equalize import Equalize
from sparqc.passes.equalize.equalized import Equalization, Equalized
from sparqc.passes.equalize.factors import Reading, Skip, Weight, choose
from sparqc.passes.on_data.transaction import Judgements
from tests.calibration_models import placing_context

CHANNELS = 16
Floats = NDArray[np.float64]


def images(count: int = 6, size: int = 8, seed: int = 0) -> list[list[Array]]:
    rng = np.random.default_rng(seed)
    return [[rng.standard_normal((size, 3, 8, 8)).astype(np.float32)] for _ in range(count)]


class Block(nn.Module):
    """A residual block; some channels of its skip are large and negative, hence dead behind the
    ReLU but for a few pixels."""

    def __init__(self, dead: int, swapped: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.swapped = swapped
        self.skip = nn.Conv2d(3, CHANNELS, 1)
        self.a = nn.Conv2d(3, CHANNELS, 3, padding=1)
        self.b = nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1)
        self.head = nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1)
        with torch.no_grad():
            for layer in (self.skip, self.b):  # the others have ranges that want factors
                layer.weight *= torch.logspace(-1.2, 0.3, CHANNELS).reshape(-1, 1, 1, 1)
                assert layer.bias is not None
                layer.bias.zero_()
            assert self.skip.bias is not None
            self.b.weight[:dead] = 0
            self.skip.weight[:dead] *= 100
            data = torch.cat([torch.from_numpy(x) for (x,) in images()])
            self.skip.bias[:dead] = 0.02 - self.skip(data).amax((0, 2, 3))[:dead]

    def forward(self, x: Tensor) -> Tensor:
        skip, b = self.skip(x), self.b(torch.relu(self.a(x)))
        y = torch.relu(skip + b if self.swapped else b + skip)
        out: Tensor = self.head(y)
        return out


def snr(net: nn.Module, passes: str, data: list[list[Array]]) -> tuple[float, list[Equalized]]:
    """How near the INT8 network is on the data that it was calibrated on."""
    (x,) = data[0]
    done = sparqc.compile(net, (torch.from_numpy(x),), calibration=lambda: data, passes=passes)
    assert done.difference is not None
    facts = done.context.facts
    return done.difference.snr_db, list(facts.get(Equalization, Equalization()).groups)


@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize("dead", [1, 4])
def test_a_skip_whose_dead_channels_are_large(dead: int, swapped: bool) -> None:
    net, data = Block(dead, swapped).eval(), images()
    plain, _ = snr(net, "int8", data)
    better, rows = snr(net, "int8-accurate", data)
    assert better > plain + 1
    joined = next(row for row in rows if "skip" in row.modules)
    assert joined.gain_db > 1


def test_a_range_on_a_skip_is_part_of_the_noise() -> None:
    weight = Weight.of(np.ones((1, 8, 2, 1)))
    reading = Reading([weight], np.array([1.0, 0.02]), np.array([1.0, 0.0004]) / 4)
    caps = np.full(2, np.inf)
    assert choose([reading], caps)[1] > 4
    assert choose([reading], caps, [Skip([weight], np.array([1.0, 10.0]))])[1] <= 1
    assert choose([reading], caps, [Skip([weight], np.array([1.0, 0.02]))])[1] > 4


@pytest.mark.parametrize("size", [8, 16])
@pytest.mark.parametrize("level", ["fx", "onnx"])
def test_factors_that_make_it_worse_are_undone(
    size: int, level: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of one group of two: the choice is the pass's own for the other."""
    good = equalize.choose

    def bad(readings: list[Reading], caps: Floats, skips: list[Skip]) -> Floats:
        if len(readings[0].ranges) == CHANNELS:
            return np.geomspace(1, 64, CHANNELS)
        return good(readings, caps, skips)

    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, CHANNELS, 3), nn.ReLU(), nn.Conv2d(CHANNELS, 24, 3), nn.ReLU(),
        nn.Conv2d(24, 16, 1),
    ).eval()  # fmt: skip
    with torch.no_grad():
        third = net[2]
        assert isinstance(third, nn.Conv2d)
        third.weight *= torch.logspace(-1.5, 0, 24).reshape(-1, 1, 1, 1)
        assert third.bias is not None
        third.bias.zero_()
    data = images(size=size)
    graph = capture(net, (torch.from_numpy(data[0][0]),)).graph
    if level == "onnx":
        made = sparqc.compile(net, (torch.from_numpy(data[0][0]),), passes="float")
        from sparqc.ir.onnx.adapter import read_onnx
        from sparqc.ir.vocabulary.table import default_table

        graph = read_onnx(made.model, default_table())
    # The promise of these factors is as wrong as they are.
    monkeypatch.setattr(equalize, "choose", bad)
    monkeypatch.setattr(equalize, "_LEAST_GAIN", -99.0)
    weights = {c.name: c.data for c in graph.constants}
    found = placing_context(data)
    Equalize().run(graph, found)
    first, second, _ = found.facts[Equalization].groups
    assert first.reason.startswith("undone: with its factors the outputs came no nearer on data")
    assert first.most == 1
    assert second.reason == ""
    (judgement,) = found.facts[Judgements].passes
    assert (judgement.kept, judgement.undone) == (second.layers, first.layers)
    assert judgement.whole_db < -1
    assert judgement.after_db > judgement.before_db + 1
    assert judgement.samples == 6 * size // 4
    changed = [name for name, data in weights.items() if graph.value(name).data is not data]
    assert len(changed) == 3  # weight and bias of one layer, weight of the next
