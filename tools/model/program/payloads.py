"""The weights and constants of a program in a file: plain numbers that lie where the file says."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from math import prod
from typing import Any

from torch._export.serde.serialize import _SERIALIZE_TO_TORCH_DTYPE

from sparqc.tools.model.program.refusal import Refusal, excerpt

_FILE = re.compile(r"(weight|tensor)_\d{1,9}")


def payload_files(text: bytes, size_of: Callable[[str], int]) -> list[str]:
    """The files that a list of weights or constants names; `size_of` gives their bytes.

    Raises:
        Refusal: for what would have to be unpickled, and for a tensor outside of its file.
    """
    files = []
    for name, payload in json.loads(text)["config"].items():
        file = payload["path_name"]
        if payload["use_pickle"] is not False or not _FILE.fullmatch(str(file)):
            raise Refusal(f"the pickled object {excerpt(name)}")
        if not name.isprintable() or set(name) & set("\"'\\"):
            raise Refusal(f"the name {excerpt(name)}, which is none of a parameter")
        _check_extent(name, payload["tensor_meta"], size_of(file))
        files.append(file)
    return list(dict.fromkeys(files))


def _check_extent(name: str, meta: dict[str, Any], size: int) -> None:
    """The elements that shape, strides and offset reach have to be in the file."""
    shape = [_number(entry) for entry in meta["sizes"]]
    strides = [_number(entry) for entry in meta["strides"]]
    reach = _number(meta["storage_offset"])
    if len(shape) != len(strides):
        raise Refusal(f"the weight {excerpt(name)}, whose strides do not fit its shape")
    if prod(shape):
        reach += 1 + sum((n - 1) * step for n, step in zip(shape, strides, strict=True))
        if reach * _SERIALIZE_TO_TORCH_DTYPE[meta["dtype"]].itemsize > size:
            raise Refusal(f"the weight {excerpt(name)}, which is larger than its data")


def _number(entry: Any) -> int:
    number = entry["as_int"]
    if type(number) is not int or not 0 <= number < 1 << 48:
        raise Refusal(f"the size {excerpt(number)} of a weight")
    return number
