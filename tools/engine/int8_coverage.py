"""Which weighted ONNX nodes an engine runs in INT8, read off its kernels."""

from __future__ import annotations

import re
from collections.abc import Sequence

from sparqc.tools.engine.kernel import EngineTensor, Kernel
from sparqc.tools.engine.onnx_weights import WeightedNode
from sparqc.tools.engine.report import EngineOperator, OperatorPrecision

#: Layer types that multiply and add: `correlation`, `deconv` and `gemm` of Myelin (TensorRT-RTX,
#: and transformers in TensorRT), `CaskConvolution`, `CaskGemmMatrixMultiply`, ... of TensorRT.
_CONTRACTION = re.compile(r"conv|correlation|gemm|matrixmultiply|matmul|fullyconnected", re.I)

#: A fused kernel that casts its operands before it multiplies, such as
#: `__myl_CastMulCastCastMulFc`: INT8 goes in, but the arithmetic is float.
_CASTS_FIRST = re.compile(r"Cast\w*?(Fc|Corr|Gemm|Bmm|Conv)")


def operators_as_built(
    nodes: Sequence[WeightedNode], kernels: Sequence[Kernel]
) -> list[EngineOperator]:
    """What became of each weighted node, in the order of `nodes`."""
    by_node: dict[str, list[Kernel]] = {}
    for kernel in kernels:
        for name in kernel.nodes:
            by_node.setdefault(name, []).append(kernel)
    return [_operator(node, by_node.get(node.node, [])) for node in nodes]


def weakest(
    first: Sequence[EngineOperator], second: Sequence[EngineOperator]
) -> list[EngineOperator]:
    """Of two engines of one graph, for each node the one that does not run it in INT8."""
    return [b if a.precision == "int8" else a for a, b in zip(first, second, strict=True)]


def _operator(node: WeightedNode, kernels: Sequence[Kernel]) -> EngineOperator:
    kernel = _main_kernel(kernels)
    if kernel is None:
        return EngineOperator(
            node.node, node.op_type, node.weight, "unknown", "", "no kernel names it", node.module
        )
    if missing := _not_said(kernel):
        return EngineOperator(
            node.node, node.op_type, node.weight, "unknown", kernel.name, missing, node.module
        )
    reason = _why_float(kernel)
    precision: OperatorPrecision = "float" if reason else "int8"
    return EngineOperator(
        node.node, node.op_type, node.weight, precision, kernel.name, reason, node.module
    )


def _main_kernel(kernels: Sequence[Kernel]) -> Kernel | None:
    """The kernel that multiplies; the others that name the node prepare its operands.

    Several only where a compiler splits an operator; then one that is not INT8 speaks for all.
    """
    contractions = [k for k in kernels if _CONTRACTION.search(k.layer_type)]
    fused = [k for k in kernels if k.inputs and k.outputs]
    candidates = contractions or sorted(fused, key=lambda k: k.layer_type == "kgen")[:1]
    return next((k for k in candidates if _why_float(k)), candidates[0] if candidates else None)


def _not_said(kernel: Kernel) -> str:
    """What a listing leaves out of a kernel, or ""."""
    if not kernel.inputs and not kernel.constants:  # what reads constants alone is computed once
        return "the listing does not say what it reads"
    if kernel.from_name and not kernel.constants and kernel.inputs[0].dtype == "int8":
        return "the listing does not say what its weight is"
    return ""


def _why_float(kernel: Kernel) -> str:
    """Why a kernel does not multiply INT8 by INT8, or ""."""
    if not any(t.dtype == "int8" for t in kernel.inputs):
        return f"its data arrive as {_types(kernel.inputs[:1])}"
    # A weight that was dequantized by a kernel of its own is an input and not a constant.
    if not any(t.dtype == "int8" for t in kernel.constants):
        return f"its weight arrives as {_types((*kernel.inputs[1:2], *kernel.constants[:1])[:1])}"
    if _CASTS_FIRST.search(kernel.name):
        return "INT8 goes in, but the kernel turns it into float before it multiplies"
    return ""


def _types(tensors: Sequence[EngineTensor]) -> str:
    return tensors[0].dtype if tensors else "float"
