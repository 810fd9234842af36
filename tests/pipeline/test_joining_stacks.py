"""hstack, vstack and dstack, which torch.onnx writes as sequences: Concats, which targets read."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import sparqc
from sparqc.tools.engine.rtx import compile_rtx


class Stacked(nn.Module):
    """Two convolutions, put beside each other."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.stack = getattr(torch, kind)
        self.a, self.b = nn.Conv2d(16, 16, 1), nn.Conv2d(16, 16, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.stack([self.a(x).relu(), self.b(x)])  # type: ignore[no-any-return]


@pytest.mark.parametrize("kind", ["hstack", "vstack", "dstack"])
@pytest.mark.parametrize("passes", ["float", "int8"])
def test_a_stack_is_read_by_the_compiler(kind: str, passes: str) -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 16, 8, 8)
    made = sparqc.compile(Stacked(kind).eval(), (x,), calibration=[(x,)], passes=passes).model
    again = sparqc.compile(made, (x,), calibration=[(x,)], passes=passes).model
    for model in (made, again):
        assert "Concat" in {node.op_type for node in model.graph.node}
        assert not any("Sequence" in node.op_type for node in model.graph.node)
        assert compile_rtx(model, batch=2).accepted
