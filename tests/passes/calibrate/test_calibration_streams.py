"""Calibration streams: memory does not grow with the data, and both roads give the same ranges."""

import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import sparqc
from sparqc.ir.graph import Array
from sparqc.passes.calibrate.calibrate import Calibrate, CalibratedRanges, Range
from sparqc.passes.calibrate.histogram import Histogram
from sparqc.passes.correct_bias.correct_bias import CorrectBias
from sparqc.passes.equalize.equalize import Equalize
from sparqc.rewrite.context import Batch
from tests.calibration_models import Residual, context, images, placing_context


def stream(count: int) -> Iterator[Batch]:
    """Batches that nobody else keeps."""
    for index in range(count):
        yield [np.full((1, 4, 6, 6), np.float32(index % 7 - 3) / 3)]


def peak(count: int, level: str) -> int:
    """Bytes of Python and numpy at the highest point of a calibration on so many batches."""
    residual = Residual(level)  # type: ignore[arg-type]
    residual.quantize_all()
    tracemalloc.start()
    Calibrate().run(residual.graph, context(lambda: stream(count)))
    _, highest = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return highest


@pytest.mark.parametrize(("level", "count"), [("fx", 300), ("onnx", 300)])
def test_memory_does_not_grow_with_the_number_of_batches(level: str, count: int) -> None:
    peak(2, level)  # what is loaded once
    one = 1 * 4 * 6 * 6 * 4  # bytes of a batch
    assert peak(count, level) - peak(20, level) < count * one / 5


def test_ten_thousand_batches_into_one_histogram() -> None:
    seen, batch = Histogram(), np.ones((8, 16), np.float32)
    tracemalloc.start()
    for index in range(10_000):
        seen.add(batch * index)
    _, highest = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert seen.total == 10_000 * batch.size
    assert highest < 1 << 20


def test_the_other_passes_stream_too() -> None:
    """One batch after the other, and none is kept: each is gone before the next but one comes."""
    alive: list[int] = []

    class Counted(np.ndarray):
        def __del__(self) -> None:
            alive.append(-1)

    def batches() -> Iterator[Batch]:
        for index in range(40):
            assert index + sum(alive) <= 3
            yield [stream_one(index).view(Counted)]

    def stream_one(index: int) -> Array:
        return np.full((1, 4, 6, 6), np.float32(index % 7 - 3) / 3)

    residual = Residual("fx")
    Equalize(always=True).run(residual.graph, placing_context(batches))
    alive.clear()
    reference = residual.graph.clone()
    CorrectBias().run(residual.graph, context(batches, reference=reference))


def test_what_was_counted_once_is_known_the_next_time() -> None:
    told: list[tuple[int, int | None, str]] = []
    residual = Residual("fx")
    found = context(images(3), progress=lambda *now: told.append(now), reference=residual.graph)
    CorrectBias().run(residual.graph.clone(), found)
    CorrectBias(batches=2).run(residual.graph.clone(), found)
    CorrectBias().run(residual.graph.clone(), found)
    assert [total for _, total, _ in told] == [None] * 3 + [2] * 2 + [3] * 3


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b = nn.Conv2d(3, 16, 3, padding=1), nn.Conv2d(16, 16, 3, padding=1)
        self.bn, self.head = nn.BatchNorm2d(16), nn.Linear(16, 16)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.bn(self.a(x)))
        x = torch.relu(self.b(x) + x)
        return self.head(x.mean((2, 3)))


@pytest.mark.parametrize("method", ["max", "percentile", "entropy", "mse"])
def test_onnx_and_pytorch_give_the_same_ranges(method: str, tmp_path: Path) -> None:
    """To the order of float sums: the same network, once as a module, once as its ONNX file."""
    net, x = Net().eval(), torch.randn(2, 3, 12, 12)
    rng = np.random.default_rng(0)
    batches = [[rng.standard_normal((4, 3, 12, 12)).astype(np.float32)] for _ in range(3)]
    sparqc.compile(net, (x,), passes="export", target="tensorrt-rtx").save(tmp_path / "net.onnx")
    passes = f"fold, place, calibrate{{method={method}}}"
    found: list[list[Range]] = []
    for model, inputs in ((net, (x,)), (tmp_path / "net.onnx", None)):
        line = passes + (", export" if inputs else "")
        compiled = sparqc.compile(
            model, inputs, calibration=lambda: batches, passes=line, target="tensorrt-rtx"
        )
        found.append(compiled.context.facts[CalibratedRanges].ranges)
    one, other = found
    assert len(one) == len(other) >= 7
    for a, b in zip(one, other, strict=True):
        # A bin of 4096 more or less where an element lies on an edge.
        assert a.amax == pytest.approx(b.amax, rel=2e-3)
        assert a.largest == pytest.approx(b.largest, rel=1e-5)
        assert a.method == b.method
