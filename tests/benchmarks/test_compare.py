"""Settings of quantizers are chosen on one part of the data, and reported on the other."""

import sys
from pathlib import Path

import numpy as np
import pytest

HERE = Path(__file__).resolve().parents[2] / "benchmarks" / "quantizers"


@pytest.fixture(autouse=True)
def beside(monkeypatch):
    """The modules of the folder are found by name, as for its scripts."""
    known = list(sys.path), set(sys.modules)
    monkeypatch.syspath_prepend(str(HERE))
    yield
    sys.path[:] = known[0]
    for name in set(sys.modules) - known[1]:
        if str(getattr(sys.modules[name], "__file__", None) or "").startswith(str(HERE.parent)):
            del sys.modules[name]


@pytest.fixture
def exchange(tmp_path):
    """Four inputs of four sources; the outputs are right for the first two, within one place."""
    folder = tmp_path / "resnet50"
    folder.mkdir()
    np.save(folder / "reference.npy", np.eye(4, dtype=np.float32))
    labels = np.array([0.0, 1.4, 0.0, 0.0])
    np.savez(folder / "right.npz", labels=labels, sources=np.arange(4), tolerance=0.5)
    return folder


def test_figures_are_of_one_part_alone(exchange):
    from compare import CHOICE, REPORT, figures

    outputs = np.eye(4, dtype=np.float32)
    outputs[3] = [0, 1, 0, 0]  # an odd source
    assert figures(exchange, outputs, CHOICE).decibels == np.inf
    found = figures(exchange, outputs, REPORT)
    assert found.decibels == pytest.approx(0)  # a noise of 2 on a signal of 2
    assert (found.agreement, found.right) == (50, 50)


def test_the_setting_is_chosen_on_the_other_part(exchange, tmp_path):
    from compare import row, table
    from tool_list import TOOLS

    (other,) = (tool for tool in TOOLS if tool.name == "torchao")
    (own,) = (tool for tool in TOOLS if tool.name == "sparqc")
    rows = []
    for tool, setting, noise in (
        (other, "lucky", (0.5, 0.1)),
        (other, "chosen", (0.1, 0.5)),
        (own, "auto", (0.2, 0.2)),
    ):
        outputs = np.eye(4, dtype=np.float32)
        outputs += np.float32(noise)[np.arange(4) % 2][:, None]
        logits = tmp_path / f"{setting}.npy"
        np.save(logits, outputs)
        rows.append(row(tool, setting, exchange, logits))
    lines = list(table(rows, exchange))
    assert any("**chosen**" in line for line in lines) and not any("**lucky" in x for x in lines)
    assert "+7.96 dB" in lines[-1]  # 20 log10(0.5 / 0.2)
