"""Where an INT8 network loses its accuracy, layer by layer.

    python benchmarks/real/layers.py benchmarks/real/resnet50.py
    python benchmarks/real/layers.py benchmarks/real/mobilenet_v2.py --passes default --images 40

Compiles the network twice, in float and with the pipeline, runs both on crops of photographs that
the calibration has not seen, and compares every value by its name.

| column | meaning |
|---|---|
| so far | signal-to-noise ratio of the value against the float network, in dB |
| rounding | what the value's own quantizer does to the float network's value, in dB |
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
import torch
from numpy.typing import NDArray
from photographs import evaluation_images

from sparqc.api import compile
from sparqc.ir.graph import Node, Value
from sparqc.ir.levels.execute import open_runner
from sparqc.job.result import Result
from sparqc.tools.model.source import open_file

Array = NDArray[np.float32]
#: Crops that run at once: all values of a network are in memory for so many.
BATCH = 2


@dataclass
class Ratio:
    """A signal-to-noise ratio that is summed up over batches."""

    signal: float = 0.0
    noise: float = 0.0

    def add(self, reference: Array, actual: Array) -> None:
        """Take in a batch."""
        self.signal += float(np.square(reference, dtype=np.float64).sum())
        self.noise += float(np.square(reference - actual, dtype=np.float64).sum())

    @property
    def decibels(self) -> float:
        """10 log10(signal / noise); infinite without noise."""
        if not self.noise or not self.signal:
            return math.inf if self.signal else math.nan
        return 10 * math.log10(self.signal / self.noise)


@click.command()
@click.argument("model", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--passes", default="int8", show_default=True)
@click.option("--images", default=20, show_default=True, help="Crops to compare on.")
def main(model: Path, passes: str, images: int) -> None:
    """Print the signal-to-noise ratio of each layer of MODEL."""
    torch.set_num_threads(2)
    real = open_file(model, "model")
    inputs = real.example_inputs()
    net, calibration = real.make(), real.calibration(len(inputs))
    plain = compile(net, inputs, passes="float")
    quantized = compile(net, inputs, calibration=calibration, passes=passes)
    whole, own = measure(plain, quantized, list(_batches(model, images)))
    click.echo("so far  rounding  layer")
    for name, ratio in whole.items():
        node = quantized.graph.value(name).producer
        rounding = f"{own[name].decibels:8.2f}" if name in own else " " * 8
        click.echo(f"{ratio.decibels:6.2f}  {rounding}  {_title(name, node)}")


def measure(
    plain: Result, quantized: Result, batches: list[list[Array]]
) -> tuple[dict[str, Ratio], dict[str, Ratio]]:
    """The ratio of every value that both graphs have, and of every quantizer alone."""
    values = list(_common(plain, quantized))
    scales = _scales(quantized)
    whole = {value.name: Ratio() for value, _ in values}
    own = {name: Ratio() for name in scales if name in whole}
    runners = [open_runner(c.graph, c.context.table, model=c.model) for c in (plain, quantized)]
    for batch in batches:
        _, left = runners[0].run(batch, [value for value, _ in values])
        _, right = runners[1].run(batch, [value for _, value in values])
        for (value, _), reference, actual in zip(values, left, right, strict=True):
            whole[value.name].add(reference, actual)
            if value.name in own:
                own[value.name].add(reference, _rounded(reference, scales[value.name]))
    return whole, own


def _batches(model: Path, images: int) -> Iterator[list[Array]]:
    """Crops as the network takes them, of all photographs alike."""
    pixels, _ = evaluation_images()
    chosen = pixels[:: max(1, len(pixels) // images)][:images]
    normalize = __import__(model.stem).normalize
    for batch in chosen.split(BATCH):
        yield [normalize(batch).numpy()]


def _common(plain: Result, quantized: Result) -> Iterator[tuple[Value, Value]]:
    """Values of one name in both graphs, in order, but not the pairs and what moves data."""
    for node in plain.graph.nodes:
        for value in node.outputs:
            if value.name in quantized.graph and value.type.dtype == "f32" and not value.is_const:
                yield value, quantized.graph.value(value.name)


def _scales(quantized: Result) -> dict[str, float]:
    """The scale of each value that is quantized per tensor, by the value's name."""
    found = {}
    for node in quantized.graph.nodes:
        x, scale = node.operands.get("x"), node.operands.get("scale")
        if node.op != "q.quantize" or not isinstance(x, Value) or not isinstance(scale, Value):
            continue
        if scale.data is not None and scale.data.size == 1:
            found[x.name] = float(scale.data)
    return found


def _rounded(values: Array, scale: float) -> Array:
    """INT8 there and back, symmetric, half to even."""
    codes = np.clip(np.rint(values / np.float32(scale)), -128, 127)
    return (codes * np.float32(scale)).astype(np.float32)


def _title(name: str, node: Node | None) -> str:
    module = node.origin.module if node else ""
    return f"{name}" + f"  ({module})" * bool(module and module != name)


if __name__ == "__main__":
    main()
