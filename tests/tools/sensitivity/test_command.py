"""`sparqc sensitivity` on the command line: the table, the budget, the file, the picture."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from sparqc.job.options import Options
from sparqc.job.result import Result
from sparqc.job.run import run_job
from sparqc.passes.masks.pruning import Pruning
from sparqc.passes.place.placement import Placement
from sparqc.tools import cli
from sparqc.tools.model.open_request import open_request
from sparqc.tools.model.request import Request
from tests.sensitive_models import EVALUATE, model_file, onnx_file

#: Measure layers as sparse that are too small to win by it, against floats in FP32, beside which
#: small layers gain most.
ALL_SPARSE = ["--passes", "all-sparse", "--float", "fp32"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model, measured with a budget: choice.toml, choice.svg."""
    folder = tmp_path_factory.mktemp("sensitivity")
    path = model_file(folder)
    words = ["--budget", "0.5dB", "-o", str(folder / "choice.toml"), "--batches", "2"]
    words += ["--plot", str(folder / "choice.svg"), "--batch", "64", "--gpu", "a40"]
    assert cli.run(["sensitivity", str(path), *words, *ALL_SPARSE]) == 0
    return folder


def tables(path: Path) -> dict[str, dict[str, Any]]:
    return {t["module"]: t for t in tomllib.loads(path.read_text())["layer"]}


def compiled(folder: Path, layers: Path) -> Result:
    request = Request(str(folder / "model.py"), Options(layers=layers))
    return run_job(open_request(request).job)


def errors(capsys: pytest.CaptureFixture[str], *words: str, code: int) -> str:
    assert cli.run(["sensitivity", *words]) == code
    return capsys.readouterr().err


def test_the_file_has_a_table_for_each_layer_in_the_order_of_the_network(folder: Path) -> None:
    found = tables(folder / "choice.toml")
    assert list(found) == ["stem", "quiet", "loud", "full", "head"]
    assert found["full"]["snr_db"].keys() == {"int8", "sparse", "sparse-int8"}
    assert found["full"]["keep"] == "int8", "2:4 takes half of its weights"
    assert found["loud"]["extra_us"]["float"] > 0


def test_compile_keeps_the_layers_as_the_file_says(folder: Path, tmp_path: Path) -> None:
    wanted = {"stem": "float", "quiet": "int8", "loud": "sparse-int8", "full": "int8"}
    text = (folder / "choice.toml").read_text()
    lines, module = [], ""
    for line in text.splitlines():
        if line.startswith("module"):
            module = line.split('"')[1]
        keep = f'keep = "{wanted[module]}"' if module in wanted else line
        lines.append(keep if line.startswith("keep") else line)
    edited = tmp_path / "edited.toml"
    edited.write_text("\n".join(lines))
    facts = compiled(folder, edited).context.facts
    int8 = {row.module: row.int8 for row in facts[Placement].layers if row.weight}
    sparse = {mask.module for mask in facts[Pruning].masks.values()}
    assert {n: int8[n] for n in wanted} == {n: k != "float" for n, k in wanted.items()}
    assert sparse & set(wanted) == {"loud"}


def test_the_choice_that_was_written_compiles_to_just_that(folder: Path) -> None:
    found = tables(folder / "choice.toml")
    facts = compiled(folder, folder / "choice.toml").context.facts
    int8 = {row.module for row in facts[Placement].layers if row.int8 and row.weight}
    assert int8 == {n for n, t in found.items() if "int8" in t["keep"]}
    sparse = {mask.module for mask in facts[Pruning].masks.values()}
    assert sparse == {n for n, t in found.items() if "sparse" in t["keep"]}


def test_the_picture_shows_the_choice_with_units(folder: Path) -> None:
    root = ElementTree.fromstring((folder / "choice.svg").read_text())
    texts = {e.text for e in root.iter("{http://www.w3.org/2000/svg}text")}
    assert {"planned", "chosen", "budget: 0.5 dB", "signal to noise of the outputs, dB"} <= texts
    assert any(t and t.endswith("(64x16x8x8) on A40, µs") for t in texts)
    for circle in root.iter("{http://www.w3.org/2000/svg}circle"):
        assert 0 < float(circle.get("cx", "0")) < 760 and 0 < float(circle.get("cy", "0")) < 460


