"""What every quantizer is given for a network, as files, and the logits that it gives back."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

#: The folder of the networks; with this module its modules are found by name.
REAL = Path(__file__).resolve().parents[1] / "real"
NETWORKS = ("resnet50", "mobilenet_v2", "efficientnet_lite0", "crepe_tiny")
BATCH = 10
THREADS = 2

sys.path.append(str(REAL))


def network(name: str) -> ModuleType:
    """`benchmarks/real/<name>.py`."""
    return import_module(name)


def write_exchange(name: str, folder: Path, every: int = 1) -> None:
    """Write what the network is calibrated and compared on, as the network takes it, its outputs,
    and an ONNX file of it in which BatchNorm is folded and nothing is quantized."""
    import torch

    import sparqc

    real = network(name)
    data = real.evaluated(every)
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "calibration.npy", data.calibration)
    np.save(folder / "evaluation.npy", data.evaluation)
    np.savez(
        folder / "right.npz", labels=data.labels, sources=data.sources, tolerance=data.tolerance
    )
    net = real.model()
    with torch.no_grad():
        found = [net(torch.from_numpy(batch)) for batch in evaluation(folder)]
    np.save(folder / "reference.npy", torch.cat(found).numpy())
    compiled = sparqc.compile(net, real.example_inputs(), passes="float")
    compiled.save(folder / "float.onnx")


def calibration(folder: Path) -> NDArray[np.float32]:
    """The inputs to calibrate on."""
    return np.load(folder / "calibration.npy")


def evaluation(folder: Path) -> list[NDArray[np.float32]]:
    """The inputs to evaluate on, in batches."""
    images = np.load(folder / "evaluation.npy")
    return [images[at : at + BATCH] for at in range(0, len(images), BATCH)]


def run_onnx(model: Path, folder: Path) -> NDArray[np.float32]:
    """The logits of an ONNX file, each operator computed as it stands there."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = THREADS
    # Others may compute on the same cores.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    (x,) = session.get_inputs()
    return np.concatenate([session.run(None, {x.name: b})[0] for b in evaluation(folder)])
