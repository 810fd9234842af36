"""passes, rules and targets: what there is, and pattern files checked and formatted."""

from __future__ import annotations

import json
from pathlib import Path

from sparqc.declared.knobs import knobs
from sparqc.declared.targets import profiles
from sparqc.pipeline.catalogue import passes
from tests.tools.rules.conftest import Ask

GOOD = """\
"Rules of mine."

rule twice_negated on fx, onnx preserves exact:
    "Two negations are none."
    match:
        y = nn.neg(nn.neg(x))
    rewrite:
        y = x
"""


# -- passes ------------------------------------------------------------------------------------


def test_every_pass_and_preset_is_listed(ask: Ask) -> None:
    firsts = {line.split(" ")[0] for line in ask("passes").splitlines() if line}
    assert firsts >= {*passes(), "default", "int8", "float"}


def test_a_pass_is_explained_with_its_options(ask: Ask) -> None:
    told = ask("passes calibrate")
    assert "calibrate  (level any, promises lossy)" in told
    assert 'method="mse"  (one of "max", "percentile", "entropy", "mse")' in told
    assert "batches=none  (an integer, or none)" in told


def test_a_pass_of_rules_lists_them(ask: Ask) -> None:
    told = ask("passes fold")
    assert "rules: fold_batch_norm" in told and "It takes no options." in told


def test_a_preset_is_shown_as_the_passes_it_stands_for(ask: Ask) -> None:
    assert "fold, " in ask("passes float")


def test_an_unknown_pass_gets_a_suggestion(ask: Ask) -> None:
    assert "did you mean 'calibrate'" in ask("passes callibrate", code=2)


# -- targets -----------------------------------------------------------------------------------


def test_every_target_is_listed_and_one_is_the_default(ask: Ask) -> None:
    lines = ask("targets").splitlines()
    assert [line.split()[0] for line in lines] == list(profiles())
    assert sum(line.endswith("(default)") for line in lines) == 1


def test_a_target_is_shown_with_all_that_is_known(ask: Ask) -> None:
    assert "zero_point_input      yes" in ask("targets tensorrt-8.6")
    (known,) = json.loads(ask("targets tensorrt-8.6 --json"))
    assert known["weight_form"] == "float-q-dq"


# -- rules -------------------------------------------------------------------------------------


def test_declarations_are_listed_by_kind_and_target(ask: Ask) -> None:
    fusions = ask("rules list --kind fusion")
    assert "conv_add_act" in fusions and "fold_batch_norm" not in fusions
    assert "fold_batch_norm" in ask("rules list --target tensorrt-10")
    assert "no target" in ask("rules list --target none", code=2)


def test_a_rule_is_shown_with_its_place(ask: Ask) -> None:
    shown = ask("rules show fold_batch_norm")
    assert shown.startswith("# patterns/algebra/fold.spq:")
    assert "\nrule fold_batch_norm on fx, onnx preserves close:\n" in shown


def test_every_spelling_of_an_operator_is_shown(ask: Ask) -> None:
    assert ask("rules show nn.silu").startswith("# patterns/algebra/spellings.spq:")


def test_ones_own_file_is_listed_too(ask: Ask) -> None:
    Path("mine.spq").write_text(GOOD)
    assert "twice_negated" in ask("rules list --patterns mine.spq")
    assert "twice_negated" not in ask("rules list")


def test_a_good_file_passes_the_check(ask: Ask) -> None:
    Path("mine.spq").write_text(GOOD)
    assert ask("rules check mine.spq") == "mine.spq: 1 rule\n"


def test_every_error_of_every_file_is_shown(ask: Ask) -> None:
    Path("mine.spq").write_text(GOOD.replace("nn.neg(x)", "nn.negg(x)"))
    Path("other.spq").write_text(GOOD.replace("y = x", "y = z").replace("twice", "two"))
    told = ask("rules check mine.spq other.spq", code=2)
    assert "mine.spq:6:20: " in told and "did you mean 'nn.neg'" in told
    assert "other.spq:8:13: " in told and "'z'" in told


def test_a_missing_file_is_said(ask: Ask) -> None:
    assert "cannot read none.spq" in ask("rules check none.spq", code=2)


def test_a_file_is_formatted_in_place_and_then_stays(ask: Ask) -> None:
    path = Path("mine.spq")
    path.write_text(GOOD.replace("nn.neg(nn.neg(x))", "nn.neg( nn.neg(x) )"))
    path.chmod(0o640)
    assert ask("rules fmt --check mine.spq", code=1) == "mine.spq: would be formatted\n"
    assert ask("rules fmt mine.spq") == "mine.spq: formatted\n"
    assert path.read_text() == GOOD and path.stat().st_mode & 0o777 == 0o640
    assert ask("rules fmt --check mine.spq") == ""


def test_a_broken_file_is_not_formatted(ask: Ask) -> None:
    path = Path("mine.spq")
    path.write_text(GOOD.replace("match:", "match"))
    before = path.read_text()
    assert "mine.spq:5" in ask("rules fmt mine.spq", code=2)
    assert path.read_text() == before


# -- knobs -----------------------------------------------------------------------------------------


def test_every_knob_is_listed_with_its_words_and_its_default(ask: Ask) -> None:
    shown = ask("rules knobs")
    for knob in knobs().values():
        assert knob.name in shown and knob.default in shown
    assert "float, int8" in shown
