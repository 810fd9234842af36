"""onnxruntime's static quantizer: `python with_onnxruntime.py EXCHANGE METHOD LOGITS.npy`.

Runs in an environment of its own.  METHOD is a calibration method of onnxruntime, with a percentile
after a colon: MinMax, Entropy, Percentile:99.99.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
from exchange import calibration, run_onnx
from numpy.typing import NDArray
from one_bare_branch import bare_branches
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)

#: What has INT8 kernels: everything here is quantized on its inputs.
OPERATORS = ["Conv", "Gemm", "Add", "GlobalAveragePool", "ReduceMean"]
#: Images that are kept in memory at once, with all their activations.
STRIDE = 8


class Reader(CalibrationDataReader):
    """Images one by one, of a part of all."""

    def __init__(self, images: NDArray[np.float32], name: str) -> None:
        self.images, self.name = images, name
        self.set_range(0, len(images))

    def __len__(self) -> int:
        return len(self.images)

    def set_range(self, start_index: int, end_index: int) -> None:
        """Give the images from `start_index` to `end_index` next."""
        self.left = iter(range(start_index, end_index))

    def get_next(self) -> Mapping[str, NDArray[np.float32]] | None:
        """One image as a batch, None behind the last."""
        at = next(self.left, None)
        return None if at is None else {self.name: self.images[at : at + 1]}


def quantize(exchange: Path, method: str, target: Path) -> None:
    """Write the Q/DQ file, in the form that TensorRT asks for: symmetric, per-channel weights, no
    quantizer on a bias, none on an output that nothing reads in INT8."""
    kind, _, percentile = method.partition(":")
    source = exchange / "float.onnx"
    extra = {
        "ActivationSymmetric": True,
        "WeightSymmetric": True,
        "CalibTensorRangeSymmetric": True,
        "CalibStridedMinMax": STRIDE,
        "QuantizeBias": False,
        "OpTypesToExcludeOutputQuantization": OPERATORS,
    }
    if percentile:
        extra["CalibPercentile"] = float(percentile)
    quantize_static(
        source,
        target,
        Reader(calibration(exchange), onnx.load(source).graph.input[0].name),
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=OPERATORS,
        per_channel=True,
        activation_type=QuantType.QInt8,
        weight_type=QuantType.QInt8,
        calibrate_method=CalibrationMethod[kind],
        extra_options=extra,
    )
    onnx.save(bare_branches(onnx.load(target)), target)


def main(exchange: str, method: str, logits: str) -> None:
    """Quantize, run, and write the logits."""
    with tempfile.TemporaryDirectory() as place:
        target = Path(place) / "int8.onnx"
        quantize(Path(exchange), method, target)
        np.save(logits, run_onnx(target, Path(exchange)))


if __name__ == "__main__":
    main(*sys.argv[1:])
