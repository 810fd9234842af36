"""Fit a generation's constants to the times of single convolutions.

    python benchmarks/engines/fit.py LAYERS.csv --gpu a100-pcie-40gb --batch 32

LAYERS.csv has the columns layer, K, C, kernel, stride, output_side, epilogue (`add` or `-`), and
for `int8` and `fp16` each: `int8_dense_us`, `int8_sparse_us`, `int8_sparse_chosen` (0 or 1).  A
layer that ran under a profiler begins some microseconds later than in a graph launch: `--launch`.
Layers that read an image (fewer than 8 channels) are left out: their kernels are others.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator
from itertools import product
from math import log
from pathlib import Path
from statistics import mean

from sparqc.predict.gpus import Gpu, gpu

SHARES = [n / 100 for n in range(20, 100)]
BANDWIDTHS = [n / 100 for n in range(30, 100, 5)]


def layers(path: Path, kind: str, batch: int) -> Iterator[tuple[float, float, float]]:
    """Operations, bytes and microseconds of each layer; `kind` is such as `int8_sparse`."""
    dtype, _, way = kind.partition("_")
    for row in csv.DictReader(path.open()):
        rows, columns, kernel, stride, side = (
            int(row[name]) for name in ("K", "C", "kernel", "stride", "output_side")
        )
        if columns < 8 or (way == "sparse" and row[f"{kind}_chosen"] != "1"):
            continue
        pixels, read = batch * side**2, batch * (side * stride) ** 2
        results = 1 + (row["epilogue"] == "add")
        elements = pixels * rows * results + read * columns
        operations = 2 * pixels * rows * columns * kernel**2
        yield operations, elements * (1 if dtype == "int8" else 2), float(row[f"{kind}_us"])


def fitted(path: Path, kind: str, on: Gpu, batch: int, launch: float) -> tuple[float, ...]:
    """The mean error of a logarithm, the share of the peak, and that of the bandwidth."""
    found = list(layers(path, kind, batch))
    peak = on.peak("i8" if kind.startswith("int8") else "f16", sparse=kind.endswith("sparse"))

    def error(shares: tuple[float, float]) -> float:
        products, traffic = shares[0] * peak, shares[1] * on.bandwidth * 1e9
        return mean(
            abs(log((launch + 1e6 * max(operations / products, moved / traffic)) / measured))
            for operations, moved, measured in found
        )

    best = min(product(SHARES, BANDWIDTHS), key=error)
    return error(best), *best


def main() -> None:
    """Print a line for each kind of layer."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    options.add_argument("layers", type=Path)
    options.add_argument("--gpu", default="a100-pcie-40gb")
    options.add_argument("--batch", type=int, default=32)
    options.add_argument("--launch", type=float, default=6.0, help="microseconds; 6 by default")
    given = options.parse_args()
    kinds = ("int8_dense", "fp16_dense", "int8_sparse", "fp16_sparse")
    for kind in kinds:
        error, peak, bandwidth = fitted(
            given.layers, kind, gpu(given.gpu), given.batch, given.launch
        )
        print(f"{kind:<12} {peak:.2f} of the peak, {bandwidth:.2f} of the bandwidth, "
              f"{100 * error:.0f} % off on average")  # fmt: skip


if __name__ == "__main__":
    main()
