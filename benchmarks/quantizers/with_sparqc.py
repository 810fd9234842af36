"""sparqc: `python with_sparqc.py EXCHANGE PIPELINE LOGITS.npy`, in the environment it stands in."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from exchange import BATCH, THREADS, calibration, network, run_onnx

import sparqc


def main(exchange: str, pipeline: str, logits: str) -> None:
    """Compile, run, and write the logits."""
    torch.set_num_threads(THREADS)
    folder = Path(exchange)
    real = network(folder.name)
    batches = torch.from_numpy(calibration(folder)).split(BATCH)
    started = time.process_time()
    compiled = sparqc.compile(
        real.model(),
        real.example_inputs(),
        calibration=lambda: [(batch,) for batch in batches],
        passes=pipeline,
        float="fp32",  # as the other tools leave it
    )
    print(f"{time.process_time() - started:.0f} s of CPU time to compile")
    with tempfile.TemporaryDirectory() as place:
        target = Path(place) / "int8.onnx"
        compiled.save(target)
        np.save(logits, run_onnx(target, folder))


if __name__ == "__main__":
    main(*sys.argv[1:])
