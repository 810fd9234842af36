"""bisect: the one application or decision to blame, with faults that were planted."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path

import onnx
import pytest

from sparqc.errors import SparqcError, UsageError
from sparqc.tools.runs.bisect.search import first_bad
from sparqc.tools.runs.checks import Check
from tests.tools.conftest import SEEDED
from tests.tools.runs.conftest import Ask

#: A ReLU behind another one changes nothing; the guard that says so was taken out.
UNGUARDED = """
rule merge_relus on fx preserves {word}:
    "Of two ReLUs in a row one is enough."
    match:
        y = nn.relu(x)
    rewrite:
        y = x
"""
FAULTY = """
from dataclasses import dataclass
from sparqc.extend import Pass, register

@register
@dataclass(frozen=True)
class Faulty(Pass):
    "Divides by zero where there is a ReLU."
    name = "faulty"

    def run(self, graph, context):
        return sum(1 // (node.op != "nn.relu") for node in graph.nodes)
"""
#: The scale of one value becomes 64 times as large.
PLANT = """
from sparqc.passes.calibrate import calibrate

right = calibrate._Group.set

def wrong(self, amax, **how):
    return right(self, amax * (64 if self.scale.name == "relu_1.scale" else 1), **how)

calibrate._Group.set = wrong
"""


@pytest.mark.parametrize("last", [1, 2, 7, 100, 318])
def test_halving_finds_each_number_in_few_steps(last: int) -> None:
    for wanted in range(1, last + 1):
        asked: list[int] = []

        def is_bad(number: int, wanted: int = wanted, asked: list[int] = asked) -> bool:
            asked.append(number)
            return number >= wanted

        assert first_bad(last, is_bad) == wanted
        assert len(asked) <= 2 + math.ceil(math.log2(last))


def test_a_check_that_never_or_always_fails_gets_a_sentence() -> None:
    with pytest.raises(SparqcError, match="never fails"):
        first_bad(9, lambda _: False)
    with pytest.raises(SparqcError, match="always fails"):
        first_bad(9, lambda _: True)


def bisected(ask: Ask, folder: Path, words: str, question: str, code: int = 0) -> dict:
    (folder / "model.py").write_text(SEEDED)
    ask(f"compile model.py -o o.onnx --quiet --dump run {words}", code)
    return json.loads(ask(f"bisect run --json {question}"))


@pytest.fixture
def planted(tmp_path: Path) -> object:
    """plant.py, and what it changes as it was behind the test."""
    from sparqc.passes.calibrate import calibrate

    right = calibrate._Group.set
    (tmp_path / "plant.py").write_text(PLANT)
    yield
    calibrate._Group.set = right


@pytest.mark.usefixtures("planted")
def test_a_wrong_decision_of_a_pass_is_found(ask: Ask, tmp_path: Path) -> None:
    found = bisected(ask, tmp_path, "--passes int8 --import plant.py", "--min-snr 20")
    (event,) = found["events"]
    assert (event["pass"], event["what"], event["name"]) == ("calibrate", "set", "relu_1.scale")
    assert found["compiles"] <= 2 + math.ceil(math.log2(found["of"]))
    for word in ("before", "after"):
        region = onnx.load(found["regions"][word]["file"])
        onnx.checker.check_model(region, full_check=True)
        assert 0 < len(region.graph.node) < 10
    codes = [n for n in onnx.load(found["regions"]["after"]["file"]).graph.node
             if n.op_type == "QuantizeLinear"]  # fmt: skip
    assert codes


def test_a_rule_without_its_guard_is_found(ask: Ask, tmp_path: Path) -> None:
    (tmp_path / "wrong.spq").write_text(UNGUARDED.format(word="lossy"))
    words = "--passes int8,+wrong@after=fold --patterns wrong.spq"
    found = bisected(ask, tmp_path, words, "--min-snr 15")
    (event,) = found["events"]
    assert (event["kind"], event["rule"]) == ("rule", "merge_relus")
    before, after = (onnx.load(found["regions"][w]["file"]) for w in ("before", "after"))
    relus = [[n.op_type for n in m.graph.node].count("Relu") for m in (before, after)]
    assert relus[0] == relus[1] + 1


def test_what_fails_to_compile_needs_no_check(ask: Ask, tmp_path: Path) -> None:
    (tmp_path / "wrong.spq").write_text(UNGUARDED.format(word="exact"))
    words = "--passes int8,+wrong@after=fold --patterns wrong.spq"
    found = bisected(ask, tmp_path, words, "", code=3)
    (event,) = found["events"]
    assert (event["kind"], event["rule"]) == ("rule", "merge_relus")
    assert "promises exact results" in found["error"]


def test_a_pass_with_a_bug_is_named(ask: Ask, tmp_path: Path) -> None:
    (tmp_path / "faulty.py").write_text(FAULTY)
    words = "--passes int8,+faulty@after=place --import faulty.py"
    found = bisected(ask, tmp_path, words, "", code=70)
    assert [(e["kind"], e["pass"]) for e in found["events"]] == [("pass", "faulty")]
    assert "ZeroDivisionError" in found["error"]
    left = json.loads(ask("reduce run --json"))
    assert left["operators"][1] == 1 and "nn.relu(" in left["text"]


def test_the_number_that_was_found_is_that_of_limit(ask: Ask, tmp_path: Path) -> None:
    (tmp_path / "wrong.spq").write_text(UNGUARDED.format(word="lossy"))
    words = "--passes int8,+wrong@after=fold --patterns wrong.spq"
    seq = bisected(ask, tmp_path, words, "--min-snr 15")["seq"]
    at, before = (
        ask(f"compile model.py -o o.onnx {words} --limit {n} --json") for n in (seq, seq - 1)
    )
    assert json.loads(at)["difference"]["snr_db"] < 15 < json.loads(before)["difference"]["snr_db"]


def test_a_command_is_asked_with_the_file(ask: Ask, tmp_path: Path) -> None:
    # Bad is a file with a QuantizeLinear: the first decision that has an effect is a scale.
    script = "import sys; sys.exit(b'QuantizeLinear' in open(sys.argv[1], 'rb').read())"
    (tmp_path / "has.py").write_text(script)
    found = bisected(ask, tmp_path, "--passes int8", f"--check '{sys.executable} has.py {{}}'")
    (event,) = found["events"]
    assert (event["pass"], event["name"]) == ("calibrate", "x.scale")


@pytest.mark.parametrize(
    ("question", "said"),
    [
        ("--check 'true {}'", "never fails"),
        ("--check 'false {}'", "always fails"),
        ("--check 'sh -c \"sleep 60\" {}' --timeout 0.2", "did not end within 0.2 seconds"),
        ("--min-snr 500", "always fails"),
    ],
)
def test_a_check_that_tells_nothing_gets_a_sentence(
    run: Path, ask: Ask, question: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    import shlex

    from sparqc.tools import cli

    assert cli.run(["bisect", str(run), *shlex.split(question)]) == 3
    error = capsys.readouterr().err
    if "--min-snr" in question:
        assert "never fails" in error or "always fails" in error
    else:
        assert said in error


@pytest.mark.parametrize(
    ("question", "said"),
    [
        ("--check true", "it names no file"),
        ("--check 'echo \"{}'", "No closing quotation"),
        ("--check 'no-such-command {}'", "cannot run no-such-command"),
        ("--check 'true {}' --timeout 0", "more than 0 seconds"),
        ("--check 'true {}' --min-snr 3", "takes one of them"),
        ("", "say it with --check"),
    ],
)
def test_a_wrong_question_is_refused(run: Path, ask: Ask, question: str, said: str) -> None:
    assert said in ask(f"bisect run {question}", code=2)


def test_names_with_characters_of_the_shell_stay_one_word(tmp_path: Path) -> None:
    path = tmp_path / "a b;touch evil $(touch evil) 'x'.onnx"
    path.touch()
    assert not Check.parse("test -f {}", 9).fails(path)
    assert not Check.parse("sh -c 'test -f {}'", 9).fails(path)
    assert Check.parse("sh -c 'test ! -f {}'", 9).fails(path)
    assert not (tmp_path / "evil").exists() and not Path("evil").exists()


def test_a_run_whose_folder_is_gone_is_refused(run: Path, ask: Ask) -> None:
    file = run / "run.json"
    data = json.loads(file.read_text())
    data["request"]["folder"] = "/nowhere/at all"
    file.write_text(json.dumps(data))
    assert "no folder any more" in ask("bisect run --min-snr 3", code=2)
    data["request"] = {"model": 3}
    file.write_text(json.dumps(data))
    assert "does not say what it was asked for" in ask("bisect run --min-snr 3", code=2)


def test_an_option_of_another_version_is_refused(run: Path) -> None:
    from sparqc.tools.runs.asked import request_of
    from sparqc.tools.runs.folder import open_run

    found = open_run(run)
    found.data["request"]["options"]["target"] = 3
    with pytest.raises(UsageError):
        request_of(found)
