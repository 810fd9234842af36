"""Programs that run in several processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def torchrun(*words: str, cwd: Path, count: int = 2) -> subprocess.CompletedProcess[str]:
    """Run a Python program in several processes."""
    program = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    program += [f"--nproc-per-node={count}"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [*program, *words], cwd=cwd, env=environment, capture_output=True, text=True, timeout=240
    )
