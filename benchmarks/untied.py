"""What a scale of its own for a branch of a Concat brings, and what it costs.

    python benchmarks/untied.py branch      # a quiet branch at three ratios of ranges
    python benchmarks/untied.py yolo        # layouts of YOLO with random weights

Each line: the signal-to-noise ratio on inputs of their own, the predicted time of one batch of 8 on
an A100, and the activations that an engine of TensorRT-RTX reads and writes, as it was built.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import onnxruntime as ort
import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the networks of the tests

import sparqc
from sparqc.declared.gpus import default_gpus
from sparqc.predict.roofline import estimate
from sparqc.tools.engine.rtx import compile_rtx
from sparqc.tools.explain.prediction import predict
from tests.passes.untie.networks import Two
from tests.zoo.architecture import settle

BATCH = 8
LAYOUTS = ("yolov5n", "yolov6n", "yolov8n", "yolov10n", "yolo11n")
WAYS = {
    "one scale": ("int8,-untie", ()),
    "int8": ("int8", ()),
    "from 6 dB on": ("int8,+untie{loss=6}@instead=untie", ()),
    "from 20 dB on": ("int8,+untie{loss=20}@instead=untie", ()),
    "judged": ("int8,+untie{judged=true}@instead=untie", ()),
    "auto": ("auto", ()),
    "concat=float": ("int8", ("concat=float",)),
}


def batches(count: int, side: int, seed: int) -> list[tuple[Tensor]]:
    """Batches of noise."""
    made = torch.Generator().manual_seed(seed)
    return [(torch.randn(BATCH, 3, side, side, generator=made),) for _ in range(count)]


def outputs(found: object) -> list[np.ndarray]:
    """The float outputs of a network."""
    tensors = found if isinstance(found, tuple | list) else [found]
    return [t.numpy().astype(np.float64) for t in tensors if t.is_floating_point()]


def decibels(net: nn.Module, model: bytes, unseen: Sequence[tuple[Tensor]]) -> list[float]:
    """The signal-to-noise ratio of each float output."""
    session = ort.InferenceSession(model)
    name = session.get_inputs()[0].name
    signal, noise = 0.0, 0.0
    for (x,) in unseen:
        with torch.no_grad():
            wanted = outputs(net(x))
        pairs = list(zip(wanted, session.run(None, {name: x.numpy()}), strict=False))
        signal = signal + np.array([(w**2).sum() for w, _ in pairs])
        noise = noise + np.array([((w - y) ** 2).sum() for w, y in pairs])
    return list(10 * np.log10(signal / noise))


def measured(net: nn.Module, side: int, ways: Sequence[str]) -> Iterator[str]:
    """A line for each way to compile a network."""
    calibration, unseen = batches(16, side, 1), batches(8, side, 2)
    gpu = default_gpus()[0]
    for way in ways:
        passes, knobs = WAYS[way]
        done = sparqc.compile(
            net, calibration[0], calibration=calibration, passes=passes, knobs=knobs,
            target="tensorrt-rtx", float="fp32",
        )  # fmt: skip
        found = decibels(net, done.model.SerializeToString(), unseen)
        figures = "  ".join(f"{d:5.1f}" for d in found)
        time = estimate(predict(done.model, batch=None), gpu).about.dense
        built = compile_rtx(done.model)
        moved = (built.bytes_read + built.bytes_written) / 1e6
        yield (
            f"{way:14} {figures} dB  {1e6 * time:6.1f} us  {moved:6.2f} MB in "
            f"{len(built.kernels)} kernels"
        )


def main(what: str, *ways: str) -> None:
    """Print the table; `ways` are those to be compared, all without."""
    chosen = ways or tuple(WAYS)
    if what == "branch":
        for ratio in (8, 30, 400):
            print(f"ratio {ratio}")
            for line in measured(Two(ratio).eval(), 16, chosen):
                print(" ", line, flush=True)
        return
    from tests.zoo.from_ultralytics import ARCHITECTURES

    for layout in ARCHITECTURES:
        if layout.name in LAYOUTS:
            torch.manual_seed(0)
            net = layout.make().eval()
            settle(net, batches(1, 64, 0)[0])
            print(layout.name)
            for line in measured(net, 64, chosen):
                print(" ", line, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
