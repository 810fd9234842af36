"""Which values besides the inputs of convolutions and matrix products are read in INT8."""

from __future__ import annotations

import operator
from collections.abc import Iterator

import torch
from torch.fx import Graph, Node

ADDS = {
    operator.add,
    operator.iadd,
    torch.add,
    torch.ops.aten.add.Tensor,
    torch.ops.aten.add_.Tensor,
}
POOLS = {
    torch.nn.functional.adaptive_avg_pool2d,
    torch.ops.aten.adaptive_avg_pool2d.default,
    torch.ops.aten.mean.dim,
    "mean",
}


def also_quantized(graph: Graph) -> Iterator[tuple[Node, Node]]:
    """Readers and what they read: each residual Add with its skip, each global pool with its input.

    The skip is the input with fewer operators on the longest way to it; the other one stays bare,
    since TensorRT adds it inside the convolution that it comes from.
    """
    depths: dict[Node, int] = {}
    for node in graph.nodes:
        depths[node] = 1 + max((depths[x] for x in node.all_input_nodes), default=0)
        if node.target in ADDS and len(node.all_input_nodes) == 2:
            yield node, min(node.all_input_nodes, key=lambda x: depths[x])
        elif node.target in POOLS:
            yield node, node.all_input_nodes[0]
