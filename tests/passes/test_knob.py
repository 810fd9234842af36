"""Knobs: set by a person, or by a step of the pipeline; a person's word counts."""

import pytest
import torch

import sparqc
from sparqc.errors import SparqcError

NET = torch.nn.Sequential(torch.nn.Conv2d(16, 16, 3), torch.nn.ReLU()).eval()
INPUTS = (torch.randn(1, 16, 8, 8),)


def knobs_after(passes: str, **wishes) -> dict:
    result = sparqc.compile(NET, INPUTS, passes=f"{passes}, float", target="tensorrt-rtx", **wishes)
    return dict(result.context.rules.knobs)


def test_a_step_of_the_pipeline_turns_knobs():
    assert knobs_after('knob{set="attention=int8, concat_ratio=4"}')["attention"] == "int8"
    assert knobs_after('knob{set="attention=int8, concat_ratio=4"}')["concat_ratio"] == 4


def test_what_a_person_sets_stays():
    turned = knobs_after('knob{set="attention=int8"}', knobs=("attention=float",))
    assert turned["attention"] == "float"


def test_the_next_compile_knows_nothing_of_it():
    knobs_after('knob{set="attention=int8"}')
    assert knobs_after("cleanup")["attention"] == "float"


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("attention=int4", "the knob 'attention' has no value 'int4'"),
        ("atention=int8", "there is no knob 'atention'"),
        ("concat_ratio=wide", "the knob 'concat_ratio' is a number"),
    ],
)
def test_wrong_words_are_refused(word, message):
    with pytest.raises(SparqcError, match=message):
        knobs_after(f'knob{{set="{word}"}}')
    with pytest.raises(SparqcError, match=message):
        knobs_after("cleanup", knobs=(word,))
