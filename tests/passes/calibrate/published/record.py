"""Write ranges.json anew: what published calibrators choose for the arrays of signals.py.

    cd tests/passes/calibrate/published
    pip install nvidia-modelopt torch scipy && python record.py modelopt
    pip install torch && python record.py torch.ao
    pip install onnxruntime onnx && python record.py onnxruntime

Each in an environment of its own, if need be: a run replaces what it knows of its tool alone.
Nothing in the tests depends on these packages.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from signals import Floats, signals

FILE = Path(__file__).with_name("ranges.json")
#: None falls between two elements of 20000: float sums would decide which side it takes.
PERCENTILES = (99.003, 99.903, 99.987)


def modelopt(x: Floats) -> dict[str, float]:
    """modelopt.torch.quantization.calib, which pytorch-quantization's classes became.

    Once with its own 2048 bins over [0, max|x|], once with 4096, each second of them tried."""
    import torch
    from modelopt.torch.quantization.calib import HistogramCalibrator, MaxCalibrator, histogram
    from modelopt.torch.quantization.tensor_quant import fake_tensor_quant

    # Its version 0.47 gives the number of bits in the place of a bias, and then has 0 bits: the
    # least range always wins.  Called as it is meant, it is what pytorch-quantization computes.
    histogram.fake_tensor_quant = lambda x, amax, bits, unsigned: fake_tensor_quant(
        x, amax, None, bits, unsigned
    )
    largest = MaxCalibrator(8, None, False)
    largest.collect(torch.from_numpy(x))
    found = {"max": float(largest.compute_amax())}
    for bins, stride in ((2048, 1), (4096, 2)):
        calibrator = HistogramCalibrator(8, None, False, num_bins=bins)
        calibrator.collect(torch.from_numpy(x))
        for percentile in PERCENTILES:
            amax = calibrator.compute_amax("percentile", percentile=percentile)
            found[f"percentile {percentile} of {bins}"] = float(amax)
        found[f"mse of {bins}"] = float(calibrator.compute_amax("mse", stride=stride))
        # Last: it changes the counts of the histogram.
        found[f"entropy of {bins}"] = float(calibrator.compute_amax("entropy", stride=stride))
    return found


def torch_ao(x: Floats) -> dict[str, float]:
    """torch.ao's observers, symmetric; 127.5 of their scales are the range."""
    import torch
    from torch.ao.quantization.observer import HistogramObserver, MinMaxObserver

    found = {}
    for name, observer in (("max", MinMaxObserver), ("mse", HistogramObserver)):
        seen = observer(dtype=torch.qint8, qscheme=torch.per_tensor_symmetric)
        seen(torch.from_numpy(x))
        found[name] = 127.5 * float(seen.calculate_qparams()[0])
    return found


def onnxruntime(x: Floats) -> dict[str, float]:
    """onnxruntime.quantization.calibrate, symmetric, with its 2048 bins for percentiles."""
    import numpy as np
    from onnxruntime.quantization.calibrate import HistogramCollector

    found = {"max": float(np.abs(x).max())}
    for percentile in PERCENTILES:
        collector = HistogramCollector("percentile", True, 2048, None, percentile, "same")
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
            collector.collect({"x": x})
            found[f"percentile {percentile} of 2048"] = float(
                collector.compute_collection_result()["x"][1]
            )
    return found


TOOLS: dict[str, tuple[str, Callable[[Floats], dict[str, float]]]] = {
    "modelopt": ("nvidia-modelopt", modelopt),
    "torch.ao": ("torch", torch_ao),
    "onnxruntime": ("onnxruntime", onnxruntime),
}


def main(tool: str) -> None:
    """Replace what ranges.json holds of one tool."""
    package, chosen = TOOLS[tool]
    data = json.loads(FILE.read_text()) if FILE.exists() else {}
    ranges = {name: chosen(x) for name, x in signals().items()}
    data[tool] = {"version": f"{package} {version(package)}", "ranges": ranges}
    FILE.write_text(json.dumps(dict(sorted(data.items())), indent=1) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
