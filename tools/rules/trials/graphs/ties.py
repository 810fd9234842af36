"""Stored weights that lie off the middle between two codes."""

from __future__ import annotations

from typing import cast

import numpy as np

from sparqc.ir.graph import Attribute, Value


def without_ties(x: Value, scale: Value, axis: Attribute) -> None:
    """Let the numbers of a stored weight lie off the middle between two codes, so that what a
    rewrite multiplies both by does not make them the next one."""
    stored: Value | None = x
    while stored is not None and stored.producer is not None:  # through masks
        stored = next(stored.producer.inputs, None)
    if stored is None or stored.data is None or scale.data is None:
        return
    if stored.data.dtype.kind != "f" or stored.shape != x.shape:
        return
    rank = stored.data.ndim
    shape = [
        -1 if axis is not None and d == int(cast(int, axis)) % rank else 1 for d in range(rank)
    ]
    step = scale.data.reshape(shape if axis is not None else ()).astype(np.float64)
    codes = stored.data / step
    whole = np.round(codes)
    stored.data = np.asarray((whole + (codes - whole) * 0.8) * step, stored.data.dtype)
