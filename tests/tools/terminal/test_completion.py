"""What a Tab completes, asked for as a shell asks: `_SPARQC_COMPLETE=bash_complete`."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from click.shell_completion import ShellComplete

from sparqc.declared.knobs import knobs
from sparqc.declared.targets import profiles
from sparqc.lang.ast import RuleDecl
from sparqc.lang.check.file_name import pass_name
from sparqc.pipeline.catalogue import passes
from sparqc.pipeline.installed import installed
from sparqc.pipeline.presets import presets
from sparqc.tools import cli
from sparqc.tools.terminal import completion

Tab = Callable[[str], list[str]]


@pytest.fixture
def tab(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Tab:
    """`tab("compile --targ")`: what bash is told of the last word, `type,word` each."""

    def tab(line: str) -> list[str]:
        words = ["sparqc", *line.split(" ")]
        monkeypatch.setenv("_SPARQC_COMPLETE", "bash_complete")
        monkeypatch.setenv("COMP_WORDS", " ".join(words))
        monkeypatch.setenv("COMP_CWORD", str(len(words) - 1))
        with pytest.raises(SystemExit):
            cli.run([])
        shown = capsys.readouterr()
        assert shown.err == ""
        return [line for line in shown.out.splitlines() if line]

    return tab


def plain(words: object) -> list[str]:
    return [f"plain,{word}" for word in sorted(words)]  # type: ignore[call-overload]


def test_commands_and_options(tab: Tab) -> None:
    assert tab("ch") == ["plain,check"]
    assert len(tab("")) == len(cli.COMMANDS)
    assert tab("check m.onnx --form") == ["plain,--format"]
    assert tab("check m.onnx --format s") == ["plain,sarif"]


def test_targets(tab: Tab) -> None:
    every = plain(profiles())
    assert tab("compile model.py --target ") == every
    assert tab("check m.onnx --target tensorrt-8") == ["plain,tensorrt-8.6"]
    assert tab("targets ") == tab("rules list --target ") == every
    assert "plain,tensorrt-rtx" in tab("build m.onnx --target ")


def test_a_pipeline_is_completed_word_by_word(tab: Tab) -> None:
    assert tab("compile model.py --passes int8-a") == ["plain,int8-accurate"]
    assert tab("compile model.py --passes default,-pru") == ["plain,default,-prune"]
    assert tab("compile model.py --passes default,+half@instead=ha") == [
        "plain,default,+half@instead=half"
    ]
    assert tab("replay run --passes repeat(clea") == ["plain,repeat(cleanup"]
    assert tab("compile model.py --passes none-of-these") == []


def test_knobs_with_their_values(tab: Tab) -> None:
    found = tab("compile model.py --knob ")
    assert {word.partition("=")[0] for word in found} == {f"plain,{name}" for name in knobs()}
    assert tab("compile model.py --knob attention=i") == ["plain,attention=int8"]


def own_passes() -> set[str]:
    """What is installed; tests of this process have read passes of others, too."""
    python = {n for n, kind in passes().items() if kind.__module__.startswith("sparqc.passes.")}
    ruled = (f for f in installed() if any(isinstance(d, RuleDecl) for d in f.declarations))
    return python | {pass_name(file) for file in ruled}


def test_passes_and_what_pattern_files_declare(tab: Tab) -> None:
    assert tab("passes ") == plain({*own_passes(), *presets()})
    assert "plain,conv_add_act" in tab("whynot model.py conv_")
    assert "plain,fold_batch_norm" in tab("rules show fold_batch")
    assert {"plain,prune"} == set(tab("compile model.py --skip pru"))


def test_the_other_words(tab: Tab) -> None:
    assert tab("check m.onnx --gpu a4") == ["plain,a40"]
    assert tab("compile model.py --float ") == ["plain,fp16", "plain,fp32"]
    assert tab("witnesses mobilenet-v2-qat-") == ["plain,mobilenet-v2-qat-residuals"]
    assert tab("compile mod") == ["file,mod"] and tab("bisect ru") == ["dir,ru"]
    assert tab("check m") == ["file,m"]


def test_what_is_read_off_the_texts_is_what_there_is() -> None:
    names = {declaration.name for file in installed() for declaration in file.declarations}
    context = click.Context(click.Command("none"))
    assert {name for name, _ in completion.pass_names()} == own_passes()
    assert {name for name, _ in completion._declared(context)} == names


def test_declarations_of_a_file_of_ones_own(tab: Tab, tmp_path: Path) -> None:
    own = tmp_path / "mine.spq"
    own.write_text('rule my_rule on onnx preserves exact:\n    "Mine."\n')
    assert tab(f"rules show --patterns {own} my") == ["plain,my_rule"]
    own.unlink()
    assert tab(f"rules show --patterns {own} fold_batch") == []


def test_a_tab_runs_no_code_of_a_persons(tab: Tab, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text("raise SystemExit('it ran')\n")
    assert "plain,--json" in tab(f"check --import {tmp_path}/own.py --js")


@pytest.mark.parametrize("line", ["compile m.py --passes ", "whynot m.py ", "compile m.py --knob "])
def test_a_tab_does_not_wait_for_torch(line: str) -> None:
    words = ["sparqc", *line.split(" ")]
    program = (
        "import os, sys\n"
        f"os.environ |= {{'_SPARQC_COMPLETE': 'fish_complete', 'COMP_WORDS': {line!r}}}\n"
        f"os.environ['COMP_WORDS'] = {' '.join(words)!r}; os.environ['COMP_CWORD'] = ''\n"
        "from sparqc.tools.cli import run\n"
        "try:\n    run([])\n"
        "finally:\n    assert 'torch' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0 and len(done.stdout.splitlines()) > 10, done.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_its_script(
    shell: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("_SPARQC_COMPLETE", f"{shell}_source")
    monkeypatch.setattr(ShellComplete, "_check_version", lambda self: None, raising=False)
    with pytest.raises(SystemExit):
        cli.run([])
    assert f"_SPARQC_COMPLETE={shell}_complete" in capsys.readouterr().out


def test_operators_and_natives(tab: Tab) -> None:
    assert tab("ops nn.cli") == ["plain,nn.clip"]
    assert tab("natives div") == ["plain,divides"]
