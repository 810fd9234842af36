"""The Python code of pages that are not tested elsewhere runs from top to bottom."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import sparqc
import sparqc.extend
from sparqc.pipeline import registry
from tests.test_rooms import ROOT


@pytest.fixture(autouse=True)
def own_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Passes that a page registers are gone afterwards."""
    monkeypatch.setattr(registry, "_passes", dict(sparqc.extend.passes()))


def run_page(page: str, given: dict[str, Any]) -> dict[str, Any]:
    """What the code of a page defines, beside the names that it takes for granted."""
    text = (ROOT / "docs" / page).read_text()
    names = {"__name__": page.removesuffix(".md"), **given}
    for block in re.finditer(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        first = text.count("\n", 0, block.start(1))
        exec(compile("\n" * first + block.group(1), page, "exec"), names)
    return names


def model() -> dict[str, Any]:
    """A convolution with a bias of zeros, and data for it."""
    convolution = nn.Conv2d(4, 4, 1)
    nn.init.zeros_(convolution.bias)
    x = torch.linspace(-1, 1, 256).reshape(1, 4, 8, 8)
    return {
        "model": nn.Sequential(convolution, nn.ReLU()).eval(),
        "inputs": (x,),
        "batches": lambda: [(x,)],
    }


def test_the_passes_page() -> None:
    names = run_page("passes.md", model())
    assert "drop-zero-bias" in str(names["compiled"].pipeline)
    assert names["graph"].value("y").producer.operands["b"] is None


def test_the_page_on_the_predicted_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    given = model()
    sparqc.compile(given["model"], given["inputs"], passes="float").save("model.onnx")
    engine = run_page("explain.md", {})["engine"]
    (row,) = engine.ledger
    assert capsys.readouterr().out.splitlines()[1:] == [f"{row.value} {row.int8_in.reason}"]
