"""Example inputs from `--input`."""

import pytest
import torch
from torch import nn

from sparqc.errors import UsageError
from sparqc.tools.model.random_inputs import DTYPES, parse_input, random_inputs


class Two(nn.Module):
    def forward(self, ids: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        return ids


class Any(nn.Module):
    def forward(self, *tensors: torch.Tensor) -> torch.Tensor:
        return tensors[0]


def described(*specs: str, module: nn.Module | None = None) -> list[tuple[object, ...]]:
    return [(t.dtype, *t.shape) for t in random_inputs(specs, module or Two())]


def test_the_three_spellings() -> None:
    assert described("ids:f32[8,3]") == described("f32[8,3]") == described("8x3")
    assert described(" ids : i64[8, 128] ") == [(torch.int64, 8, 128)]
    assert described("f32[]") == [(torch.float32,)]


@pytest.mark.parametrize("name", DTYPES)
def test_every_element_type(name: str) -> None:
    [tensor] = random_inputs([f"{name}[64]"], Two())
    assert tensor.dtype == DTYPES[name]
    assert 1 < len(set(tensor.tolist())) <= (64 if tensor.is_floating_point() else 2)


def test_names_say_where_an_input_goes() -> None:
    assert described("mask:bool[4]", "ids:i64[4]") == [(torch.int64, 4), (torch.bool, 4)]
    assert described("mask:bool[4]", "i64[4]") == [(torch.int64, 4), (torch.bool, 4)]


def test_a_model_of_any_inputs() -> None:
    assert described("2", "3", "4", module=Any()) == [(torch.float32, n) for n in (2, 3, 4)]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("8,3", "is not an input"),
        ("x:8x", "is not an input"),
        ("", "is not an input"),
        ("x:f33[8]", "did you mean 'f32'"),
        ("f32[8,0]", "empty or too large"),
        ("99999x99999x99999", "empty or too large"),
    ],
)
def test_a_text_that_is_no_input(text: str, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_input(text)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("specs", "says"),
    [
        (("idz:4",), "did you mean 'ids'?"),
        (("ids:4", "ids:4"), "'ids' is given twice"),
        (("4", "4", "4"), "the model takes 2: ids, mask"),
        (("mask:4",), "the input 'ids' is missing"),
    ],
)
def test_inputs_that_do_not_fit_the_model(specs: tuple[str, ...], says: str) -> None:
    with pytest.raises(UsageError) as caught:
        random_inputs(specs, Two())
    assert says in str(caught.value)
