"""Whatever pass breaks its word in whatever way: the gate stops the compile and names the pass.

A mutant lets a pass do its work, and then one thing more.
"""

import numpy as np
import pytest
import torch
from torch import nn

import sparqc
from sparqc.errors import SparqcError
from sparqc.ir.quantizers import QUANTIZERS
from sparqc.passes.half.rough import TooRough
from sparqc.pipeline.catalogue import find

FX = ("cleanup", "fold-constants", "fold", "attention", "place", "export")
ONNX = (*FX[:-1], "surgery", "boundary", "half", "record", "check")


class Net(nn.Module):
    """Two convolutions with BatchNorm, a residual Add, and a Linear."""

    def __init__(self):
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(8, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU())
        self.second = nn.Sequential(nn.Conv2d(16, 16, 3, padding=1), nn.BatchNorm2d(16))
        self.head = nn.Linear(16, 8)

    def forward(self, x):
        y = self.first(x)
        y = torch.relu(self.second(y) - y)
        return self.head(y.mean((2, 3)))


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(1)
    made = Net()
    for _ in range(3):
        made(torch.randn(8, 8, 8, 8) * 2 + 1)
    return made.eval()


@pytest.fixture(scope="module")
def file(net):
    """The network as an ONNX file that another tool wrote: BatchNorms stand in it."""
    return sparqc.compile(net, (torch.randn(4, 8, 8, 8),), passes="export").model


def _another_number(graph):
    """The largest weight, in floats or in codes, is off by a tenth: more than FP16 explains."""
    weight = max((v for v in graph.constants if v.type.rank), key=lambda v: v.data.size)
    changed = np.array(weight.data)
    changed += (changed / 10).astype(changed.dtype)
    weight.data = changed


def _an_operator_less(graph):
    """A Relu lets everything through."""
    node = next(n for n in graph.nodes if n.op == "nn.relu")
    graph.replace(node.output, node.operands["x"])
    graph.drop_dead([node])


def _operands_swapped(graph):
    """b - a in the place of a - b."""
    node = next(n for n in graph.nodes if n.op == "nn.sub")
    a, b = node.operands["a"], node.operands["b"]
    graph.set_operand(node, "a", b)
    graph.set_operand(node, "b", a)


def _another_scale(graph):
    """Every scale is off by a tenth, of activations and of weights."""
    for node in graph.nodes:
        if node.op in QUANTIZERS:
            scale = node.operands["scale"]
            other = (scale.data * 1.1).astype(scale.data.dtype)
            graph.set_operand(node, "scale", graph.constant(other))


MUTANTS = (_another_number, _an_operator_less, _operands_swapped)


def compiled(monkeypatch, model, name, mutant, **options):
    """Compile with the mutant of a pass; it is called once."""
    cls = find(name)
    transform, mutated = cls.transform, []

    def broken(self, graph, context):
        graph, changes = transform(self, graph, context)
        if not mutated:
            mutant(graph)
            mutated.append(graph)
        return graph, max(changes, 1)

    monkeypatch.setattr(cls, "transform", broken)
    x = torch.randn(4, 8, 8, 8)
    try:
        return sparqc.compile(model, (x,), calibration=lambda: [(x,)], **options)
    finally:
        assert mutated


@pytest.mark.parametrize("mutant", MUTANTS)
@pytest.mark.parametrize("name", FX)
def test_mutants_of_passes_over_torch(monkeypatch, net, name, mutant):
    with pytest.raises(SparqcError, match=rf"the pass {name} promises \w+ results, but"):
        compiled(monkeypatch, net, name, mutant, passes="int8", float="fp32")


@pytest.mark.parametrize("mutant", MUTANTS)
@pytest.mark.parametrize("name", ONNX)
def test_mutants_of_passes_over_onnx(monkeypatch, file, name, mutant):
    with pytest.raises(SparqcError, match=rf"the pass {name} promises \w+ results, but"):
        compiled(monkeypatch, file, name, mutant, passes="int8", float="fp32")


@pytest.mark.parametrize("float_type", ["fp32", "fp16"])
@pytest.mark.parametrize("name", ["surgery", "boundary", "record", "check"])
def test_mutants_of_scales(monkeypatch, file, name, float_type):
    with pytest.raises(SparqcError, match=rf"the pass {name} promises \w+ results, but"):
        compiled(monkeypatch, file, name, _another_scale, passes="int8", float=float_type)


@pytest.mark.parametrize("mutant", MUTANTS)
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("equalize", {"passes": "fold,equalize{always=true},export"}),
        ("boundary", {"passes": "fold,export,half,boundary", "float": "fp16", "io": "fp16"}),
    ],
)
def test_mutants_of_passes_that_change_what_layers_hand_on(
    monkeypatch, net, file, name, options, mutant
):
    for model in (net, file):
        with (
            monkeypatch.context() as patch,
            pytest.raises(SparqcError, match=rf"the pass {name} promises \w+ results, but"),
        ):
            compiled(patch, model, name, mutant, **options)


@pytest.mark.parametrize("mutant", MUTANTS)
def test_what_a_mutant_of_half_broke_is_seen_and_stays_in_fp32(monkeypatch, net, file, mutant):
    """It can do without what departs, and converts the rest once more."""
    for model in (net, file):
        with monkeypatch.context() as patch:
            done = compiled(patch, model, "half", mutant, passes="fold,export,half", float="fp16")
        assert done.context.facts.get(TooRough).operators
        assert done.difference.snr_db > 50


def test_a_pass_that_does_nothing_more_is_not_stopped(monkeypatch, net, file):
    for model in (net, file):
        with monkeypatch.context() as patch:
            compiled(patch, model, "fold", lambda graph: None, passes="int8")
