"""Convolutions without the bias that adds nothing."""

from dataclasses import dataclass

import numpy as np

from sparqc.extend import Context, Graph, Pass, Value, register


@register
@dataclass(frozen=True)
class DropZeroBias(Pass):
    """Remove convolution biases that are zero, or that `tolerance` lets pass for it."""

    name = "drop-zero-bias"
    level = "any"
    preserves = "close"
    tolerance: float = 0.0

    def run(self, graph: Graph, context: Context) -> int:
        changed = [node for node in graph.nodes if self.drops(node.operands.get("b"), node.op)]
        for node in changed:
            graph.set_operand(node, "b", None)
        return len(changed)

    def drops(self, bias: object, op: str) -> bool:
        if op != "nn.conv" or not isinstance(bias, Value) or bias.data is None:
            return False
        return bool(np.all(np.abs(bias.data) <= self.tolerance))
