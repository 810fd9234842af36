"""Reads the times of kernels: the JSON of `trtexec --exportProfile`, or of trt-engine-explorer.

A list of `{"name": ..., "averageMs": ..., "medianMs": ...}`, one for each kernel and in order of
execution; the first entry, `{"count": n}`, says over how many runs.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from sparqc.base.reading import damaged, read_text
from sparqc.errors import SparqcError, UsageError
from sparqc.tools.engine.kernel import Kernel

_KINDS = "give the JSON of `trtexec --exportProfile`"


def read_profile(path: Path) -> tuple[tuple[str, float], ...]:
    """The name of each kernel and its time in microseconds, in order of execution.

    The median where there is one: other programs on the GPU move the average.

    Raises:
        UsageError: there is no such file.
        SparqcError: it holds no times.
    """
    if not path.is_file():
        raise UsageError(f"there is no file '{path}'")
    with damaged(f"'{path}'", hint=_KINDS):
        entries = json.loads(read_text(path))
        times = tuple(_time(e) for e in entries if "name" in e)
    if not times:
        raise SparqcError(f"'{path}' holds no times of kernels", hint=_KINDS)
    return times


def _time(entry: Mapping[str, Any]) -> tuple[str, float]:
    milliseconds = float(entry.get("medianMs", entry.get("averageMs")))
    if not 0 <= milliseconds < math.inf:
        raise ValueError(f"{entry['name']!r} takes {milliseconds} ms")
    return str(entry["name"]), 1e3 * milliseconds


def timed(kernels: Sequence[Kernel], times: Sequence[tuple[str, float]]) -> tuple[Kernel, ...]:
    """The kernels with their times; None stays where the profile has none.

    Several kernels of one name have theirs in order.

    Raises:
        SparqcError: no kernel has a time.
    """
    waiting: dict[str, deque[float]] = defaultdict(deque)
    for name, time in times:
        waiting[name].append(time)
    found = tuple(
        replace(k, time=waiting[k.name].popleft()) if waiting.get(k.name) else k for k in kernels
    )
    if not any(k.time is not None for k in found):
        raise SparqcError(
            "the profile times no kernel of the listing",
            hint="take both from one engine: `trtexec --exportLayerInfo=… --exportProfile=…`",
        )
    return found
