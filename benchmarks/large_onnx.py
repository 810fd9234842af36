"""How much CPU time `sparqc check` and `sparqc explain` take on a graph of 5,000 nodes.

    python benchmarks/large_onnx.py [NODES]

Builds a residual network with Q/DQ, writes it to a file, and times each command as a person runs
it, its start and its imports included.  The first run after an installation takes longer, and so
does each where PYTHONDONTWRITEBYTECODE is set: Python compiles the modules, and sparqc parses the
pattern files.  So each command runs on a small network first.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

CHANNELS = 32


class _Builder:
    """Collects nodes and initializers; every method returns the name of the value it makes."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.rng = np.random.default_rng(0)

    def constant(self, array: np.ndarray) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def op(self, kind: str, *inputs: str, **attributes: object) -> str:
        name = f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], name=name, **attributes))
        return name

    def qdq(self, value: str, scale: float) -> str:
        given = self.constant(np.float32(scale)), self.constant(np.int8(0))
        return self.op("DequantizeLinear", self.op("QuantizeLinear", value, *given), *given)

    def conv(self, value: str, scale: float) -> str:
        codes = self.rng.integers(-127, 128, (CHANNELS, CHANNELS, 3, 3)).astype(np.int8)
        scales = self.constant(np.full(CHANNELS, 0.01, np.float32))
        zeros = self.constant(np.zeros(CHANNELS, np.int8))
        weight = self.op("DequantizeLinear", self.constant(codes), scales, zeros, axis=0)
        return self.op("Conv", self.qdq(value, scale), weight, pads=[1] * 4)


def large_model(nodes: int = 5000) -> onnx.ModelProto:
    """A chain of residual blocks with Q/DQ, of at least that many nodes."""
    build, value = _Builder(), "x"
    while len(build.nodes) < nodes:
        inner = build.op("Relu", build.conv(value, 0.05))
        added = build.op("Add", build.conv(inner, 0.04), build.qdq(value, 0.05))
        value = build.op("Relu", added)
    shape = ["batch", CHANNELS, 14, 14]
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, shape) for n in ("x", value)]
    graph = helper.make_graph(build.nodes, "large", ends[:1], ends[1:], build.constants)
    opsets = [helper.make_opsetid("", 20)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10)


def seconds(command: str, path: Path) -> float:
    """CPU time of one run of a command of sparqc."""
    words = [sys.executable, "-m", "sparqc.tools.cli", command, str(path)]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(words, stdout=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Print a line for each command."""
    model = large_model(int(sys.argv[1]) if len(sys.argv) > 1 else 5000)
    with tempfile.TemporaryDirectory() as folder:
        path, small = Path(folder) / "large.onnx", Path(folder) / "small.onnx"
        onnx.save(model, path)
        onnx.save(large_model(10), small)
        print(f"{len(model.graph.node)} nodes")
        for command in ("check", "explain"):
            seconds(command, small)
            print(f"{command:<8} {seconds(command, path):.2f} s CPU")


if __name__ == "__main__":
    main()
