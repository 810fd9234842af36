"""`sparqc rules test` and `--import`: a person's files, held to their own examples and natives."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import small_models
from tests.tools.rules.conftest import Ask

HALVES = """\
"Halves."

rule two_halves on fx, onnx preserves {word}:
    "Half of a half is a quarter."
    match:
        a = nn.mul(x, 0.5)
        y = nn.mul(a, 0.5)
    where:
        x.rank == 2  else "it has {{x.rank}} dimensions"
    rewrite:
        y = nn.mul(x, {factor})
    example:
        before:
            x: f32[2, 3]
            y = nn.mul(nn.mul(x, 0.5), 0.5)
        after:
            x: f32[2, 3]
            z = nn.mul(x, {stated})
    example:
        before:
            x: f32[3]
            y = nn.mul(nn.mul(x, 0.5), 0.5)
        rejects "{reason}"
"""

OWN = """\
from sparqc.extend import Value, native


@native("{name}")
def small(value: Value) -> bool:
    \"\"\"Whether it has three dimensions at most.\"\"\"
    return value.type.rank is not None and value.type.rank <= {limit}
"""

WITH_NATIVE = """\
rule own_negations on fx, onnx preserves exact:
    "Two negations are none."
    match:
        y = nn.neg(nn.neg(x))
    where:
        @{name}(x)  else "it is large"
    rewrite:
        y = x
    example:
        before:
            x: f32[2, 3]
            y = nn.neg(nn.neg(x))
            z = nn.relu(y)
        after:
            x: f32[2, 3]
            z = nn.relu(x)
"""


def halves(
    word: str = "exact", factor: float = 0.25, stated: float = 0.25, reason: str = "it has 1 dim"
) -> None:
    text = HALVES.format(word=word, factor=factor, stated=stated, reason=reason)
    Path("mine.spq").write_text(text)


# -- rules -------------------------------------------------------------------------------------


def test_examples_that_hold_are_counted(ask: Ask) -> None:
    halves()
    assert ask("rules test --instances 0 mine.spq") == "mine.spq: 2 examples hold\n"


def test_check_says_that_it_runs_no_examples_and_what_does(ask: Ask) -> None:
    halves(stated=0.125)
    told = ask("rules check mine.spq")
    assert told == "mine.spq: 1 rule, 2 examples, run by: sparqc rules test mine.spq\n"


def test_a_number_that_the_example_states_is_compared(ask: Ask) -> None:
    halves(stated=0.125)
    told = ask("rules test --instances 0 mine.spq", code=1)
    assert "mine.spq:12:5: two_halves on fx, onnx: it gives another graph than `after`" in told
    assert "= 0.25" in told and "= 0.125" in told
    assert "mine.spq: 1 of 2 examples does not hold" in told


def test_a_rule_that_breaks_its_word_on_numbers_is_found(ask: Ask) -> None:
    halves(factor=0.26, stated=0.26)
    told = ask("rules test --instances 0 mine.spq", code=1)
    assert "it promises exact results, but on random inputs the output 'y' moves: 0.04" in told
    halves(word="lossy", factor=0.26, stated=0.26)
    assert ask("rules test --instances 0 mine.spq") == "mine.spq: 2 examples hold\n"


def test_a_rule_that_is_rejected_for_another_reason_is_found(ask: Ask) -> None:
    halves(reason="it is no matrix")
    told = ask("rules test --instances 0 mine.spq", code=1)
    assert "it is rejected, but not for the reason 'it is no matrix'\n    it has 1 dim" in told


def test_an_example_that_does_not_fire_says_what_stands_in_the_way(ask: Ask) -> None:
    halves()
    text = Path("mine.spq").read_text().replace("x: f32[2, 3]", "x: f32[2, 3, 4]")
    Path("mine.spq").write_text(text)
    told = ask("rules test --instances 0 mine.spq", code=1)
    assert "it does not fire in its own example\n    it has 3 dimensions" in told


def test_an_example_that_is_not_rejected_is_found(ask: Ask) -> None:
    halves()
    text = Path("mine.spq").read_text().replace("x: f32[3]", "x: f32[3, 3]")
    Path("mine.spq").write_text(text)
    assert "it matches, and the example says that it is rejected" in ask(
        "rules test --instances 0 mine.spq", code=1
    )


def test_an_example_with_another_operator_shows_both_graphs(ask: Ask) -> None:
    halves()
    text = Path("mine.spq").read_text().replace("z = nn.mul(x, 0.25)", "z = nn.add(x, 0.25)")
    Path("mine.spq").write_text(text)
    told = ask("rules test --instances 0 mine.spq", code=1)
    assert "y = nn.mul(x, " in told and "z = nn.add(x, " in told


def test_a_text_that_is_no_graph_is_said_with_its_place(ask: Ask) -> None:
    halves()
    text = Path("mine.spq").read_text().replace("z = nn.mul(x, 0.25)", "z = nn.mull(x, 0.25)")
    Path("mine.spq").write_text(text)
    told = ask("rules test --instances 0 mine.spq", code=1)
    assert "`after` of the example at mine.spq:12:5:2:5: unknown operator 'nn.mull'" in told


def test_names_the_order_of_operators_and_unread_inputs_do_not_count(ask: Ask) -> None:
    halves()
    text = Path("mine.spq").read_text()
    many = text.replace(
        "            x: f32[2, 3]\n            y = nn.mul(nn.mul(x, 0.5), 0.5)\n        after:",
        "            x: f32[2, 3]\n            o: f32[2]\n            c: const f32[2]\n"
        "            y = nn.mul(nn.mul(x, 0.5), 0.5)\n            r = nn.relu(x)\n"
        "            return y, r, c\n        after:",
    ).replace(
        "            z = nn.mul(x, 0.25)\n",
        "            k: const f32[2]\n            p = nn.relu(x)\n            z = nn.mul(x, 0.25)\n"
        "            return z, p, k\n",
    )
    assert many.count("return") == 2
    Path("mine.spq").write_text(many)
    assert ask("rules test --instances 0 mine.spq") == "mine.spq: 2 examples hold\n"
    Path("mine.spq").write_text(many.replace("return z, p, k", "return p, z, k"))
    assert "it gives another graph than `after`" in ask("rules test --instances 0 mine.spq", code=1)


def test_a_graph_that_does_not_run_is_said_once_and_without_a_log(ask: Ask) -> None:
    with_native("own_shapes")
    text = (
        Path("mine.spq")
        .read_text()
        .replace(
            "            z = nn.relu(y)\n",
            "            w: const f32[5, 5]\n            z = nn.linear(y, w)\n",
        )
    )
    Path("mine.spq").write_text(text)
    told = ask("rules test --instances 0 mine.spq --import own_shapes.py", code=1)
    assert "own_negations on fx: its graph does not run on random inputs: %z:" in told
    assert "own_negations on onnx: its graph does not run on random inputs: onnxruntime" in told
    assert "Traceback" not in told


def test_what_was_not_tested_is_said(ask: Ask) -> None:
    halves()
    text = Path("mine.spq").read_text()
    Path("mine.spq").write_text(text.replace("            x: f32[2, 3]\n", ""))
    told = ask("rules test --instances 0 mine.spq", code=1)
    assert "it does not fire in its own example\n    it has ? dimensions" in told
    Path("mine.spq").write_text(text.partition("    example:\n")[0])
    told = ask("rules test --instances 0 mine.spq")
    assert told == "mine.spq: it has no examples; no example shows what becomes of two_halves\n"


def test_a_file_that_is_wrong_is_not_run(ask: Ask) -> None:
    halves()
    Path("mine.spq").write_text(Path("mine.spq").read_text().replace("x.rank ==", "z.rank =="))
    told = ask("rules test --instances 0 mine.spq", code=2)
    assert "the match binds no 'z'" in told and "hold" not in told


# -- other declarations ------------------------------------------------------------------------


def test_a_check_is_held_to_what_it_finds_says_and_cures(ask: Ask) -> None:
    text = """\
