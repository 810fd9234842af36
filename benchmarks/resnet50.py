"""What compiling ResNet-50 costs: CPU time, peak memory, and the share of sparqc's own passes.

    python benchmarks/resnet50.py

Eight images of 224x224 and as many for calibration, seeded weights.  The whole process is counted:
imports, capture, passes, export, the checks of the result, and writing the file.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click

HERE = Path(__file__).parent
#: Passes whose time is the framework's own, as opposed to running the network or exporting it.
OWN = ("fold", "place", "surgery", "check", "cleanup")


@click.command()
@click.option("--passes", default="default", show_default=True)
@click.option("--runs", default=3, show_default=True, help="How often; the median is printed.")
def main(passes: str, runs: int) -> None:
    """Compile benchmarks/resnet50_model.py in a process of its own and print what it took."""
    figures = sorted((measure(passes) for _ in range(runs)), key=lambda f: f["cpu"])
    middle = figures[len(figures) // 2]
    click.echo(f"CPU time, whole process   {middle['cpu']:.2f} s  (median of {runs})")
    click.echo(f"on the clock              {middle['wall']:.2f} s")
    click.echo(f"peak memory               {middle['peak_mb'] / 1000:.2f} GB")
    own = sum(middle["passes"].get(name, 0.0) for name in OWN)
    click.echo(f"sparqc's own passes       {own:.2f} s, {100 * own / middle['cpu']:.1f} %")
    for name, seconds in middle["passes"].items():
        click.echo(f"  {name:<12} {seconds:6.2f} s")


def measure(passes: str) -> dict:
    """One compile in a new process."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable, "-m", "sparqc.tools.cli", "compile", str(HERE / "resnet50_model.py"),
            "--passes", passes, "--json", "-o", str(Path(folder) / "resnet50.onnx"),
        ]  # fmt: skip
        started = time.perf_counter()
        # wait4 of this very child gives its own peak, whatever ran before.
        process = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert process.stdout is not None
        text = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        if status:
            raise click.ClickException("the compile failed; its message stands above")
    report = json.loads(text)
    return {
        "cpu": usage.ru_utime + usage.ru_stime,
        "wall": time.perf_counter() - started,
        "peak_mb": usage.ru_maxrss / 1000,
        "passes": {p["name"]: p["cpu_seconds"] for p in report["passes"]},
    }


if __name__ == "__main__":
    main()
