"""A rule of a person's own that fired nowhere says in the report what it nearly matched."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sparqc.tools import cli
from tests import small_models

MINE = """
rule mine on fx, onnx preserves exact:
    "Two Relus are one."
    match:
        y = nn.relu(nn.relu(x))
    rewrite:
        y = nn.relu(x)

rule rare on fx, onnx preserves exact:
    "A Softmax of nothing."
    match:
        y = nn.softmax(nn.neg(x))
    rewrite:
        y = nn.softmax(x)
"""


def compiled(
    folder: Path, capsys: pytest.CaptureFixture[str], model: str = small_models.MODEL, *words: str
) -> str:
    (folder / "model.py").write_text(model)
    # Its pass has the name of the file, and one process knows one pass of a name.
    own = folder / f"{folder.name}.spq"
    own.write_text(MINE.lstrip())
    paths = [str(folder / "model.py"), "--patterns", str(own)]
    line = ["compile", *paths, "-o", str(folder / "o.onnx"), "--passes", "fold,export", *words]
    assert cli.run(line) == 0
    return capsys.readouterr().out


def test_the_report_names_the_nearest_operator_and_the_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = " ".join(compiled(tmp_path, capsys).split())
    assert "unfired the rule mine fired nowhere; nearest relu" in text
    assert "not from nn.relu" in text and ".spq:4:21" in text.replace(" ", "")
    assert "the rule rare fired nowhere: it looks for nn.softmax, and the graph has none" in text
    assert "fold_batch_norm" not in text  # a shipped rule


def test_the_json_has_them_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = json.loads(compiled(tmp_path, capsys, small_models.MODEL, "--json"))["unfired_rules"]
    assert [miss["rule"] for miss in told] == ["mine", "rare"]
    assert told[0]["line"].endswith(".spq:4:21") and told[1]["node"] == ""


def test_a_rule_that_fired_is_not_among_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    twice = small_models.MODEL.replace("torch.relu(self.conv2(y) + x)", "torch.relu(torch.relu(y))")
    told = json.loads(compiled(tmp_path, capsys, twice, "--json"))["unfired_rules"]
    assert [miss["rule"] for miss in told] == ["rare"]
