"""The kernels of a real engine, from any listing that a compiler or sparqc writes."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sparqc.base.reading import damaged, read_text
from sparqc.errors import SparqcError, UsageError
from sparqc.tools.engine.kernel import EngineTensor, Kernel
from sparqc.tools.engine.listings.inspector import kernels_of, parse_inspector
from sparqc.tools.engine.listings.rtx_listing import parse_listing

_KINDS = (
    "give the JSON of `trtexec --exportLayerInfo` or of the engine inspector, the JSON of "
    "`sparqc build --json`, or the verbose log of TensorRT-RTX"
)


_LINE = re.compile(r"^Name: ", re.MULTILINE)
#: How the list of the engine inspector begins, and what stands between its entries.
_LAYERS = re.compile(r'\s*\{\s*"Layers"\s*:\s*\[\s*')
_BETWEEN = re.compile(r"[\s,]*")


@dataclass(frozen=True)
class Listing:
    """The kernels of an engine, in order of execution; `cut` where the file ends in the middle."""

    kernels: tuple[Kernel, ...]
    cut: bool = False
    #: The compiler with its version; "" where the listing does not say it, as most do not.
    compiler: str = ""
    #: Whether sparse kernels were allowed; None where it does not say that.
    sparsity: bool | None = None


def read_listing(path: Path) -> Listing:
    """The kernels in a file; of one that was cut those that stand there whole.

    Raises:
        UsageError: there is no such file.
        SparqcError: it holds no listing, or one of a refused build.
    """
    text = _text(path)
    if _LINE.search(text):
        return _log(text)
    layers = _whole_layers(text)
    found = _whole(text, path) if layers is None else Listing(kernels_of(layers), cut=True)
    if not found.kernels:
        raise SparqcError(f"'{path}' lists no kernels", hint=_KINDS)
    return found


def _whole(text: str, path: Path) -> Listing:
    data = _json(text, path)
    return _reported(data, path) if "kernels" in data else Listing(parse_inspector(text))


def _log(text: str) -> Listing:
    """The listing in a log; of one that was cut the last line is left out."""
    try:
        return Listing(parse_listing(text))
    except SparqcError:
        whole, _, last = text.rstrip().rpartition("\n")
        if not last.startswith("Name: ") or not _LINE.search(whole):
            raise
        return Listing(parse_listing(whole), cut=True)


def _whole_layers(text: str) -> list[Any] | None:
    """The layers in front of the place where an inspector's answer is cut or damaged; None of any
    other text, and where there are none."""
    start = _LAYERS.match(text)
    if start is None or _is_json(text):
        return None
    decoder, position, found = json.JSONDecoder(), start.end(), list[Any]()
    while True:
        try:
            layer, position = decoder.raw_decode(text, position)
        except (ValueError, RecursionError):
            return found or None
        found.append(layer)
        if (between := _BETWEEN.match(text, position)) is not None:
            position = between.end()


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


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


def _reported(data: Mapping[str, Any], path: Path) -> Listing:
    """What `sparqc build --json` says."""
    with damaged(f"'{path}' is no report of `sparqc build --json`: it", hint=_KINDS):
        allowed = data.get("sparsity", {}).get("enabled")
        return Listing(
            kernels=tuple(map(_kernel, data["kernels"])),
            compiler=str(data.get("compiler", "")),
            sparsity=allowed if isinstance(allowed, bool) else None,
        )


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
