"""`sparqc view` and `sparqc export-view`."""

from __future__ import annotations

import json
import shlex
import shutil
import webbrowser
from collections.abc import Callable
from pathlib import Path

import pytest

from sparqc.tools import cli
from tests import small_models

Ask = Callable[..., str]


@pytest.fixture(scope="module")
def dumped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("work")
    small_models.float_onnx(folder / "model.onnx")
    words = ["-o", str(folder / "out.onnx"), "--dump", str(folder / "run"), "--quiet"]
    assert cli.run(["compile", str(folder / "model.onnx"), "--passes", "float", *words]) == 0
    return folder / "run"


@pytest.fixture
def ask(
    dumped: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Ask:
    """`ask("view run")` in a folder with a run: what stdout says, or stderr where it fails."""
    shutil.copytree(dumped, tmp_path / "run")
    monkeypatch.chdir(tmp_path)

    def ask(line: str, code: int = 0) -> str:
        assert cli.run(shlex.split(line)) == code
        shown = capsys.readouterr()
        return shown.err if code else shown.out

    return ask


def test_the_page_is_opened(ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", lambda url: opened.append(url) or True)
    assert ask("view run") == ""
    assert opened == [(tmp_path / "run" / "report.html").as_uri()]


def test_where_the_page_lies_is_printed(ask: Ask, tmp_path: Path) -> None:
    assert ask("view run --no-open").strip() == str(tmp_path / "run" / "report.html")


def test_without_a_browser_it_is_printed_too(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webbrowser, "open", lambda url: False)
    assert "report.html" in ask("view run")


@pytest.mark.parametrize("command", ["view", "export-view --model-explorer"])
@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda run: (run / "run.json").unlink(), "no run.json"),
        (lambda run: (run / "run.json").write_text("{"), "no JSON"),
        (lambda run: (run / "run.json").write_text("[]"), "no JSON object"),
        (lambda run: (run / "run.json").write_text('{"schema": 99}'), "version 99"),
    ],
)
def test_what_is_no_run_is_said(
    ask: Ask, tmp_path: Path, command: str, spoil: Callable[[Path], None], said: str
) -> None:
    spoil(tmp_path / "run")
    assert said in ask(f"{command} run", code=2)


def test_a_run_without_its_page_says_so(ask: Ask, tmp_path: Path) -> None:
    (tmp_path / "run" / "report.html").unlink()
    assert "has no report.html" in ask("view run", code=2)


# -- model-explorer ----------------------------------------------------------------------------


def test_each_stage_is_a_graph(ask: Ask, tmp_path: Path) -> None:
    assert ask("export-view run --model-explorer -o view.json").strip() == "view.json"
    graphs = json.loads((tmp_path / "view.json").read_text())
    assert len(graphs) == len(list((tmp_path / "run" / "graphs").iterdir()))
    assert graphs[0]["id"] == "00 read (onnx)"


def test_edges_name_nodes_and_outputs(ask: Ask, tmp_path: Path) -> None:
    ask("export-view run --model-explorer")
    nodes = json.loads((tmp_path / "run" / "model-explorer.json").read_text())[0]["nodes"]
    by_id = {node["id"]: node for node in nodes}
    assert len(by_id) == len(nodes)
    assert {node["label"] for node in nodes} == {"input", "const", "nn.conv", "nn.relu", "output"}
    (conv,) = [node for node in nodes if node["label"] == "nn.conv"]
    assert [edge["sourceNodeId"] for edge in conv["incomingEdges"]] == ["x", "w"]
    for node in nodes:
        for edge in node["incomingEdges"]:
            outputs = [item["id"] for item in by_id[edge["sourceNodeId"]]["outputsMetadata"]]
            assert edge["sourceNodeOutputId"] in outputs


def test_a_viewer_has_to_be_named(ask: Ask) -> None:
    assert "--model-explorer" in ask("export-view run", code=2)


def test_a_graph_edited_by_hand_is_refused(ask: Ask, tmp_path: Path) -> None:
    (first,) = (tmp_path / "run" / "graphs").iterdir()
    file = first.with_name("01-mine.onnx.txt")
    lines = first.read_text().splitlines()
    place = next(i for i, line in enumerate(lines, 1) if " = nn.conv(" in line)
    lines[place - 1] = lines[place - 1].replace("(", "((")
    file.write_text("\n".join(lines) + "\n")
    said = ask("export-view run --model-explorer", code=2)
    assert f"{file.name}:{place}:" in said and "^" in said
    assert not (tmp_path / "run" / "model-explorer.json").exists()
