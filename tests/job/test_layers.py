"""The file that says of each layer how it is kept, and what is said where it is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

import sparqc
from sparqc.errors import UsageError
from sparqc.job.layers import read_layers, selectors
from sparqc.passes.masks.pruning import Pruning
from sparqc.passes.place.placement import Placement
from sparqc.rewrite.facts import Facts

GOOD = """
[[layer]]
module = "0"
value = "conv"
keep = "int8"
loss = { int8 = 0.1 }

[[layer]]
module = "2"
keep = "float"
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "layers.toml"
    path.write_text(text)
    return path


def compiled(path: Path, passes: str = "default") -> Facts:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(16, 16, 3), nn.ReLU(), nn.Conv2d(16, 16, 3), nn.Softmax(1))
    inputs = (torch.randn(2, 16, 8, 8),)
    return sparqc.compile(
        net, inputs, calibration=lambda: [inputs], layers=path, passes=passes
    ).context.facts


def error_of(path: Path, **wishes: str) -> str:
    with pytest.raises(UsageError) as raised:
        compiled(path, **wishes)
    return str(raised.value)


def test_layers_are_kept_as_the_file_says(tmp_path: Path) -> None:
    facts = compiled(write(tmp_path, GOOD))
    plan = {row.name: row.int8 for row in facts[Placement].layers if row.weight}
    assert plan == {"conv": True, "conv_1": False}
    assert facts[Pruning].masks == {}


def test_choices_become_selectors_of_exactly_one_layer(tmp_path: Path) -> None:
    choices = read_layers(write(tmp_path, GOOD.replace('module = "2"', 'value = "a*[0]"')))
    assert selectors(choices) == (("%a*[0]",), ("%conv",), ())


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ("[[layer]]", "[[layer]", "layers.toml:2:8: Expected ']]'"),
        ('"int8"', '"int4"', "layers.toml:5:8: there is no keep = 'int4'"),
        ('"int8"', '"int4"', "did you mean 'int8'?"),
        ('keep = "int8"', "", "layers.toml:2:1: `keep` is missing"),
        ('keep = "int8"', "keep = 8", "layers.toml:5:8: 'keep' is no text"),
        ('"conv"', '"conf"', "layers.toml:4:9: the model has no layer that gives 'conf'"),
        ('"conv"', '"conf"', "did you mean 'conv'"),
        ('module = "0"', 'module = "2"', "'conv' stands in the module '0' of this model"),
        ('module = "2"', 'module = "9"', "the module '9' of the model has no weighted operator"),
        ('module = "2"', "", "layers.toml:8:1: the table names no layer"),
        ('module = "2"', 'value = "conv"', "layers.toml:9:9: the layer 'conv' is named twice"),
    ],
)
def test_what_is_wrong_is_shown_with_its_place(
    old: str, new: str, text: str, tmp_path: Path
) -> None:
    assert text in error_of(write(tmp_path, GOOD.replace(old, new, 1)))


@pytest.mark.parametrize("text", ["", "layer = 3", "[layer]\nkeep = 'int8'"])
def test_a_file_without_layers_is_refused(text: str, tmp_path: Path) -> None:
    assert "there are no [[layer]] tables" in error_of(write(tmp_path, text))


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    assert "No such file" in error_of(tmp_path / "none.toml")
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    assert "not text in UTF-8" in error_of(tmp_path / "bytes.toml")


@pytest.mark.parametrize(
    ("keep", "passes", "text"),
    [
        ("sparse-int8", "int8", "it is 'int8': no pass of the pipeline prunes"),
        ("int8", "sparse", "it is 'float': no pass of the pipeline places quantizers"),
        ("sparse", "default", "it is 'sparse-int8'"),
    ],
)
def test_what_the_passes_do_not_do_is_refused_with_the_reason(
    keep: str, passes: str, text: str, tmp_path: Path
) -> None:
    path = write(tmp_path, f'[[layer]]\nvalue = "conv"\nkeep = "{keep}"\n')
    found = error_of(path, passes=passes)
    assert "layers.toml:2:9: conv was to be kept" in found and text in found


def test_what_the_target_does_not_run_in_int8_is_refused_with_its_reason(tmp_path: Path) -> None:
    net = nn.Sequential(nn.Conv2d(16, 16, 3), nn.ReLU(), nn.Conv2d(16, 3, 3))
    inputs = (torch.randn(2, 16, 8, 8),)
    path = write(tmp_path, '[[layer]]\nmodule = "2"\nkeep = "sparse-int8"\n')
    with pytest.raises(UsageError, match="but it is 'float': C or K below 16"):
        sparqc.compile(net, inputs, calibration=lambda: [inputs], layers=path)
