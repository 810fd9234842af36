"""Look at a finished ONNX file with onnx alone, so that sparqc does not vouch for itself."""

from collections import Counter
from collections.abc import Iterator

import numpy as np
import onnx
from onnx import NodeProto, numpy_helper

#: The reduction axis of each weighted operator's stored weight, along which 2:4 runs.
REDUCTION_AXIS = {"Conv": 1, "Gemm": 1, "MatMul": -2}


class Structure:
    """An ONNX graph with its producers and constants at hand."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.nodes = list(model.graph.node)
        self.producer = {name: node for node in self.nodes for name in node.output}
        self.constants = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}

    def operators(self) -> Counter[str]:
        """How many nodes there are of each operator."""
        return Counter(node.op_type for node in self.nodes)

    def of(self, *kinds: str) -> Iterator[NodeProto]:
        """The nodes of some kinds."""
        return (node for node in self.nodes if node.op_type in kinds)

    def is_dequantized(self, name: str) -> bool:
        """Whether a tensor comes straight from a DequantizeLinear."""
        return name in self.producer and self.producer[name].op_type == "DequantizeLinear"

    def in_float(self) -> list[str]:
        """The weighted operators whose data or weights are not INT8."""
        return [
            node.name
            for node in self.of("Conv", "Gemm", "MatMul", "ConvTranspose")
            if not all(self.is_dequantized(name) for name in node.input[:2])
        ]

    def codes(self, node: NodeProto) -> np.ndarray | None:
        """The stored weight of a node: INT8 codes, or floats; None where it has no constant."""
        name = node.input[1]
        if self.is_dequantized(name):
            name = self.producer[name].input[0]
        return self.constants.get(name)

    def is_two_four(self, node: NodeProto) -> bool:
        """Whether of every four codes along the reduction axis two are zero."""
        codes = self.codes(node)
        axis = REDUCTION_AXIS[node.op_type]
        if node.op_type == "Gemm" and not any(a.name == "transB" and a.i for a in node.attribute):
            axis = 0
        if codes is None or codes.shape[axis] % 4:
            return False
        groups = np.moveaxis(codes, axis, -1)
        return bool(((groups.reshape(-1, 4) != 0).sum(1) <= 2).all())

    def dequantized_inputs(self, node: NodeProto) -> int:
        """How many inputs of a node come from a DequantizeLinear."""
        return sum(self.is_dequantized(name) for name in node.input)
