"""`prune{method=permuted}` in a whole pipeline, from PyTorch and from an ONNX file."""

from __future__ import annotations

import onnx
import pytest
import torch

import sparqc
from sparqc.passes.check.finding import Findings
from sparqc.passes.masks.pruning import Pruning
from sparqc.passes.permute import Permutations
from tests.passes.permute.test_permutation import Residual

IMAGE = torch.randn(4, 3, 8, 8)
PERMUTED = "default, +prune{method=permuted}@instead=prune"


def compiled(model: torch.nn.Module | onnx.ModelProto, passes: str) -> sparqc.Compiled:
    inputs = None if isinstance(model, onnx.ModelProto) else (IMAGE,)
    return sparqc.compile(model, inputs, calibration=lambda: [(IMAGE,)], passes=passes)


@pytest.mark.parametrize("level", ["fx", "onnx"])
def test_the_masked_layers_were_permuted(level: str) -> None:
    net: torch.nn.Module | onnx.ModelProto = Residual().eval()
    if level == "onnx":
        net = compiled(net, "cleanup, fold-constants, export").model
    result = compiled(net, PERMUTED)
    facts = result.context.facts
    rows = facts[Permutations].groups
    assert {layer for row in rows for layer in row.layers} == set(facts[Pruning].masks)
    assert sum(row.reason == "" for row in rows) == 2
    assert not [finding for finding in facts[Findings].findings if finding.grade == "error"]
    plain = compiled(net, "all-sparse")
    removed = [
        sum(mask.removed for mask in found.context.facts[Pruning].masks.values())
        for found in (result, plain)
    ]
    assert removed[0] < removed[1]


def test_permuted_channels_are_repaired_by_sparsegpt() -> None:
    """The dense network that the layers are solved against has the permuted channels too."""
    net = Residual().eval()
    line = "cleanup, prune{method=sparsegpt%s}, export, check"
    plain, permuted = (compiled(net, line % more) for more in ("", ", permute=true"))
    assert all(row.reason == "" for row in permuted.context.facts[Permutations].groups)
    assert Permutations not in plain.context.facts
    for found in (plain, permuted):
        assert found.difference is not None and found.difference.snr_db > 10


def test_the_network_without_masks_is_the_same() -> None:
    """Whoever masks nothing permutes nothing."""
    line = f"{PERMUTED}, -place, -calibrate"
    net = Residual().eval()
    none = sparqc.compile(
        net, (IMAGE,), calibration=lambda: [(IMAGE,)], passes=line, exclude=("*",)
    )
    assert none.context.facts[Permutations].groups == ()
    assert none.difference is not None and none.difference.snr_db > 100
