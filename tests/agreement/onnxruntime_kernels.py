"""What onnxruntime's CPU kernels compute in INT8 of a file, node by node, beside what is predicted.

onnxruntime gives a kernel that replaces an operator the operator's name, so that names say it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import onnx
import onnxruntime

from sparqc.tools.explain.prediction import predict

#: The operators whose kernel onnxruntime chooses by the Q and DQ around them; others pass codes on.
COMPUTES = {
    "Add", "AveragePool", "Concat", "Conv", "ConvTranspose", "Gemm", "GlobalAveragePool",
    "LeakyRelu",
    "MatMul", "Mul", "Sigmoid", "Softmax",
}  # fmt: skip

#: What its kernels that compute with codes begin with.
PREFIXES = ("QLinear", "QGemm", "MatMulInteger")


@dataclass(frozen=True)
class Compared:
    """Names of the operators that run in INT8: what was predicted, and what onnxruntime made."""

    operators: frozenset[str]
    predicted: frozenset[str]
    built: frozenset[str]


def options(optimized: Path | None = None) -> onnxruntime.SessionOptions:
    """One thread, and signed codes, which onnxruntime takes by itself on ARM alone.

    `optimized` is where it writes the graph that it runs.
    """
    made = onnxruntime.SessionOptions()
    made.intra_op_num_threads = 1
    made.log_severity_level = 3
    made.add_session_config_entry("session.qdqisint8allowed", "1")
    if optimized is not None:
        # Above this level layouts change, and what is written runs on this processor alone.
        made.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
        made.optimized_model_filepath = str(optimized)
    return made


def optimized(model: onnx.ModelProto) -> onnx.ModelProto:
    """The graph that onnxruntime runs."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "optimized.onnx"
        onnxruntime.InferenceSession(
            model.SerializeToString(), options(path), providers=["CPUExecutionProvider"]
        )
        return onnx.load(path)


def compare(model: onnx.ModelProto) -> Compared:
    """Build a file with onnxruntime, and hold it against the prediction."""
    operators = frozenset(n.name for n in model.graph.node if n.op_type in COMPUTES)
    built = (n.name for n in optimized(model).graph.node if n.op_type.startswith(PREFIXES))
    kernels = predict(model, "onnxruntime").kernels
    predicted = frozenset(name for k in kernels if k.int8 for name in k.nodes)
    return Compared(operators, predicted & operators, frozenset(built))