check own_double_negation on onnx grade slow preserves exact:
    match:
        y = nn.neg(nn.neg(x))
    message "{y.name} negates twice"
    cure "read {x.name}"
    rewrite:
        y = nn.identity(x)
    example:
        before:
            x: f32[2]
            r = nn.neg(nn.neg(x))
            return r
        after:
            x: f32[2]
            r = nn.identity(x)
            return r
        finds "r negates twice"
"""
    Path("mine.spq").write_text(text)
    assert ask("rules test --instances 0 mine.spq") == "mine.spq: 1 example holds\n"
    Path("mine.spq").write_text(text.replace('finds "r', 'finds "s'))
    told = ask("rules test --instances 0 mine.spq", code=1)
    assert "it does not say 's negates twice'\n    r negates twice" in told
    Path("mine.spq").write_text(text.replace("r = nn.identity(x)", "r = nn.relu(x)"))
    assert "it gives another graph than `after`" in ask("rules test --instances 0 mine.spq", code=1)


def test_the_condition_of_a_fusion_is_held_to_its_reason(ask: Ask) -> None:
    text = """\
fusion own_product on onnx:
    "A product of two computed matrices."
    match:
        y = nn.matmul(a, b)
    where:
        not b.is_const  else "b is a weight"
    example:
        before:
            a: f32[2, 2]
            b: const f32[2, 2]
            y = nn.matmul(a, b)
        rejects "b is a weight"
    example:
        before:
            a: f32[2, 2]
            b: f32[2, 2]
            y = nn.matmul(a, b)
        after:
            a: f32[2, 2]
            y = nn.relu(a)
