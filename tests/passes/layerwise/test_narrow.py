"""Where a graph narrows to one value."""

import torch
from torch import nn

from sparqc.capture.capture import capture
from sparqc.ir.vocabulary.table import default_table
from sparqc.passes.layerwise.narrow import narrow_values


class Net(nn.Module):
    """A stem, a residual block, a branch that lives on to the end, a head."""

    def __init__(self, *, skips=False):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.a = nn.Conv2d(8, 8, 3, padding=1)
        self.b = nn.Conv2d(8, 8, 3, padding=1)
        self.c = nn.Conv2d(8, 8, 3, padding=1)
        self.skips = skips

    def forward(self, x):
        first = torch.relu(self.stem(x))
        y = torch.relu(first + self.b(torch.relu(self.a(first))))
        return self.c(y) + (first if self.skips else 0)


def found(**wishes):
    graph = capture(Net(**wishes).eval(), (torch.randn(2, 3, 8, 8),)).graph
    return [value.name for value in narrow_values(graph, default_table())]


def test_blocks_end_behind_their_sums():
    assert found() == ["relu", "relu_2"]


def test_what_another_value_goes_around_is_no_narrow_place():
    assert found(skips=True) == ["relu"]
