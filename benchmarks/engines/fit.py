"""Fit a generation's constants to the times of single convolutions.

    python benchmarks/engines/fit.py unet-resnet34-int8 unet-resnet34-fp16

The arguments are witnesses (`sparqc witnesses`); `--witnesses PATH` adds your own.  A layer that
ran under a profiler begins some microseconds later than in a graph launch: `--launch`.  Layers that
read an image (fewer than 8 channels) are left out: their kernels are others.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from itertools import product
from math import log, prod
from pathlib import Path
from statistics import mean

from sparqc.predict.witness import SeenKernel, Witness
from sparqc.predict.witnesses import witnesses

SHARES = [n / 100 for n in range(20, 100)]
BANDWIDTHS = [n / 100 for n in range(30, 100, 5)]


#: Bytes of the types that there are tensor cores for, and what predictions call these.
TYPES = {"int8": (1, "i8"), "float16": (2, "f16"), "bfloat16": (2, "bf16")}


def layers(seen: Witness, dtype: str, sparse: bool) -> Iterator[tuple[float, float, float]]:
    """Operations, bytes and microseconds of each convolution in a type; `sparse`: those that ran
    so."""
    for kernel in seen.kernels:
        time = kernel.sparse_us if sparse else kernel.dense_us
        if kernel.operator != "conv" or kernel.c < 8 or kernel.computes != dtype or time is None:
            continue
        if not sparse or kernel.sparse:
            yield *_work(kernel, TYPES[dtype][0]), time


def _work(kernel: SeenKernel, width: int) -> tuple[float, float]:
    read = kernel.rows * prod(kernel.stride) * kernel.c * kernel.groups
    written = kernel.rows * kernel.k * (1 + kernel.sizes.adds)
    return 2 * kernel.rows * kernel.k * kernel.c * prod(kernel.kernel), width * (read + written)


def fitted(seen: Witness, dtype: str, sparse: bool, launch: float) -> tuple[float, ...]:
    """The mean error of a logarithm, the share of the peak, and that of the bandwidth; nothing
    where no layer was timed."""
    found = list(layers(seen, dtype, sparse))
    if not found:
        return ()
    peak = seen.gpu.peak(TYPES[dtype][1], sparse=sparse)

    def error(shares: tuple[float, float]) -> float:
        products, traffic = shares[0] * peak, shares[1] * seen.gpu.bandwidth * 1e9
        return mean(
            abs(log((launch + 1e6 * max(operations / products, moved / traffic)) / measured))
            for operations, moved, measured in found
        )

    best = min(product(SHARES, BANDWIDTHS), key=error)
    return error(best), *best


def main() -> None:
    """Print a line for each kind of layer of each witness."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    options.add_argument("names", nargs="+")
    options.add_argument("--witnesses", type=Path, action="append", default=[])
    options.add_argument("--launch", type=float, default=6.0, help="microseconds; 6 by default")
    given = options.parse_args()
    known = witnesses(given.witnesses)
    for name, dtype, sparse in product(given.names, TYPES, (False, True)):
        if found := fitted(known[name], dtype, sparse, given.launch):
            error, peak, bandwidth = found
            kind = f"{name} {dtype} {'sparse' if sparse else 'dense'}"
            print(f"{kind:<36} {peak:.2f} of the peak, {bandwidth:.2f} of the bandwidth, "
                  f"{100 * error:.0f} % off on average")  # fmt: skip


if __name__ == "__main__":
    main()