"""
    Path("mine.spq").write_text(text)
    assert ask("rules test --instances 0 mine.spq") == "mine.spq: 2 examples hold\n"
    Path("mine.spq").write_text(text.replace("not b.is_const", "b.is_const or a.is_const"))
    told = ask("rules test --instances 0 mine.spq", code=1)
    assert "it matches, and the example says" in told and "does not match in its own" in told


# -- natives -----------------------------------------------------------------------------------


def with_native(name: str, limit: int = 3) -> None:
    Path(f"{name}.py").write_text(OWN.format(name=name, limit=limit))
    Path("mine.spq").write_text(WITH_NATIVE.format(name=name))


def test_a_native_outside_of_packages_is_named_by_import(ask: Ask) -> None:
    with_native("own_small")
    assert "unknown function @own_small" in ask("rules test --instances 0 mine.spq", code=2)
    told = ask("rules test --instances 0 mine.spq --import own_small.py")
    assert told == "mine.spq: 1 example holds\n"
    assert "1 rule, 1 example" in ask("rules check mine.spq --import own_small.py")
    assert "@own_small(x)" in ask(
        "rules show own_negations --patterns mine.spq --import own_small.py"
    )
    with_native("own_small", limit=1)
    told = ask("rules test --instances 0 mine.spq --import ./own_small.py", code=0)
    assert told == "mine.spq: 1 example holds\n"  # one process imports a file once


@pytest.mark.parametrize("spelling", ["own_again.py", "own_once_more"])
def test_a_compile_finds_it_too_and_the_model_may_import_the_same_file(
    ask: Ask, spelling: str
) -> None:
    name = spelling.removesuffix(".py")
    with_native(name)
    Path("model.py").write_text(f"import {name}\n{small_models.MODEL}")
    told = ask(
        "compile model.py --random-calibration --passes mine,float --patterns mine.spq "
        f"--import {spelling} -o m.onnx"
    )
    assert "mine, " in told


def test_a_pass_of_ones_own_works_on_an_onnx_file(ask: Ask) -> None:
    Path("own_pass.py").write_text(
        "from dataclasses import dataclass\n\n"
        "from sparqc.extend import Context, Graph, Pass, register\n\n\n"
        "@register\n@dataclass(frozen=True)\nclass OwnNothing(Pass):\n"
        '    """Do nothing."""\n\n    name = "own-nothing"\n\n'
        "    def run(self, graph: Graph, context: Context) -> int:\n        return 0\n"
    )
    Path("model.py").write_text(small_models.MODEL)
    ask("compile model.py --passes float -o float.onnx")
    line = "compile float.onnx --passes own-nothing -o again.onnx"
    assert "known once model.py, --import FILE.py or a plug-in imports it" in ask(line, code=2)
    assert "own-nothing" in ask(f"{line} --import own_pass.py")
    assert "Do nothing." in ask("passes own-nothing --import own_pass.py")


@pytest.mark.parametrize("choice", ["?[2, 3]", "f32[b, ?]"])
def test_numbers_that_were_not_compared_are_said(ask: Ask, choice: str) -> None:
    with_native("own_untyped")
    text = Path("mine.spq").read_text().replace("x: f32[2, 3]", f"x: {choice}")
    Path("mine.spq").write_text(text)
    assert ask("rules test --instances 0 mine.spq --import own_untyped.py") == (
        "mine.spq: 1 example holds; no numbers were compared for own_negations: "
        "an input of the example has no type\n"
    )


@pytest.mark.parametrize(
    ("name", "text", "code", "says"),
    [
        ("missing.py", None, 3, "missing.py cannot be read: No such file"),
        ("broken.py", "def f(:\n", 3, "broken.py:1"),
        ("raises.py", "1 / 0\n", 3, "importing raises.py raised ZeroDivisionError"),
        ("click.py", "", 2, "click.py cannot be imported as 'click': that is"),
        ("no.such.module", None, 2, "the package 'no' is not installed"),
    ],
)
def test_what_cannot_be_imported_is_said(
    ask: Ask, name: str, text: str | None, code: int, says: str
) -> None:
    halves()
    if text is not None:
        Path(name).write_text(text)
    assert says in ask(f"rules test --instances 0 mine.spq --import {name}", code=code)


def test_a_file_beside_an_unknown_native_is_named_and_not_run(ask: Ask, tmp_path: Path) -> None:
    (tmp_path / "beside.spq").write_text(
        'rule beside on fx, onnx preserves exact:\n    "It asks a native."\n    match:\n'
        '        y = nn.neg(nn.neg(x))\n    where:\n        @beside_me(x.rank)  else "no"\n'
        "    rewrite:\n        y = x\n"
    )
    assert "--import FILE.py" in ask("rules check beside.spq", code=2)
    (tmp_path / "beside.py").write_text("raise SystemExit('it was run')")
    told = ask("rules check beside.spq", code=2)
    assert "let that be run: --import beside.py" in told and "it was run" not in told
