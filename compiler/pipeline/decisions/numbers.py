"""What a constant is and was, in a few numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from sparqc.ir.graph import Array, dtype_name
from sparqc.pipeline.decisions.rows import plain


def compared(before: Array, after: Array) -> dict[str, Any]:
    """Both in a few numbers and, where both are floats of one shape, what lies between them:
    10 log10 of the power of the old one by that of the difference, in dB."""
    found: dict[str, Any] = {"before": summary(before), "after": summary(after)}
    floats = before.dtype.kind == after.dtype.kind == "f"
    if floats and before.shape == after.shape and before.size:
        old, new = before.astype(np.float32), after.astype(np.float32)
        signal, noise = float(np.square(old).mean()), float(np.square(old - new).mean())
        if signal > 0 and noise > 0:
            found["snr_db"] = plain(10 * float(np.log10(signal / noise)))
    return found


def summary(array: Array) -> dict[str, Any]:
    """Element type and shape; of numbers the least, the largest, the root mean square and the share
    of zeros, and of a single one itself."""
    found: dict[str, Any] = {"dtype": dtype_name(array.dtype), "shape": list(array.shape)}
    if array.dtype.kind not in "fiu" or not array.size or hasattr(array, "digest"):
        return found
    if array.size == 1:
        return found | {"value": plain(array.reshape(()).item())}
    floats = array.astype(np.float32) if array.dtype.itemsize < 4 else array
    numbers = {
        "least": float(floats.min()),
        "largest": float(floats.max()),
        "rms": float(np.sqrt(np.square(floats, dtype=np.float64).mean())),
        "zeros": 1.0 - np.count_nonzero(array) / array.size,
    }
    return found | {name: plain(value) for name, value in numbers.items()}
