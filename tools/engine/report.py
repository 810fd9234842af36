"""What a compiler made of an ONNX file, as plain values: the report and what it is made of.

The values are the same for every compiler; `rtx` and `trt` fill them in.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from sparqc.ir.layer_names import layer_name
from sparqc.tools.engine.kernel import EngineTensor, Kernel

__all__ = ["CompilerMessage", "EngineOperator", "EngineReport", "EngineTensor", "Kernel"]

OperatorPrecision = Literal["int8", "float", "unknown"]


@dataclass(frozen=True)
class EngineOperator:
    """What became of one weighted ONNX node (Conv, ConvTranspose, Gemm, MatMul).

    `precision` is `int8` where both the data and the weight enter the kernel as INT8, and
    `unknown` where no kernel carries the node's name; `reason` says why it is not `int8`.
    `module` is where the file says that the node comes from, "" where it does not.
    """

    node: str
    op_type: str
    weight: str
    precision: OperatorPrecision
    kernel: str = ""
    reason: str = ""
    module: str = ""

    @property
    def title(self) -> str:
        """What people call it."""
        return layer_name(self.node, self.module)

    def to_json(self) -> dict[str, object]:
        """The operator as JSON values."""
        return dict(vars(self))


@dataclass(frozen=True)
class CompilerMessage:
    """An error or a warning of the compiler in plain words; `detail` is its own text."""

    message: str
    node: str = ""
    op_type: str = ""
    detail: str = ""

    def __str__(self) -> str:
        where = f"{self.op_type} node '{self.node}'".strip() if self.node else ""
        return f"{where}: {self.message}" if where else self.message

    def to_json(self) -> dict[str, object]:
        """The message as JSON values."""
        return dict(vars(self))


@dataclass(frozen=True)
class EngineReport:
    """What a compiler said about an ONNX file.

    `shapes` are the input shapes that kernels and traffic are stated for, and `batch` the first
    size of the first input.  `compute_capability` is 86 for SM86.  `weight_bytes` are those of
    the engine's constants, `plan_bytes` the size of its file.
    """

    target: str
    compiler: str
    accepted: bool
    compute_capability: int | None = None
    errors: tuple[CompilerMessage, ...] = ()
    warnings: tuple[CompilerMessage, ...] = ()
    kernels: tuple[Kernel, ...] = ()
    operators: tuple[EngineOperator, ...] = ()
    shapes: tuple[tuple[str, tuple[int, ...]], ...] = ()
    batch: int | None = None
    sparsity_enabled: bool = True
    weight_bytes: int = 0
    plan_bytes: int = 0
    build_seconds: float = 0.0

    @property
    def int8_nodes(self) -> list[str]:
        """The weighted ONNX nodes that run with INT8 data and INT8 weights."""
        return _names(self.operators, "int8")

    @property
    def float_nodes(self) -> list[str]:
        """The weighted ONNX nodes that run in a float type."""
        return _names(self.operators, "float")

    @property
    def unknown_nodes(self) -> list[str]:
        """The weighted ONNX nodes that no kernel names, for example folded or dead ones."""
        return _names(self.operators, "unknown")

    @property
    def bytes_read(self) -> int:
        """Bytes of activations that all kernels together read for one batch."""
        return sum(k.bytes_read for k in self.kernels)

    @property
    def bytes_written(self) -> int:
        """Bytes of activations that all kernels together write for one batch."""
        return sum(k.bytes_written for k in self.kernels)

    @property
    def unsized_tensors(self) -> int:
        """Tensors whose size the data decide; the traffic does not count them."""
        return sum(not t.sized for k in self.kernels for t in (*k.inputs, *k.outputs))

    @property
    def sparse_kernels(self) -> int | None:
        """Kernels with a sparse tactic, or None where tactics are picked at run time."""
        known = [k.sparse for k in self.kernels if k.sparse is not None]
        return sum(known) if known else None

    def to_json(self) -> dict[str, object]:
        """The report as JSON values; the keys are stable."""
        return {
            "target": self.target,
            "compiler": self.compiler,
            "compute_capability": self.compute_capability,
            "accepted": self.accepted,
            "errors": [m.to_json() for m in self.errors],
            "warnings": [m.to_json() for m in self.warnings],
            "shapes": {name: list(dims) for name, dims in self.shapes},
            "batch": self.batch,
            "kernel_count": len(self.kernels),
            "int8_nodes": self.int8_nodes,
            "float_nodes": self.float_nodes,
            "unknown_nodes": self.unknown_nodes,
            "operators": [o.to_json() for o in self.operators],
            "traffic": {"read_bytes": self.bytes_read, "written_bytes": self.bytes_written},
            "unsized_tensors": self.unsized_tensors,
            "weight_bytes": self.weight_bytes,
            "plan_bytes": self.plan_bytes,
            "sparsity": {"enabled": self.sparsity_enabled, "sparse_kernels": self.sparse_kernels},
            "build_seconds": self.build_seconds,
            "kernels": [k.to_json() for k in self.kernels],
        }


def _names(operators: Iterable[EngineOperator], precision: OperatorPrecision) -> list[str]:
    return [o.node for o in operators if o.precision == precision]
