"""What an ONNX graph holds that the `Graph` interface has no place for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sparqc.ir.vocabulary.onnx_names import DEFAULT_OPSET


@dataclass(frozen=True)
class OnnxNative:
    """`Graph.native` of an ONNX graph."""

    #: Versions of the operator sets by domain; "" is ONNX's own.
    opsets: Mapping[str, int] = field(default_factory=lambda: {"": DEFAULT_OPSET})
    #: The model's metadata_props, in their order.
    metadata: tuple[tuple[str, str], ...] = ()
    doc: str = ""


@dataclass(frozen=True)
class OnnxRaw:
    """`Node.raw` of an opaque ONNX operator: what its attributes and operands cannot say.

    `subgraphs` are `onnx.GraphProto`s by attribute, never changed; `captured` are the names that
    they use for the values in the node's operand slot of that name.
    """

    subgraphs: Mapping[str, Any] = field(default_factory=dict)
    captured: tuple[str, ...] = ()
    #: Indices of outputs that the model leaves out, though later ones are there.
    omitted: frozenset[int] = frozenset()
