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
NETWORKS = ("resnet50", "mobilenet_v2")
BATCH = 10
THREADS = 2
#: Of the evaluation images every second one: five crops of each of the 20 photographs.
EVERY = 2


sys.path.append(str(REAL))


def network(name: str) -> ModuleType:
    """`benchmarks/real/<name>.py`."""
    return import_module(name)


def write_exchange(name: str, folder: Path) -> None:
    """Write the images `[N, 3, 224, 224]` as the network takes them, its logits, and an ONNX file
    of it in which BatchNorm is folded and nothing is quantized."""
    real = network(name)
    from photographs import calibration_images, evaluation_images

    import sparqc

    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "calibration.npy", real.normalize(calibration_images()).numpy())
    np.save(folder / "evaluation.npy", real.normalize(evaluation_images()[0][::EVERY]).numpy())
    np.save(folder / "reference.npy", real.reference()[::EVERY].numpy())
    compiled = sparqc.compile(real.model(), real.example_inputs(), passes="float")
    compiled.save(folder / "float.onnx")


def calibration(folder: Path) -> NDArray[np.float32]:
    """The images to calibrate on."""
    return np.load(folder / "calibration.npy")


def evaluation(folder: Path) -> list[NDArray[np.float32]]:
    """The images to evaluate on, in batches."""
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
