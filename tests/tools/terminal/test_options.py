"""Options of the command line are those that are declared: what they take, and what help says."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import click
import pytest
from click.testing import CliRunner

from sparqc.base.option_fields import option, option_fields
from sparqc.job.options import Options
from sparqc.tools.compile.command import compile_command
from sparqc.tools.inspect.command import inspect_command
from sparqc.tools.inspect.why import why_command
from sparqc.tools.inspect.whynot import whynot_command
from sparqc.tools.model.request import Request
from sparqc.tools.sensitivity.command import sensitivity_command
from sparqc.tools.terminal.options import add_options
from sparqc.tools.tune.command import tune_command


@dataclass(frozen=True)
class Meal:
    spices: tuple[str, ...] = option((), "What goes in.", metavar="SPICE", flag="--spice")
    recipes: tuple[Path, ...] = option((), "Where it stands.", flag="--recipe")
    book: Path | None = option(None, "A whole book.")
    heat: Literal["mild", "hot"] = option("mild", "How hot.")
    drink: Literal["", "tea"] = option("", "What to drink.", metavar="DRINK")
    is_warm: bool = option(True, "Leave it cold.", flag="--cold")
    is_late: bool = option(False, "Eat at night.", flag="--late")
    guests: int | None = option(None, "How many eat.", at_least=2)


def parsed(*words: str) -> dict[str, Any]:
    """What a command with these options receives."""
    return command().main(list(words), standalone_mode=False)  # type: ignore[no-any-return]


def command() -> click.Command:
    return click.command()(add_options(lambda **given: given, option_fields(Meal).values()))


def test_without_words_every_option_has_its_default() -> None:
    assert parsed() == {name: o.default for name, o in option_fields(Meal).items()}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("--spice salt --spice dill", {"spices": ("salt", "dill")}),
        ("--recipe a.txt", {"recipes": (Path("a.txt"),)}),
        ("--book a.txt", {"book": Path("a.txt")}),
        ("--heat hot", {"heat": "hot"}),
        ("--drink tea", {"drink": "tea"}),
        ("--cold", {"is_warm": False}),
        ("--late", {"is_late": True}),
        ("--guests 3", {"guests": 3}),
    ],
)
def test_words_become_values_of_the_fields(words: str, expected: dict[str, Any]) -> None:
    assert parsed(*words.split()) == parsed() | expected


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("--heat cool", "Invalid value for '--heat': 'cool' is not one of 'mild', 'hot'."),
        ("--guests 1", "Invalid value for '--guests': 1 is not in the range x>=2."),
        ("--spices salt", "--spices"),
    ],
)
def test_click_refuses_what_the_declaration_excludes(words: str, says: str) -> None:
    shown = CliRunner().invoke(command(), words.split())
    assert shown.exit_code == 2 and says in shown.output


def test_help_has_the_sentences_in_the_order_of_the_fields() -> None:
    lines = CliRunner().invoke(command(), ["--help"]).output.splitlines()
    rows = [" ".join(line.split()) for line in lines if line.startswith("  --")]
    assert rows[:-1] == [
        "--spice SPICE What goes in.",
        "--recipe PATH Where it stands.",
        "--book PATH A whole book.",
        "--heat [mild|hot] How hot. [default: mild]",
        "--drink DRINK What to drink.",
        "--cold Leave it cold.",
        "--late Eat at night.",
        "--guests INTEGER RANGE How many eat. [x>=2]",
    ]


@pytest.mark.parametrize(
    "taking",
    [compile_command, inspect_command, why_command, whynot_command, sensitivity_command,
     tune_command],
    ids=lambda c: c.name,
)  # fmt: skip
def test_commands_that_read_a_model_take_its_options(taking: click.Command) -> None:
    wishes = [n for n, o in option_fields(Options).items() if not o.debugging]
    names = [p.name for p in taking.params]
    assert names[0] == "model"
    assert [n for n in names if n in option_fields(Options)][: len(wishes)] == wishes
    assert set(option_fields(Request)) < set(names)


def test_compile_takes_every_option() -> None:
    assert set(option_fields(Options)) < {p.name for p in compile_command.params}
