"""The one difference in structure that is taken out of ONNX files of other quantizers.

TensorRT fuses a residual Add into the convolution of one branch, which it then reads without
quantizing it in between.  A quantizer for ONNX in general puts a pair on both inputs.
"""

from __future__ import annotations

import onnx


def bare_branches(model: onnx.ModelProto) -> onnx.ModelProto:
    """Take the pair off the input of each Add that lies deeper in the network; in place.

    The deeper input is the branch of more operators, the other one the skip.  Constants and inputs
    without a pair stay as they are.
    """
    nodes = [node for node in model.graph.node if node.op_type != "Constant"]
    producers = {name: node for node in nodes for name in node.output}
    depth = _depths(model)
    for node in nodes:
        if node.op_type != "Add" or len(producers.keys() & set(node.input)) != 2:
            continue
        at = max((0, 1), key=lambda i: depth[node.input[i]])
        codes = producers[node.input[at]]
        if codes.op_type == "DequantizeLinear" and codes.input[0] in producers:
            node.input[at] = producers[codes.input[0]].input[0]
    return model


def _depths(model: onnx.ModelProto) -> dict[str, int]:
    """How many operators lie on the longest way from the input to each value, pairs not counted."""
    depths: dict[str, int] = {}
    for node in model.graph.node:  # in topological order, as ONNX demands
        step = 0 if node.op_type in ("QuantizeLinear", "DequantizeLinear") else 1
        depth = step + max((depths.get(name, 0) for name in node.input), default=0)
        depths.update(dict.fromkeys(node.output, depth))
    return depths
