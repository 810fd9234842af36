"""Whole networks: what is predicted beside what was measured in public."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from sparqc.declared.gpus import gpu
from sparqc.predict.witness import SeenKernel
from sparqc.predict.witnesses import witness

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks" / "engines"


@pytest.fixture(scope="module")
def script():
    """The benchmark; its folder is where its modules are found."""
    sys.path.insert(0, str(FOLDER))
    try:
        import times

        yield times
    finally:
        sys.path.remove(str(FOLDER))
        for name in ("times", "networks"):
            sys.modules.pop(name, None)


def test_times_are_within_15_percent_of_every_public_figure(script):
    assert len(script.CASES) == 8
    found = {case.name: script.off(case) for case in script.CASES}
    assert {name: off for name, off in found.items() if abs(off) > 0.15} == {}


def test_gains_from_2_4_are_those_that_were_published(script):
    found = {(gain.name, gain.batch): script.off(gain) for gain in script.GAINS}
    assert {name: off for name, off in found.items() if abs(off) > 0.1} == {}


@pytest.mark.parametrize("rows", ["CASES", "GAINS"])
def test_generations_say_how_far_off_they_are(script, rows):
    named = {"CASES": "ga100", "GAINS": "ga102"}[rows]
    of = [row for row in getattr(script, rows) if gpu(row.gpu).generation.name == named]
    said = gpu(of[0].gpu).generation.constants.off
    worst = max(abs(script.off(row)) for row in of)
    assert f"at most {100 * worst:.0f} % off" in said


def test_constants_are_found_again_from_layers_that_have_them(script, monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    from fit import fitted

    seen = witness("unet-resnet34-int8")
    kernels = []
    for side, channels, kernel in [(64, 64, 3), (32, 128, 3), (16, 256, 1), (64, 64, 1)]:
        rows = 32 * side**2
        operations, moved = 2 * rows * (channels * kernel) ** 2, 2 * rows * channels
        seconds = max(
            operations / (0.6 * seen.gpu.peak("i8")), moved / (0.5 * seen.gpu.bandwidth * 1e9)
        )
        made = SeenKernel("conv", channels, channels, rows, "int8", (kernel,) * 2, (1, 1))
        kernels.append(replace(made, dense_us=6 + 1e6 * seconds))
    error, peak, bandwidth = fitted(replace(seen, kernels=tuple(kernels)), "int8", False, 6)
    assert (peak, bandwidth) == (0.6, 0.5) and error < 1e-9
    assert fitted(replace(seen, kernels=()), "int8", False, 6) == ()
