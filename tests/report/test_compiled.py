"""What `sparqc.compile` gives: a page on paper, a page in a notebook, and answers."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

import onnx
import pytest
import torch
from torch import nn

import sparqc
from sparqc.report import reading
from sparqc.report.text import render
from sparqc.tools import cli
from sparqc.tools.terminal.console import stdout_console


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 32, 3, padding=1)
        self.bn = nn.BatchNorm2d(32)
        self.block = nn.Sequential(nn.Conv2d(32, 32, 3, padding=1), nn.ReLU())
        self.head = nn.Conv2d(32, 10, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.block(self.bn(self.stem(x)).relu()))


def net() -> tuple[nn.Module, torch.Tensor]:
    torch.manual_seed(0)
    return Net().eval(), torch.randn(4, 3, 12, 12)


@pytest.fixture(scope="module")
def compiled() -> sparqc.Compiled:
    module, x = net()
    return sparqc.compile(module, (x,), calibration=[(x,)], passes="all-sparse")


class Words(HTMLParser):
    """The text of a page, and its elements."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.text, self.elements = "", set[str]()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.elements.add(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_prompt_shows_one_line(compiled: sparqc.Compiled) -> None:
    for text in (repr(compiled), repr(compiled.report)):
        assert "\n" not in text and len(text) < 120
    assert repr(compiled.report).startswith("<Report on Net for tensorrt-11: 2 of 3 layers in INT8")


def test_a_report_as_text_is_the_page_of_the_terminal(
    compiled: sparqc.Compiled, capsys: pytest.CaptureFixture[str]
) -> None:
    render(compiled.report, stdout_console())
    assert str(compiled.report) == capsys.readouterr().out.rstrip("\n")


def test_a_report_says_what_the_command_line_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    module, x = net()
    sparqc.compile(module, (x,), passes="float").save("float.onnx")
    made = sparqc.compile("float.onnx", passes="sparse")
    made.save("out.onnx")
    assert cli.run(["compile", "float.onnx", "--passes", "sparse", "-o", "out.onnx"]) == 0
    printed = capsys.readouterr().out.splitlines()

    def same(lines: list[str]) -> list[str]:
        """All down to the checks, the files and the command: times are others."""
        stop = next(i for i, line in enumerate(lines) if line.startswith("  pass "))
        return [*lines[:stop], *(x for x in lines if x.startswith(("written", "size", "build")))]

    assert same(str(made.report).splitlines()) == same(printed)


def test_a_notebook_shows_the_same_words(compiled: sparqc.Compiled) -> None:
    page = Words(compiled.report._repr_html_())
    assert page.elements <= {"pre", "span"}
    for word in ("model     Net", "conv_1 (block.0)", "2:4", "nothing yet"):
        assert word in page.text


def test_names_are_text_in_a_notebook() -> None:
    module = nn.Sequential()
    module.add_module("<img src=x onerror=alert(1)>[bold]", nn.Linear(16, 16))
    made = sparqc.compile(module.eval(), (torch.randn(2, 16),), passes="float")
    page = Words(made.report._repr_html_())
    assert "img" not in page.elements
    assert "<img src=x" in page.text and "[bold]" in page.text and "[bold]" in str(made.report)


def test_layers_are_rows(compiled: sparqc.Compiled) -> None:
    stem, block, head = compiled.layers
    assert (stem.module, stem.int8, stem.sparse) == ("stem", True, False)
    assert "C % 16 == 0" in stem.dense_reason
    assert (block.title, block.int8, block.sparse) == ("conv_1 (block.0)", True, True)
    assert not head.int8 and "C or K below 16" in head.float_reason