def test_json_says_all_of_it_and_a_budget_is_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = model_file(tmp_path, evaluate=EVALUATE)
    page = tmp_path / "choice.html"
    words = ["--metric", "error", "--lower-is-better", "--budget", "0.001", "--plot", str(page)]
    words += ["--batch", "16384"]  # else launches decide, and a float layer without a Q is as fast
    assert cli.run(["sensitivity", str(path), *words, "--json", *ALL_SPARSE]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["metric"] == "error" and data["float"] < 1e-6
    assert data["together"]["planned"]["loss"] > 0.001, "else there is nothing to choose"
    assert data["together"]["dense INT8"]["loss"] > 0.001, "dense INT8 is not enough"
    assert data["budget"]["reached"] is True
    chosen = data["together"]["chosen"]
    assert chosen["loss"] <= 0.001
    keeps = {layer["module"]: layer["keep"] for layer in data["layers"]}
    assert keeps["loud"] == "float" and keeps["full"] == "int8"
    times = [choice["predicted_us"] for choice in data["path"]]
    assert times == sorted(times) and len(times) > 2
    assert times[0] < chosen["predicted_us"] < times[-1]
    assert page.read_text().startswith("<!doctype html>")


def test_an_onnx_file_is_measured_and_written_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "layers.toml"
    words = [str(onnx_file(tmp_path)), "--random-calibration", "-o", str(output)]
    assert cli.run(["sensitivity", *words, *ALL_SPARSE]) == 0
    text = capsys.readouterr().out
    assert "calibrated on noise" in text and "conv2" in text
    assert [t["value"] for t in tomllib.loads(output.read_text())["layer"]] == ["c1", "c2"]
    request = Request(words[0], Options(random_calibration=True, layers=output))
    facts = run_job(open_request(request).job).context.facts
    assert set(facts[Pruning].masks) == {"c1", "c2"}


def test_the_table_ranks_the_layers_by_their_loss(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [str(folder / "model.py"), "--batches", "1", *ALL_SPARSE]
    assert cli.run(["sensitivity", *words]) == 0
    lines = capsys.readouterr().out.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("layer"))
    assert {line.split()[1] for line in lines[start + 1 : start + 3]} == {"(full)", "(loud)"}
    assert "about" in lines[2] and "in float" in lines[2]


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--budget", "-1"], "a budget is not negative"),
        (["--budget", "much"], "this is no amount"),
        (["--budget", "0.5"], "give dB: --budget 0.5dB"),
        (["--metric", "top-1"], "the model offers no evaluate()"),
        (["--metric", "snr", "--lower-is-better"], "higher is better"),
        (["--plot", "x.pdf"], "neither .svg nor .html"),
        (["--gpu", "a41"], "nothing is known of a GPU 'a41'"),
        (["-o", "nowhere/layers.toml"], "there is no folder nowhere"),
        (["--dense", "lyer9"], "--dense lyer9: no operator of the graph is meant"),
    ],
)
def test_wrong_wishes(
    words: list[str], text: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert text in errors(capsys, str(folder / "model.py"), *words, code=2)


def test_db_are_no_points_of_a_metric(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = model_file(tmp_path, evaluate=EVALUATE)
    text = errors(capsys, str(path), "--budget", "1dB", code=2)
    assert "the metric is 'agreement'" in text and "--metric snr" in text


def test_layers_that_a_person_excludes_are_in_the_file_too(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "layers.toml"
    words = [str(folder / "model.py"), "--exclude", "head", "--dense", "quiet", "-o", str(output)]
    assert cli.run(["sensitivity", *words, "--batches", "1", *ALL_SPARSE]) == 0
    assert "head" not in capsys.readouterr().out
    keeps = {module: table["keep"] for module, table in tables(output).items()}
    assert keeps == {
        "stem": "sparse-int8",
        "quiet": "int8",
        "loud": "sparse-int8",
        "full": "sparse-int8",
        "head": "float",
    }
    pruning = compiled(folder, output).context.facts[Pruning]
    assert pruning.masks.keys() == {
        "conv",
        "conv_2",
        "conv_3",
    }


def test_a_budget_that_cannot_be_reached_says_by_how_much(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tired = "\nCALLS = []\n\ndef evaluate(run):\n    CALLS.append(1)\n"
    tired += "    return {'top-1': 90.0 - 20 * (len(CALLS) > 1)}\n"
    path = model_file(tmp_path, evaluate=tired)
    assert cli.run(["sensitivity", str(path), "--budget", "5"]) == 0
    text = capsys.readouterr().out
    assert "the budget of 5 points (85) cannot be reached: the best choice misses it by 15" in text
