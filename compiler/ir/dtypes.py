"""The numpy dtype behind each name of an element type."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np

_LONG = {
    "f64": "float64", "f32": "float32", "f16": "float16", "bf16": ml_dtypes.bfloat16,
    "i64": "int64", "i32": "int32", "i16": "int16", "i8": "int8", "u8": "uint8", "bool": "bool",
}  # fmt: skip


def numpy_dtype(name: str) -> np.dtype[Any] | None:
    """The numpy dtype of "f32", "bf16", "float8_e4m3fn", …; None of "?" and what is no tensor."""
    if name == "?":  # numpy's own sign for bool
        return None
    try:
        return np.dtype(_LONG.get(name) or getattr(ml_dtypes, name, name))
    except TypeError:
        return None
