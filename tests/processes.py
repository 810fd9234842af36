"""Programs that run in several processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def torchrun(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a Python program in two processes."""
    program = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [*program, *words], cwd=cwd, env=environment, capture_output=True, text=True, timeout=240
    )
