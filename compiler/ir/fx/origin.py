"""Where an FX node comes from in the user's model."""

from __future__ import annotations

import os
import re
from functools import lru_cache
from typing import Any

import torch

from sparqc.ir.graph import Origin

_FRAME = re.compile(r'File "([^"]+)", line (\d+)')
_TORCH = os.path.dirname(torch.__file__) + os.sep


def origin_of(meta: dict[str, Any]) -> Origin:
    """The innermost module and the innermost line of code that is not torch's own."""
    if "sparqc" in meta:
        origin: Origin = meta["sparqc"].origin
        return origin
    stack = list((meta.get("nn_module_stack") or {}).values())
    module = str(stack[-1][0]) if stack else ""
    return Origin(_plain(module), source_of(meta.get("stack_trace") or ""))


def _plain(module: str) -> str:
    """The path as the user writes it: strict export says "L['self'].layer1"."""
    return module.removeprefix("L['self']").removeprefix(".")


@lru_cache(maxsize=4096)
def source_of(trace: str) -> str:
    """The innermost line of a stack trace that the user wrote: "model.py:12", "" if none is."""
    for path, line in reversed(_FRAME.findall(trace)):
        if not path.startswith((_TORCH, "<")):
            return f"{os.path.basename(path)}:{line}"
    return ""
