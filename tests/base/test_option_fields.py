"""An option that is declared as a field: what it takes, and what it says of what it does not."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import pytest

from sparqc.base.option_fields import option, option_fields, read_options
from sparqc.errors import UsageError


@dataclass(frozen=True)
class Meal:
    plate: int = 1  # no option
    spices: tuple[str, ...] = option((), "What goes in.", metavar="SPICE", flag="--spice")
    recipes: tuple[Path, ...] = option((), "Where it stands.", metavar="FILE")
    book: Path | None = option(None, "A whole book.")
    heat: Literal["", "mild", "hot"] = option("", "How hot.", metavar="HEAT")
    is_warm: bool = option(True, "Leave it cold.", flag="--cold")
    guests: int | None = option(None, "How many eat.", at_least=2)

    def __post_init__(self) -> None:
        read_options(self)


def meal(**given: Any) -> Meal:
    return Meal(**given)


def refusal(**given: Any) -> str:
    with pytest.raises(UsageError) as caught:
        meal(**given)
    return str(caught.value)


def test_the_options_are_the_declared_fields_in_their_order() -> None:
    declared = option_fields(Meal)
    assert list(declared) == ["spices", "recipes", "book", "heat", "is_warm", "guests"]
    assert [o.flag for o in declared.values()] == [
        "--spice", "--recipes", "--book", "--heat", "--cold", "--guests",
    ]  # fmt: skip
    assert [n for n, o in declared.items() if o.is_repeatable] == ["spices", "recipes"]
    assert declared["heat"].choices == ("", "mild", "hot")
    assert declared["guests"].choices == ()
    assert declared["is_warm"].default is True


def test_the_defaults_are_those_of_the_fields() -> None:
    assert meal() == Meal(1, (), (), None, "", True, None)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({"spices": ["salt", "dill"]}, {"spices": ("salt", "dill")}),
        ({"spices": "salt"}, {"spices": ("salt",)}),
        ({"recipes": "a.txt"}, {"recipes": (Path("a.txt"),)}),
        ({"recipes": Path("a.txt")}, {"recipes": (Path("a.txt"),)}),
        ({"recipes": ["a.txt", Path("b.txt")]}, {"recipes": (Path("a.txt"), Path("b.txt"))}),
        ({"book": "a.txt"}, {"book": Path("a.txt")}),
        ({"guests": 2}, {"guests": 2}),
    ],
)
def test_what_an_option_takes(given: dict[str, Any], kept: dict[str, Any]) -> None:
    made = meal(**given)
    assert {name: getattr(made, name) for name in kept} == kept
    assert replace(made) == made


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (
            {"spices": 3},
            "option 'spices' takes a list of strings, not 3\n  write it as spices=[\"SPICE\", …]",
        ),
        ({"spices": ["a", 3]}, "option 'spices' takes a list of strings, not [\"a\", 3]"),
        ({"spices": [object()]}, "option 'spices' takes a list of strings, not [a value of type"),
        ({"spices": None}, "option 'spices' takes a list of strings, not none"),
        ({"book": 3}, "option 'book' takes a path, or none, not 3"),
        ({"heat": "hott"}, "--heat hott: there is no such heat\n  did you mean 'hot'?"),
        ({"heat": "x"}, "--heat x: there is no such heat\n  known: hot, mild"),
        ({"heat": 3}, 'option \'heat\' takes one of "", "mild", "hot", not 3'),
        ({"is_warm": 1}, "option 'is_warm' takes true or false, not 1"),
        ({"guests": 1}, "--guests 1: it has to be at least 2"),
        ({"guests": True}, "option 'guests' takes an integer, or none, not true"),
    ],
)
def test_what_an_option_does_not_take(given: dict[str, Any], says: str) -> None:
    assert refusal(**given).startswith(says)


@pytest.mark.parametrize(
    "given", [{"spices": ""}, {"spices": ["salt", " "]}, {"recipes": ""}, {"book": ""}]
)
def test_an_empty_name_is_refused(given: dict[str, Any]) -> None:
    assert "is empty\n  leave --" in refusal(**given)


def test_one_word_may_be_empty() -> None:
    assert meal(heat="").heat == "" and meal(spices=()).spices == ()
