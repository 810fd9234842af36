"""The quick reading of a graph text says what its grammar says."""

import pytest
import torch
from torch import nn

import sparqc
from sparqc.ir.text.print import print_graph
from sparqc.tools.page.graph_lines import stages_json
from sparqc.tools.runs.graph_lines import graph_lines


class Stage:
    number, name, level, file = 0, "read", "fx", "graphs/00-read.fx.txt"

    def __init__(self, text: str) -> None:
        self.text = text


@pytest.mark.parametrize("passes", ["export", "int8", "all-sparse"])
def test_both_find_the_same_operators_and_what_they_read(passes: str) -> None:
    net = nn.Sequential(
        nn.Conv2d(16, 16, 3), nn.BatchNorm2d(16), nn.ReLU(), nn.Flatten(), nn.LazyLinear(16)
    )
    images = (torch.randn(2, 16, 8, 8),)
    net(*images)
    graph = sparqc.compile(net.eval(), images, passes=passes, random_calibration=True).graph
    text = print_graph(graph)
    quick = {n: line for n, line in graph_lines(text).items() if line.op}
    rows = [row for row in stages_json([Stage(text)])["lines"] if row.get("kind") == "node"]
    assert len(rows) == len(list(graph.nodes))
    for row in rows:
        for name in row["out"]:
            assert quick[name].op == row["op"]
            assert set(quick[name].reads) == set(row["in"])
            assert quick[name].module == row.get("module", "")
            assert quick[name].source == row.get("source", "")
            assert list(quick[name].rules) == row.get("rules", [])
