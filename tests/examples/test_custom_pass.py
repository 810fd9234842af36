"""The pattern file of ten lines is a pass."""

from pathlib import Path

import pytest
import torch
from torch import nn

import sparqc
from sparqc.ir.text.print import print_graph

FILE = Path(__file__).parent.parent.parent / "examples/custom_pass/relu6_to_relu.spq"


def compile_with(passes):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 16, 3), nn.ReLU6(), nn.Conv2d(16, 16, 3)).eval()
    x = torch.randn(2, 3, 8, 8)
    return sparqc.compile(net, (x,), passes=passes, patterns=(FILE,), random_calibration=True)


@pytest.mark.parametrize("passes", ["default", "default,+relu6-to-relu@before=place"])
def test_it_runs_by_itself_or_where_the_pipeline_says(passes):
    text = print_graph(compile_with(passes).graph)
    assert "nn.relu(" in text
    assert "nn.clip(" not in text


def test_it_is_shown_in_the_pipeline_that_ran():
    assert str(compile_with("default").pipeline).startswith("relu6-to-relu, widen, adopt, cleanup")