def test_a_saved_file_stands_in_the_report(tmp_path: Path) -> None:
    module, x = net()
    made = sparqc.compile(module, (x,), passes="float")
    before = made.report
    assert before.files == () and before.build_line == ""
    assert before.sizes.file_bytes == made.model.ByteSize()
    assert before.sizes.float_bytes == sum(4 * p.numel() for p in module.parameters()) + 4 * 64
    made.save(tmp_path / "out.onnx")
    assert made.report.files == (tmp_path / "out.onnx",)
    assert f"--onnx={tmp_path}/out.onnx" in made.report.build_line
    assert "nothing yet" in str(before) and "nothing yet" not in str(made.report)


def test_nothing_is_reported_before_somebody_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    whole = reading.report_of

    def counted(result: object, account: reading.Account) -> sparqc.Report:
        asked.append(account.model)
        return whole(result, account)  # type: ignore[arg-type]

    monkeypatch.setattr(reading, "report_of", counted)
    module, x = net()
    made = sparqc.compile(module, (x,), passes="float")
    repr(made)
    assert asked == []
    assert made.report is made.report and made.layers and asked == ["Net"]


def test_why_tells_the_rules_the_figures_and_the_reasons(compiled: sparqc.Compiled) -> None:
    (stem,) = (s for s in compiled.why("stem") if s.name == "conv (stem)")
    assert [step.rule for step in stem.steps] == ["patterns/algebra/fold.spq:3 fold_batch_norm"]
    assert stem.module == "stem" and stem.source.startswith("test_compiled.py:")
    facts = {row.fact: row for row in stem.facts}
    assert facts["CalibratedRanges"].fields["channels"] == 32
    assert "C % 16 == 0" in facts["Pruning"].reason
    text = str(compiled.why("conv_2"))
    assert "int8 no, C or K below 16" in text and repr(compiled.why("conv_2")) == text


@pytest.mark.parametrize("word", ["conv_1", "block.0", "conv_1 (block.0)", "block*"])
def test_why_takes_all_names_of_a_layer(compiled: sparqc.Compiled, word: str) -> None:
    assert "conv_1 (block.0)" in [story.name for story in compiled.why(word)]


def test_why_suggests_a_name(compiled: sparqc.Compiled) -> None:
    with pytest.raises(sparqc.UsageError, match=r"no module 'blok\.0'\n.*did you mean 'block\.0'"):
        compiled.why("blok.0")


def test_why_asks_for_a_name(compiled: sparqc.Compiled) -> None:
    with pytest.raises(sparqc.UsageError, match="not a value of type int"):
        compiled.why(3)  # type: ignore[arg-type]


def test_a_report_on_a_file_that_is_gone(tmp_path: Path) -> None:
    module, x = net()
    made = sparqc.compile(module, (x,), passes="float")
    made.save(tmp_path / "out.onnx")
    (tmp_path / "out.onnx").unlink()
    assert made.report.sizes.file_bytes == made.model.ByteSize()


def test_outputs_of_integers_have_no_decibels() -> None:
    class Best(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.argmax(1)

    made = sparqc.compile(Best(), (torch.randn(2, 16),), passes="float")
    assert "dB" not in repr(made)
    same = sparqc.compile(nn.ReLU(), (torch.randn(2, 16),), passes="float")
    assert "equal outputs" in repr(same)


def test_a_model_is_called_by_its_file_its_graph_or_its_class(tmp_path: Path) -> None:
    module, x = net()
    made = sparqc.compile(module, (x,), passes="float")
    made.save(tmp_path / "m.onnx")
    proto = onnx.load(tmp_path / "m.onnx")
    proto.graph.name = "resnet"
    assert made.report.model == "Net"
    assert sparqc.compile(tmp_path / "m.onnx", passes="float").report.model.endswith("m.onnx")
    assert sparqc.compile(proto, passes="float").report.model == "resnet"


def test_a_finished_module_has_a_report_too(tmp_path: Path) -> None:
    module, x = net()
    prepared = sparqc.prepare(module, (x,), calibration=[(x,)], passes="int8")
    done = sparqc.finish(prepared, tmp_path / "out.onnx")
    assert [row.name for row in done.report.passes][:1] == ["export"]
    assert [row.int8 for row in done.layers] == [True, True, False]
