"""How options of passes are written, checked and described."""

from pathlib import Path
from typing import Literal

import pytest

from sparqc.base.options import convert, describe, is_supported, spell


@pytest.mark.parametrize(
    ("value", "annotation", "expected"),
    [
        (True, bool, True),
        (3, int, 3),
        (3, float, 3.0),
        (0.5, float, 0.5),
        ("a", str, "a"),
        ("max", Literal["max", "mse"], "max"),
        (None, int | None, None),
        (3, int | None, 3),
        (("a", "b"), tuple[str, ...], ("a", "b")),
        (["a", "b"], tuple[str, ...], ("a", "b")),
        ((1, 2), tuple[float, ...], (1.0, 2.0)),
        ((), tuple[str, ...], ()),
        ("a.txt", Path, Path("a.txt")),
        (Path("a.txt"), Path | None, Path("a.txt")),
        (["a.txt", Path("b.txt")], tuple[Path, ...], (Path("a.txt"), Path("b.txt"))),
    ],
)
def test_a_value_that_fits(value: object, annotation: object, expected: object) -> None:
    converted = convert(value, annotation)
    assert converted == expected
    assert type(converted) is type(expected)


@pytest.mark.parametrize(
    ("value", "annotation", "says"),
    [
        ("yes", bool, 'takes true or false, not "yes"'),
        (1, bool, "takes true or false, not 1"),
        (True, int, "takes an integer, not true"),
        (0.5, int, "takes an integer, not 0.5"),
        ("1", int | None, 'takes an integer, or none, not "1"'),
        ("a", float, 'takes a number, not "a"'),
        (1, str, "takes a string, not 1"),
        ("maximum", Literal["max", "mse"], 'takes one of "max", "mse", not "maximum"'),
        ("a", tuple[str, ...], 'takes a list of strings, not "a"'),
        (("a", 1), tuple[str, ...], 'takes a list of strings, not ["a", 1]'),
        (True, Literal[1, 2], "takes one of 1, 2, not true"),
        (3, Path, "takes a path, not 3"),
        (Path("a.txt"), str, 'takes a string, not "a.txt"'),
        ({"a": 1}, str, "takes a string, not a value of type dict"),
        (["a", {"b"}], tuple[str, ...], 'takes a list of strings, not ["a", a value of type set]'),
    ],
)
def test_a_value_that_does_not_fit(value: object, annotation: object, says: str) -> None:
    with pytest.raises(ValueError) as caught:
        convert(value, annotation)
    assert str(caught.value) == says


def test_none_is_said_last() -> None:
    assert describe(None | int) == describe(int | None) == "an integer, or none"
    assert describe(tuple[Literal["a", "b"], ...]) == 'a list of values, each one of "a", "b"'


def test_values_are_spelled_as_in_a_pipeline() -> None:
    assert spell((None, True, False, 1, -0.5, 1e-6, 'a "b" \\ \n é')) == (
        '[none, true, false, 1, -0.5, 1e-06, "a \\"b\\" \\\\ \\n é"]'
    )
    assert spell(Path("a/b.txt")) == '"a/b.txt"'


def test_annotations_that_options_can_have() -> None:
    assert all(map(is_supported, [bool, int | None, Path, Literal["a"], tuple[str, ...]]))
    assert not any(map(is_supported, [object, list[str], dict[str, int], tuple[str, int]]))
