"""The group of commands: help, versions, exit codes, and how an error reaches a person."""

import subprocess
import sys
from pathlib import Path

import click
import onnx.parser
import pytest

import sparqc
import sparqc.patterns
from sparqc.errors import SparqcError, UsageError
from sparqc.tools import cli


def run(*words: str) -> int:
    return cli.run(words)


def command(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Make `sparqc targets` fail with an error."""

    def fail(*_: object, **__: object) -> None:
        raise error

    replaced = click.Command("targets", callback=fail)
    monkeypatch.setattr(cli._Commands, "get_command", lambda *_: replaced)


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--help") == 0
    shown = capsys.readouterr().out
    assert all(f"\n  {name} " in shown for name in cli.COMMANDS)


@pytest.mark.parametrize("name", [name for name in cli.COMMANDS if name != "rules"])
def test_every_command_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(name, "--help") == 0
    assert f"Usage: sparqc {name}" in capsys.readouterr().out


def test_the_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--version") == 0
    assert capsys.readouterr().out == f"sparqc, version {sparqc.__version__}\n"


#: Libraries whose import takes from a twentieth of a second to more than one.
HEAVY = ["torch", "onnx", "onnxruntime", "onnx_graphsurgeon", "networkx", "numpy", "lark"]
FOLD = Path(sparqc.patterns.__path__[0]) / "algebra" / "fold.spq"


def imported_by(*words: str) -> str:
    """The libraries that a command imports, which succeeds."""
    program = (
        "import sys; from sparqc.tools.cli import run; "
        f"code = run({list(words)!r}); "
        f"print(*[m for m in {HEAVY} if m in sys.modules], file=sys.stderr); sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("words", "needed"),
    [
        ("--version", ""),
        ("--help", ""),
        ("compile --help", ""),
        ("targets", ""),
        ("witnesses", "numpy"),
        ("rules list", ""),
        ("rules knobs", ""),
        ("rules show fold_batch_norm", "numpy"),
        ("ops", "numpy"),
        ("ops nn.conv --json", "numpy"),
        ("natives divides", "numpy"),
        (f"rules fmt --check {FOLD}", "lark"),
        (f"rules check {FOLD}", "numpy lark"),  # the signatures of natives speak of arrays
        ("passes", "numpy"),
        ("passes calibrate", "numpy"),
    ],
)
def test_a_command_imports_only_what_its_answer_needs(words: str, needed: str) -> None:
    assert imported_by(*words.split()) == needed


@pytest.mark.parametrize("words", ["check", "explain"])
def test_questions_about_a_file_do_without_torch(words: str, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    onnx.save(
        onnx.parser.parse_model(
            '<ir_version: 10, opset_import: ["": 20]> agraph (float[n, 8] x) => (float[n, 8] y)'
            " <float s = {0.1}, int8 z = {0}> { q = QuantizeLinear(x, s, z)"
            " d = DequantizeLinear(q, s, z) a = Relu(d) y = Sigmoid(a) }"
        ),
        path,
    )
    program = (
        "import sys; from sparqc.tools.cli import run; "
        f"code = run({[words, str(path)]!r}); sys.exit(code or 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_module_runs_as_a_program() -> None:
    program = [sys.executable, "-m", "sparqc.tools.cli", "targets"]
    done = subprocess.run(program, capture_output=True, text=True, check=True)
    assert "tensorrt-11" in done.stdout


def test_a_misspelled_command_gets_a_suggestion(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("complie") == 2
    assert "did you mean 'compile'?" in capsys.readouterr().err


def test_an_unknown_option_is_wrong_use(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("targets", "--jsn") == 2
    assert "--json" in capsys.readouterr().err


@pytest.mark.parametrize(("error", "code"), [(SparqcError, 3), (UsageError, 2)])
def test_an_error_for_people_is_shown_without_a_traceback(
    error: type[SparqcError],
    code: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    command(monkeypatch, error("this is wrong", hint="do that"))
    assert run("targets") == code
    assert capsys.readouterr().err == "error: this is wrong\n  do that\n"


def test_debug_shows_the_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command(monkeypatch, SparqcError("this is wrong"))
    assert run("--debug", "targets") == 3
    assert "Traceback" in capsys.readouterr().err


def test_a_bug_says_so_and_keeps_its_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    command(monkeypatch, KeyError("lost"))
    assert run("targets") == 70
    shown = capsys.readouterr().err
    assert "this is a bug in sparqc: KeyError: 'lost'" in shown
    assert "Traceback (most" not in shown
    (report,) = tmp_path.iterdir()
    assert str(report) in shown
    assert "Traceback (most recent call last)" in report.read_text()


def test_an_interrupt_ends_with_130(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command(monkeypatch, KeyboardInterrupt())
    assert run("targets") == 130
    assert "interrupted" in capsys.readouterr().err


def test_a_closed_pipe_is_no_error() -> None:
    program = f"{sys.executable} -m sparqc.tools.cli rules list | head -n 1"
    done = subprocess.run(program, shell=True, capture_output=True, text=True)
    assert done.stdout and not done.stderr


def test_main_ends_the_process_with_the_code() -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["targets", "no-such"])
    assert ended.value.code == 2
