"""What two ONNX files compute, held against each other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime


def other_numbers(before: Path, after: Path) -> str:
    """What a compiled file computes otherwise than the one that it was made of; "" where nothing.
    Where onnxruntime does not take the first, nothing is compared."""
    first, second = _outputs(before), _outputs(after)
    if second is None:
        return "onnxruntime refuses the result" if first is not None else ""
    if first is None:  # what it is made of is younger than onnxruntime, or was damaged and cured
        return ""
    for a, b in zip(first, second, strict=True):
        if a.shape != b.shape:
            return f"other shapes: {a.shape}, {b.shape}"
        if a.dtype.kind == "f":
            far = np.abs(np.nan_to_num(a) - np.nan_to_num(b)).max(initial=0.0)
            if far > 1e-3 * max(np.abs(np.nan_to_num(a)).max(initial=0.0), 1e-6):
                return f"other numbers: {far}"
        elif a.dtype.kind != "O" and not np.array_equal(a, b):
            return "other numbers"
    return ""


_DTYPES = {
    "tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(double)": np.float64,
    "tensor(int64)": np.int64, "tensor(int32)": np.int32, "tensor(bool)": np.bool_,
    "tensor(int8)": np.int8, "tensor(uint8)": np.uint8,
}  # fmt: skip


def _outputs(path: Path) -> list[np.ndarray[Any, Any]] | None:
    """What onnxruntime makes of noise; None where it does not take the file."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    generator = np.random.default_rng(0)
    try:
        session = onnxruntime.InferenceSession(str(path), options, ["CPUExecutionProvider"])
        feeds = {}
        for slot in session.get_inputs():
            shape = [d if isinstance(d, int) and d >= 0 else 2 for d in slot.shape]
            noise = generator.standard_normal(shape)
            feeds[slot.name] = np.asarray(noise).astype(_DTYPES[slot.type])
        return [np.asarray(array) for array in session.run(None, feeds)]
    except Exception:  # noqa: BLE001  whatever it is, the file does not run
        return None
