"""Misspelt keywords of the public functions."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

import sparqc
from sparqc.base.keywords import keywords_of, suggests_keywords

NET, X = nn.Linear(16, 16).eval(), torch.zeros(2, 16)


@suggests_keywords
def paint(wall: str, /, colour: str = "white") -> str:
    return f"{wall} is {colour}"


def test_a_function_is_what_it_was() -> None:
    assert paint("north", colour="blue") == "north is blue"
    assert list(inspect.signature(paint).parameters) == ["wall", "colour"]


def test_a_misspelt_keyword() -> None:
    with pytest.raises(sparqc.UsageError, match=r"paint takes no 'color'\n.*did you mean 'colour'"):
        paint("north", color="blue")  # type: ignore[call-arg]


def test_what_takes_whatever_comes_is_no_keyword() -> None:
    def call(a: int, *b: int, c: int = 0, **d: int) -> None: ...

    assert keywords_of(call) == ("a", "c")


@pytest.mark.parametrize(
    ("call", "word", "meant"),
    [
        (sparqc.compile, "calibraton", "calibration"),
        (sparqc.compile, "listener", "listeners"),
        (sparqc.compile, "tagret", "target"),
        (sparqc.prepare, "batchnorm", "batch_norm"),
        (sparqc.sparsify, "rank", "ranks"),
    ],
)
def test_functions_that_take_options_suggest_their_own_keywords_too(
    call: Callable[..., Any], word: str, meant: str
) -> None:
    with pytest.raises(sparqc.UsageError, match=rf"no option '{word}'\n.*'{meant}'"):
        call(NET, (X,), **{word: None})


@pytest.mark.parametrize(
    ("call", "word", "meant"),
    [
        (sparqc.finish, "calibraton", "calibration"),
        (sparqc.recalibrate, "calibraton", "calibration"),
        (sparqc.save_state, "paht", "path"),
        (sparqc.load_state, "stat", "state"),
        (sparqc.apply_masks, "mask", "masks"),
        (sparqc.masks, "modul", "module"),
        (sparqc.bake, "modul", "module"),
        (sparqc.sparsity, "modul", "module"),
    ],
)
def test_every_other_public_function_suggests(
    call: Callable[..., Any], word: str, meant: str
) -> None:
    with pytest.raises(sparqc.UsageError, match=rf"takes no '{word}'\n.*'{meant}'"):
        call(**{word: None})
