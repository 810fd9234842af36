"""The weights of a TensorFlow.js layers model: a `model.json` and binary shards beside it."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: https://github.com/tensorflow/tfjs, tfjs-core/src/io/types.ts: dtypes in the manifest, all
#: little-endian.  "string" and "complex64" have another layout, and no network needs them here.
DTYPES = {"float32": "<f4", "float16": "<f2", "int32": "<i4", "uint8": "u1", "bool": "u1"}


def read_tfjs_weights(model: Path) -> dict[str, NDArray[Any]]:
    """Every weight by its name, as read-only arrays in the layout of Keras (HWIO kernels).

    Nothing but JSON and raw numbers is read; no code of the file can run.  Raises ValueError where
    the files are damaged, lie outside the model's folder, or hold quantized weights.
    """
    try:
        manifest = json.loads(model.read_bytes())["weightsManifest"]
        return {
            name: array for group in manifest for name, array in _group(model.parent, group).items()
        }
    except (KeyError, TypeError, json.JSONDecodeError) as error:
        raise ValueError(f"{model} is no TensorFlow.js model: {error}") from error


def _group(folder: Path, group: dict[str, Any]) -> dict[str, NDArray[Any]]:
    """The weights of one group: they lie one behind the other in its shards, put together."""
    content = b"".join(_shard(folder, path) for path in group["paths"])
    found: dict[str, NDArray[Any]] = {}
    start = 0
    for entry in group["weights"]:
        name, shape = entry["name"], tuple(entry["shape"])
        if "quantization" in entry or entry["dtype"] not in DTYPES:
            raise ValueError(f"the weight {name!r} is quantized, or {entry['dtype']}")
        dtype = np.dtype(DTYPES[entry["dtype"]])
        end = start + math.prod(shape) * dtype.itemsize
        if end > len(content):
            raise ValueError(f"the shards end inside the weight {name!r}")
        found[name] = np.frombuffer(content[start:end], dtype).reshape(shape)
        start = end
    if start != len(content):
        raise ValueError(f"{len(content) - start} bytes of the shards belong to no weight")
    return found


def _shard(folder: Path, path: str) -> bytes:
    file = (folder / path).resolve()
    if file.parent != folder.resolve():
        raise ValueError(f"the shard {path!r} lies outside the model's folder")
    return file.read_bytes()
