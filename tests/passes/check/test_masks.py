"""Masked layers of the finished graph are found whatever rules of a target made of their names."""

import pytest
import torch
from torch import nn

import sparqc
from sparqc.declared import natives
from sparqc.errors import SparqcError
from sparqc.ir.graph import Array
from sparqc.report.layers import layer_rows

#: A Linear on a tensor of rank 3 becomes MatMul and Add, and the Add has the layer's name.
DROP_THE_NAME = """
rule drop_zero_bias on onnx preserves exact:
    "Adds nothing."
    match:
        y = nn.add(m, b: const)
    where:
        @all_zero(b) else "b is not zero"
    rewrite:
        y = m
"""
OTHER_NAME = """
rule multiply_alone on onnx preserves exact:
    "Adds nothing."
    match:
        m = nn.matmul(x, w)
        y = nn.add(m, b: const)
    where:
        @all_zero(b) else "b is not zero"
    rewrite:
        y = nn.matmul(x, w)
"""
FILL = """
rule fill on onnx preserves lossy:
    "Undo the masks."
    match:
        m = nn.matmul(x, w: const)
        y = nn.add(m, b: const)
    where:
        @all_zero(b) else "b is not zero"
    rewrite:
        y = nn.matmul(x, @filled(w))
"""


class Net(nn.Module):
    """Two Linear layers on tokens; the first adds zeros."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(64, 64), nn.Linear(64, 32)
        nn.init.zeros_(self.a.bias)

    def forward(self, x):
        return self.b(torch.relu(self.a(x)))


def compiled(tmp_path, model, text, passes):
    file = tmp_path / f"{tmp_path.name}.spq"
    file.write_text('"Rules of one\'s own."\n' + text)
    x = torch.randn(4, 8, 64)
    passes = passes.format(own=file.stem.replace("_", "-"))
    found = sparqc.compile(*model, patterns=[file], passes=passes, calibration=lambda: [(x,)])
    return found.graph, found.context


@pytest.fixture(params=["FX", "ONNX"])
def model(request):
    """The network on either road: the arguments of compile."""
    x = torch.randn(4, 8, 64)
    if request.param == "FX":
        return Net().eval(), (x,)
    return sparqc.compile(Net().eval(), (x,), passes="export").model, (x,)


@pytest.mark.parametrize("place", ["export", "surgery"])
@pytest.mark.parametrize("rule", [DROP_THE_NAME, OTHER_NAME])
def test_a_masked_layer_that_lost_its_name_is_known(tmp_path, model, rule, place):
    rows = layer_rows(*compiled(tmp_path, model, rule, f"all-sparse,+{{own}}@after={place}"))
    assert [(row.weight, row.int8, row.sparse, row.float_reason) for row in rows] == [
        ("a.weight", True, True, ""), ("b.weight", True, True, ""),
    ]  # fmt: skip


def test_a_mask_that_a_rule_broke_is_found_under_any_name(tmp_path, model, monkeypatch):
    monkeypatch.setitem(natives._natives, "filled", natives.describe("filled", _filled))
    with pytest.raises(SparqcError, match=r"mask-lost: a\.weight was masked 2:4, but"):
        compiled(tmp_path, model, FILL, "prune,export,{own},check")


def _filled(weight: Array) -> Array:
    return weight + 1
