"""The kernels of a real engine, from any listing that a compiler or sparqc writes."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sparqc.base.reading import damaged, read_text
from sparqc.errors import SparqcError, UsageError
from sparqc.tools.engine.inspector import parse_inspector
from sparqc.tools.engine.kernel import EngineTensor, Kernel
from sparqc.tools.engine.rtx_listing import parse_listing

_KINDS = (
    "give the JSON of `trtexec --exportLayerInfo` or of the engine inspector, the JSON of "
    "`sparqc build --json`, or the verbose log of TensorRT-RTX"
)


def read_listing(path: Path) -> tuple[Kernel, ...]:
    """The kernels in a file, in order of execution.

    Raises:
        UsageError: there is no such file.
        SparqcError: it holds no listing, or one of a refused build.
    """
    text = _text(path)
    if re.search(r"^Name: ", text, re.MULTILINE):
        return parse_listing(text)
    data = _json(text, path)
    kernels = _reported(data["kernels"], path) if "kernels" in data else parse_inspector(text)
    if not kernels:
        raise SparqcError(f"'{path}' lists no kernels", hint=_KINDS)
    return kernels


def _text(path: Path) -> str:
    if not path.is_file():
        raise UsageError(f"there is no file '{path}'")
    return read_text(path)


def _json(text: str, path: Path) -> Mapping[str, Any]:
    with damaged(f"'{path}'", hint=_KINDS):
        data = json.loads(text)
    if not isinstance(data, dict) or not {"kernels", "Layers"} & set(data):
        raise SparqcError(f"'{path}' lists no kernels", hint=_KINDS)
    return data


def _reported(kernels: Any, path: Path) -> tuple[Kernel, ...]:
    """The kernels of `sparqc build --json`."""
    with damaged(f"'{path}' is no report of `sparqc build --json`: it", hint=_KINDS):
        return tuple(map(_kernel, kernels))


def _kernel(data: Mapping[str, Any]) -> Kernel:
    inputs, outputs, constants = (_tensors(data[k]) for k in ("inputs", "outputs", "constants"))
    return Kernel(
        name=str(data["name"]),
        layer_type=str(data["layer_type"]),
        inputs=inputs,
        outputs=outputs,
        constants=constants,
        nodes=tuple(map(str, data["nodes"])),
        tactic=str(data["tactic"]),
        sparse=data["sparse"],
    )


def _tensors(tensors: Any) -> tuple[EngineTensor, ...]:
    return tuple(
        EngineTensor(str(t["name"]), tuple(map(int, t["dims"])), str(t["dtype"])) for t in tensors
    )
