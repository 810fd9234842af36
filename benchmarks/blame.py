"""`bisect` and `reduce` on ResNet-50 with two faults that are planted in the preset `default`.

    python benchmarks/blame.py

A rule whose guard was taken out, and one scale that is a factor too large.  For each: what `bisect`
named, after how many compiles, and how many operators `reduce` left.  Bad is what has less signal
to noise than halfway between the preset without the fault and with it.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

MODEL = Path(__file__).with_name("resnet50_model.py").resolve()

#: "Of what is never below 0" was its guard.
RULE = """
rule drop_relu on fx, onnx preserves lossy:
    "A ReLU of what is never below 0 is none."
    match:
        y = nn.relu(nn.add(a, b))
    rewrite:
        y = nn.add(a, b)
"""

SCALE = """
from sparqc.passes.calibrate import calibrate

right = calibrate._Group.set

def wrong(self, amax, **how):
    return right(self, amax * ({factor} if self.scale.name == "{name}" else 1), **how)

calibrate._Group.set = wrong
"""


@dataclass(frozen=True)
class Fault:
    """One that is planted: what the command line says for it, and the files that it names."""

    title: str
    words: tuple[str, ...]
    files: dict[str, str] = field(default_factory=dict)


def main() -> None:
    """Plant, search, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--passes", default="default")
    parser.add_argument("--factor", type=float, default=2.0, help="of the scale that is wrong")
    parser.add_argument("--scale", default="max_pool.scale", help="the one that is wrong")
    wishes = parser.parse_args()
    plant = SCALE.format(factor=wishes.factor, name=wishes.scale)
    faults = (
        Fault("a rule without its guard",
              ("--passes", f"{wishes.passes},+wrong@after=fold", "--patterns", "wrong.spq"),
              {"wrong.spq": RULE}),
        Fault(f"{wishes.scale} times {wishes.factor:g}",
              ("--passes", wishes.passes, "--import", "plant.py"),
              {"plant.py": plant}),
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        sound, _ = compiled(Path(folder), "--passes", wishes.passes)
    for fault in faults:
        with tempfile.TemporaryDirectory() as folder:
            print("\n".join(searched(fault, sound, Path(folder))), flush=True)


def compiled(folder: Path, *words: str) -> tuple[float, float]:
    """Compile into `folder/run`; the outputs' dB, and the CPU seconds."""
    _, seconds = sparqc(
        ("compile", str(MODEL), "-o", "o.onnx", "--quiet", "--dump", "run", *words), folder
    )
    report = json.loads((folder / "run/run.json").read_text())["report"]
    return float(report["difference"]["snr_db"]), seconds


def searched(fault: Fault, sound: float, folder: Path) -> list[str]:
    """What was found, a line each."""
    for name, text in fault.files.items():
        (folder / name).write_text(text)
    faulty, seconds = compiled(folder, *fault.words)
    ask = ("run", "--json", "--min-snr", f"{(sound + faulty) / 2:.2f}")
    said, bisected = sparqc(("bisect", *ask), folder)
    found = json.loads(said)
    event = found["events"][0]
    named = event.get("rule") or f"{event.get('what', 'pass')} {event.get('name', '')}"
    lines = [
        f"{fault.title}, {sound:.2f} -> {faulty:.2f} dB: {event['pass']}: {named}",
        f"  bisect   {found['compiles']} compiles for {found['of']} steps, {bisected:.0f} s of "
        f"CPU time; the compile {seconds:.0f} s",
    ]
    said, reduced = sparqc(("reduce", *ask), folder)
    left: dict[str, Any] = json.loads(said)
    before, after = left["operators"]
    lines.append(
        f"  reduce   {after} of {before} operators left, {left['tried']} tries, {reduced:.0f} s"
    )
    return [*lines, *("    " + line for line in left["text"].splitlines())]


def sparqc(words: tuple[str, ...], folder: Path) -> tuple[str, float]:
    """What a command says, and its CPU seconds."""
    started = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-m", "sparqc.tools.cli", *words],
        cwd=folder, env=os.environ, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"sparqc {' '.join(words)}\n{done.stderr}")
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return done.stdout, used.ru_utime + used.ru_stime - started.ru_utime - started.ru_stime


if __name__ == "__main__":
    main()
