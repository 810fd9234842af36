"""inspect, why and whynot: looking at a model between its passes."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from sparqc.ir.text.print import parse_graph, print_graph
from sparqc.ir.vocabulary.table import default_table
from sparqc.tools import cli
from tests import small_models

Ask = Callable[..., str]


@pytest.fixture
def ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ask:
    """`ask("why model.py conv")`: what stdout says, or stderr where it fails."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.py").write_text(small_models.MODEL)
    small_models.float_onnx(tmp_path / "float.onnx")

    def ask(line: str, code: int = 0) -> str:
        assert cli.run(shlex.split(line)) == code
        shown = capsys.readouterr()
        return shown.err if code else shown.out

    return ask


# -- inspect -----------------------------------------------------------------------------------


def test_a_graph_is_shown_as_it_was_read(ask: Ask) -> None:
    text = ask("inspect model.py")
    assert text.startswith("graph model on fx (x: f32[batch, 16, 8, 8]) -> (output):\n")
    assert "nn.batch_norm(" in text
    assert print_graph(parse_graph(text, default_table())) == text


def test_a_graph_is_shown_behind_a_pass(ask: Ask) -> None:
    text = ask("inspect model.py --passes all-sparse --after fold")
    assert "nn.batch_norm" not in text and "sparse.mask(" in text and "q.qdq" not in text


def test_nothing_behind_the_pass_runs(ask: Ask) -> None:
    # There is no calibration data, which only a later pass would ask for.
    assert "q.quantize(" in ask("inspect float.onnx --after place")


def test_weights_are_written_out_on_request(ask: Ask) -> None:
    assert "#" in ask("inspect float.onnx").splitlines()[1]
    assert "#" not in ask("inspect float.onnx --weights").splitlines()[1]


def test_a_pass_that_the_pipeline_has_not_is_an_error(ask: Ask) -> None:
    said = ask("inspect model.py --passes float --after place", code=2)
    assert "the pipeline has no pass 'place'" in said and "it is: adopt, cleanup" in said


# -- why ---------------------------------------------------------------------------------------


def test_why_names_line_module_and_rules(ask: Ask) -> None:
    told = ask("why model.py conv --after fold")
    assert "from line model.py:14, module conv1" in told
    assert "then patterns/algebra/fold.spq:" in told and "fold_batch_norm" in told
    assert "a factor and an offset per output channel" in told


def test_why_takes_modules_and_globs_and_constants(ask: Ask) -> None:
    assert "conv_1 = nn.conv(" in ask("why model.py conv2 --after fold")
    assert len(ask("why model.py 'conv*' --passes fold").split("\n\n")) == 2
    assert "conv_1 = nn.conv(" in ask("why model.py conv2.bias --after fold")


def test_why_says_what_no_rule_has_touched(ask: Ask) -> None:
    told = ask("why model.py relu_1 --passes fold")
    assert told.splitlines()[1:] == ["  from line model.py:15", "  no rule has touched it"]


def test_what_a_rule_says_is_told_once(ask: Ask) -> None:
    told = ask("why model.py '*'")
    assert told.count("fold_batch_norm\n") > 1
    assert told.count("An inference-mode BatchNorm is a factor") == 1


def test_an_unknown_value_gets_a_suggestion(ask: Ask) -> None:
    assert "did you mean 'conv_1'" in ask("why model.py conv_11 --after fold", code=2)


# -- whynot ------------------------------------------------------------------------------------


def test_whynot_at_a_node_of_another_operator(ask: Ask) -> None:
    told = ask("whynot model.py fold_batch_norm relu")
    assert told == "relu:\n  it is nn.relu; fold_batch_norm looks for nn.batch_norm\n"


def test_whynot_shows_the_line_that_is_not_met(ask: Ask) -> None:
    told = ask("whynot model.py conv_add_act relu")
    assert "comes from nn.conv, not from nn.add" in told
    assert "fusions.spq:" in told and "nn.add(" in told and "^^^" in told


def test_whynot_looks_in_front_of_the_pass_that_uses_the_rule(ask: Ask) -> None:
    assert "fold_batch_norm matches here" in ask("whynot model.py fold_batch_norm")
    told = ask("whynot model.py fold_batch_norm --after fold")
    assert told == "fold_batch_norm looks for nn.batch_norm, and the graph has none\n"


def test_whynot_names_the_fusion_that_was_faster(ask: Ask) -> None:
    assert "conv_act matches here, but conv_add_act has taken it" in ask("whynot model.py conv_act")


def test_an_unknown_rule_gets_a_suggestion(ask: Ask) -> None:
    said = ask("whynot model.py fold_batchnorm", code=2)
    assert "no rule is named 'fold_batchnorm'" in said and "'fold_batch_norm'" in said
    assert "in the file that --patterns FILE names" in said


def test_whynot_asks_a_rule_of_mine_that_calls_a_native_of_my_model(
    ask: Ask, tmp_path: Path
) -> None:
    (tmp_path / "own.py").write_text(
        small_models.MODEL
        + "\nfrom sparqc.extend import native\n\n\n@native('never_true_here')\n"
        + "def never_true_here(rank: int) -> bool:\n    return False\n"
    )
    (tmp_path / "whynot_mine.spq").write_text(
        '"Mine."\n\nrule never_here on fx preserves exact:\n    "Never."\n    match:\n'
        "        y = nn.relu(x)\n    where:\n"
        '        @never_true_here(x.rank)  else "never here"\n'
        "    rewrite:\n        y = x\n"
    )
    told = ask("whynot own.py never_here --patterns whynot_mine.spq --after fold")
    assert "never here" in told
