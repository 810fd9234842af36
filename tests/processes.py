"""Programs that run in several processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import NoReturn


def torchrun(*words: str, cwd: Path, count: int = 2) -> subprocess.CompletedProcess[str]:
    """Run a Python program in several processes; it may import from `tests`."""
    program = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    program += [f"--nproc-per-node={count}"]
    root = str(Path(__file__).parent.parent)
    path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path}
    return subprocess.run(
        [*program, *words], cwd=cwd, env=environment, capture_output=True, text=True, timeout=240
    )


def leave() -> NoReturn:
    """End a program whose work is done, without the end of the interpreter.

    The threads of a process group outlive `destroy_process_group` where a DeviceMesh has it, and
    about once in fifty runs one of them aborts the interpreter as it ends ("terminate called
    without an active exception", torch 2.13).
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
