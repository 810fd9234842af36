"""The names of ONNX's operators and the versions of their sets, which need no schema."""

from __future__ import annotations

#: The opset of graphs that do not say theirs.
DEFAULT_OPSET = 20
#: Below it Q/DQ has no axis, and several operators take as attributes what now are inputs.
OLDEST_OPSET = 13
#: The operand slot for the values that subgraphs (of If, Loop, Scan) read from around them.
CAPTURED = "captured"


def raw_name(op_type: str, domain: str) -> str:
    """`onnx.Einsum`, `onnx.com.microsoft.Gelu`."""
    return f"onnx.{domain}.{op_type}" if domain else f"onnx.{op_type}"


def split_name(name: str) -> tuple[str, str]:
    """Operator type and domain of a raw name; the inverse of `raw_name`."""
    domain, _, op_type = name.removeprefix("onnx.").rpartition(".")
    return op_type, domain
