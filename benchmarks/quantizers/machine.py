"""The machine that figures are from."""

from __future__ import annotations

import os
import platform
from pathlib import Path


def machine() -> str:
    """Processor and cores, such as "Intel(R) Xeon(R), 4 cores, of which this run may use 2"."""
    cores, usable = os.cpu_count() or 1, len(os.sched_getaffinity(0))
    share = f", of which this run may use {usable}" if usable < cores else ""
    return f"{_processor()}, {cores} cores{share}"


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    for line in info.read_text().splitlines() if info.exists() else ():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
