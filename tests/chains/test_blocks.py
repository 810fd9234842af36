"""The blocks: every one takes the shapes that it says, and together they draw the whole table."""

import random

import pytest
import torch
from torch import nn

from sparqc.extend import default_table
from sparqc.job.open import open_graph
from tests.chains.block import SHAPES, Draw
from tests.chains.catalogue import BLOCKS
from tests.chains.chain import BATCH, Chain

#: Rows that no block draws, and why.
NOT_DRAWN = {
    "nn.gather_nd": "ONNX only: PyTorch has no spelling of it",
    "nn.constant_of_shape": "ONNX only: where PyTorch knows the sizes, the tensor is a constant",
    "nn.attention_by_heads": "ONNX only: Attention of opset 23, which PyTorch exports as products",
    "nn.rms_norm": "ONNX only: of opset 23; PyTorch's own is written out",
    "nn.rotary_embedding": "ONNX only: of opset 23",
    "nn.swish": "ONNX only: of opset 24; PyTorch's SiLU is x * sigmoid(x)",
    "sym.floordiv": "a size divided by another one: only shapes with two free sizes have it",
    "q.qdq": "made by the pass place",
    "q.quantize": "made by the export of q.qdq",
    "q.dequantize": "made by the export of q.qdq",
    "sparse.mask": "made by the pass prune",
}
#: So many operators at least that the table does not have are drawn.
OUTSIDE = 20


class Side(nn.Module):
    """Every block beside the others, each on an input of a rank that it takes."""

    def __init__(self):
        super().__init__()
        self.parts, self.weights, self.steps = nn.ModuleList(), nn.ParameterList(), []
        choices = random.Random(0)
        draw = Draw(choices, self.parts, self.weights)
        for block in BLOCKS:
            rank = choices.choice(block.ranks)
            self.steps.append((block.build(draw, SHAPES[rank]), rank, block.reads))
        self.eval()

    def forward(self, *inputs):
        given = dict(zip(SHAPES, inputs, strict=True))
        found = []
        for step, rank, reads in self.steps:
            y = step(*[given[rank]] * reads)
            found += [y] if isinstance(y, torch.Tensor) else list(y)
        return tuple(found)


def test_names_are_unique():
    assert len({block.name for block in BLOCKS}) == len(BLOCKS)


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.name)
def test_every_block_takes_the_shape_of_each_of_its_ranks(block):
    for rank in block.ranks:
        for seed in range(4):
            draw = Draw(random.Random(seed), nn.ModuleList(), nn.ParameterList())
            step = block.build(draw, SHAPES[rank])
            assert step is not None
            draw._parts.eval()
            for batch in (1, 3):
                with torch.no_grad():
                    step(*[torch.randn(batch, *SHAPES[rank])] * block.reads)


def test_every_row_of_the_table_is_drawn_or_has_its_reason():
    names = set(default_table().names)
    inputs = tuple(torch.randn(BATCH, *shape) for shape in SHAPES.values())
    graph, notes, _ = open_graph(Side(), inputs, True)
    assert notes == ()
    drawn = {node.op for node in graph.nodes}
    assert names - drawn == set(NOT_DRAWN)
    assert len(drawn - names) >= OUTSIDE


def test_a_network_is_the_same_in_every_run():
    first, second = Chain(3, 7), Chain(3, 7)
    assert first.kinds == second.kinds
    with torch.no_grad():
        for x, y in zip(first(*first.inputs), second(*second.inputs), strict=True):
            assert torch.equal(x, y)


def test_every_network_has_its_block():
    for index in range(0, len(BLOCKS), 20):
        assert BLOCKS[index].name in Chain(0, index).kinds
