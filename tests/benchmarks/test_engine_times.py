"""Whole networks: what is predicted beside what was measured in public."""

import sys
from pathlib import Path

import pytest

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


def test_constants_are_found_again_from_layers_that_have_them(script, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    from fit import fitted

    from sparqc.predict.gpus import gpu

    on = gpu("a100-pcie-40gb")
    head = "layer,K,C,kernel,stride,output_side,epilogue,int8_dense_us"
    rows = [head]
    for side, channels, kernel in [(64, 64, 3), (32, 128, 3), (16, 256, 1), (64, 64, 1)]:
        pixels = 32 * side**2
        operations, moved = 2 * pixels * (channels * kernel) ** 2, 2 * pixels * channels
        seconds = max(operations / (0.6 * on.peak("i8")), moved / (0.5 * on.bandwidth * 1e9))
        rows.append(f"l,{channels},{channels},{kernel},1,{side},-,{6 + 1e6 * seconds}")
    path = tmp_path / "layers.csv"
    path.write_text("\n".join(rows))
    error, peak, bandwidth = fitted(path, "int8_dense", on, 32, 6)
    assert (peak, bandwidth) == (0.6, 0.5) and error < 1e-9
