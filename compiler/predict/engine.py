"""A predicted engine: its kernels, what they read and write, and a ledger of weighted operators."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sparqc.declared.gpus import SPARSE_TYPES
from sparqc.ir.layer_names import layer_name
from sparqc.ir.quantizers import CONVERSIONS, DEQUANTIZE, QUANTIZE
from sparqc.ir.types import Shape
from sparqc.ir.vocabulary.multiply_adds import product
from sparqc.predict.layer_shape import LayerShape

#: Bytes of one element.
ELEMENT_BYTES = {
    "f64": 8, "i64": 8, "u64": 8, "f32": 4, "i32": 4, "u32": 4, "f16": 2, "bf16": 2, "i16": 2,
    "u16": 2, "i8": 1, "u8": 1, "bool": 1,
}  # fmt: skip


@dataclass(frozen=True)
class Tensor:
    """A tensor that a kernel reads or writes; sizes that are not known are names, or None."""

    name: str
    dtype: str
    shape: Shape | None
    #: Of codes of an activation: what they are multiplied by.
    scale: float | None = None

    @property
    def elements(self) -> int | None:
        """How many there are, None where a size is not known."""
        return product(self.shape)

    @property
    def channels(self) -> int | None:
        """Those of `[N, C, H, W]`; None of another rank, or where they are not known."""
        size = self.shape[1] if self.shape is not None and len(self.shape) == 4 else None
        return size if isinstance(size, int) and size else None

    @property
    def bytes(self) -> int | None:
        """Size in bytes, None where a size or the type is not known."""
        count, each = self.elements, ELEMENT_BYTES.get(self.dtype)
        return None if count is None or each is None else count * each

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        shape = None if self.shape is None else list(self.shape)
        known = {"name": self.name, "dtype": self.dtype, "shape": shape, "bytes": self.bytes}
        return known if self.scale is None else {**known, "scale": self.scale}


@dataclass(frozen=True)
class PredictedKernel:
    """One kernel: the operators in it, by the values that they define.

    `kind` is the fusion that describes it, or the operator where no fusion does.  `macs` are its
    multiply-adds, None where a size is not known; `sparse` says that it may use a 2:4 kernel,
    `sparse_pays` that one is likely to win as well.
    """

    name: str
    kind: str
    operators: tuple[str, ...]
    values: tuple[str, ...]
    int8: bool
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    weights: tuple[Tensor, ...] = ()
    macs: int | None = 0
    sparse: bool = False
    sparse_pays: bool = False
    #: What it computes in where that is not INT8: f32, f16, bf16.
    dtype: str = "f32"
    #: What is worth knowing: "its inside is not looked into".
    note: str = ""
    #: The ONNX nodes in it, by name.
    nodes: tuple[str, ...] = ()
    #: The module that what it gives comes from; "" where the file does not say it.
    module: str = ""

    @property
    def title(self) -> str:
        """What people call it: what it gives, and the module."""
        return layer_name(self.name, self.module)

    @property
    def computes_in(self) -> str:
        """The type of what it multiplies: i8, f32, f16, bf16."""
        return "i8" if self.int8 else self.dtype

    @property
    def converts(self) -> str:
        """`Q`, `DQ` or `Cast` where it does nothing but change the type, else ""."""
        kinds = set(self.operators)
        if kinds == {QUANTIZE}:
            return "Q"
        if kinds == {DEQUANTIZE}:
            return "DQ"
        if kinds <= CONVERSIONS:
            return "DQ, Q"
        return "Cast" if kinds == {"nn.cast"} else ""

    @property
    def bytes_read(self) -> int:
        """Bytes of activations read, tensors of unknown size left out."""
        return sum(t.bytes or 0 for t in self.inputs)

    @property
    def bytes_written(self) -> int:
        """Bytes of activations written, tensors of unknown size left out."""
        return sum(t.bytes or 0 for t in self.outputs)

    @property
    def weight_bytes(self) -> int:
        """Bytes of weights."""
        return sum(t.bytes or 0 for t in self.weights)

    @property
    def unsized(self) -> int:
        """Tensors whose size is not known."""
        return sum(t.bytes is None for t in (*self.inputs, *self.outputs))

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "name": self.name, "module": self.module, "kind": self.kind,
            "operators": list(self.operators), "nodes": list(self.nodes), "int8": self.int8,
            "sparse": self.sparse, "sparse_pays": self.sparse_pays,
            "inputs": [t.to_json() for t in self.inputs],
            "outputs": [t.to_json() for t in self.outputs],
            "weights": [t.to_json() for t in self.weights],
            "bytes_read": self.bytes_read, "bytes_written": self.bytes_written,
            "macs": self.macs, "note": self.note,
        }  # fmt: skip


@dataclass(frozen=True)
class Verdict:
    """Yes, or no and why."""

    holds: bool
    reason: str = ""
    #: What a finding of it is called; "" without a name.
    id: str = ""

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {"holds": self.holds, "reason": self.reason}


@dataclass(frozen=True)
class LedgerRow:
    """What speaks for and against one weighted operator as a sparse INT8 kernel."""

    value: str  # the tensor that it gives
    op: str
    weight: str
    shape: Shape
    kernel: str
    int8_in: Verdict
    int8_out: Verdict
    two_four: Verdict
    size_rule: Verdict
    pays: Verdict
    #: Why INT8, though the file asks for it, is not what the rules of placement would choose.
    remark: str = ""
    macs: int | None = None
    #: None where one of them is not known.
    sizes: LayerShape | None = None
    node: str = ""  # the ONNX node
    module: str = ""  # that the node comes from; "" where the file does not say it

    @property
    def title(self) -> str:
        """What people call it: the ONNX node, and the module."""
        return layer_name(self.node or self.value, self.module)

    @property
    def int8(self) -> bool:
        """Whether it multiplies INT8 by INT8."""
        return self.int8_in.holds

    @property
    def sparse(self) -> bool:
        """Whether a 2:4 kernel may take it."""
        return self.two_four.holds and self.size_rule.holds

    @property
    def sparse_pays(self) -> bool:
        """Whether a 2:4 kernel is likely to win, in INT8 or in a float type."""
        return self.sparse and self.pays.holds and (self.int8_out.holds or not self.int8)

    @property
    def missing(self) -> str:
        """Why it will not run as a sparse INT8 kernel, the weightiest reason; "" where it may."""
        checks = (self.int8_in, self.two_four, self.size_rule, self.int8_out, self.pays)
        return next((c.reason for c in checks if not c.holds), "")

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        checks = ("int8_in", "int8_out", "two_four", "size_rule", "pays")
        return {
            "node": self.node, "module": self.module, "value": self.value, "operator": self.op,
            "weight": self.weight, "shape": list(self.shape), "kernel": self.kernel,
            "macs": self.macs, "sizes": None if self.sizes is None else self.sizes.to_json(),
            **{name: getattr(self, name).to_json() for name in checks},
            "remark": self.remark,
        }  # fmt: skip


@dataclass(frozen=True)
class QuantizedValue:
    """A value that is stored in INT8: its scale, and the group of values that must share it."""

    value: str
    scale: float
    group: int
    quantizers: tuple[str, ...]
    readers: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {**vars(self), "quantizers": list(self.quantizers), "readers": list(self.readers)}


@dataclass(frozen=True)
class QuantizedWeight:
    """A weight in INT8: the axis of its scales (None: one scale), whether its codes are 2:4."""

    weight: str
    layer: str
    axis: int | None
    two_four: bool

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return dict(vars(self))


@dataclass(frozen=True)
class PredictedEngine:
    """What a target is expected to make of a graph."""

    target: str
    kernels: tuple[PredictedKernel, ...]
    ledger: tuple[LedgerRow, ...]
    values: tuple[QuantizedValue, ...] = ()
    weights: tuple[QuantizedWeight, ...] = ()
    #: Operators that run before the network does, or on the host: constants, arithmetic on shapes.
    folded: tuple[str, ...] = ()
    #: What the prediction could not look into, and what the target refuses.
    notes: tuple[str, ...] = ()
    shapes: tuple[tuple[str, Shape | None], ...] = field(default=())
    #: The module of each ONNX node and each tensor, where the file says it; not of Q and DQ, which
    #: stand in the kernel in front of the module that asked for them.
    modules: Mapping[str, str] = field(default_factory=dict)

    def called(self, name: str) -> str:
        """What people call an ONNX node or a tensor."""
        return layer_name(name, self.modules.get(name, ""))

    @property
    def int8_nodes(self) -> list[str]:
        """The weighted ONNX nodes that run with INT8 data and INT8 weights."""
        return [row.node or row.value for row in self.ledger if row.int8]

    @property
    def float_nodes(self) -> list[str]:
        """The weighted ONNX nodes that run in a float type."""
        return [row.node or row.value for row in self.ledger if not row.int8]

    @property
    def bytes_read(self) -> int:
        """Bytes of activations that all kernels together read."""
        return sum(k.bytes_read for k in self.kernels)

    @property
    def bytes_written(self) -> int:
        """Bytes of activations that all kernels together write."""
        return sum(k.bytes_written for k in self.kernels)

    @property
    def weight_bytes(self) -> int:
        """Bytes of weights, each counted once."""
        return sum({t.name: t.bytes or 0 for k in self.kernels for t in k.weights}.values())

    @property
    def unsized_tensors(self) -> int:
        """Tensors of unknown size; the traffic does not count them."""
        return sum(k.unsized for k in self.kernels)

    @property
    def macs(self) -> int:
        """Multiply-adds of all kernels whose sizes are known."""
        return sum(k.macs or 0 for k in self.kernels)

    @property
    def sparse_macs(self) -> int:
        """The same where 2:4 kernels that pay leave out every second one."""
        halved = (k.sparse_pays and k.computes_in in SPARSE_TYPES for k in self.kernels)
        pairs = zip(self.kernels, halved, strict=True)
        return sum((k.macs or 0) // (2 if half else 1) for k, half in pairs)

    @property
    def uncounted(self) -> int:
        """Kernels whose multiply-adds are not known."""
        return sum(k.macs is None for k in self.kernels)

    def to_json(self) -> dict[str, Any]:
        """Plain data; the keys are stable."""
        return {
            "target": self.target,
            "shapes": {name: shape and list(shape) for name, shape in self.shapes},
            "kernel_count": len(self.kernels),
            "int8_nodes": self.int8_nodes,
            "float_nodes": self.float_nodes,
            "traffic": {"read_bytes": self.bytes_read, "written_bytes": self.bytes_written},
            "unsized_tensors": self.unsized_tensors,
            "weight_bytes": self.weight_bytes,
            "macs": {"dense": self.macs, "sparse": self.sparse_macs, "uncounted": self.uncounted},
            "notes": list(self.notes),
            "kernels": _json(self.kernels),
            "ledger": _json(self.ledger),
            "plan": {"values": _json(self.values), "weights": _json(self.weights)},
            "folded": list(self.folded),
        }


def _json(items: Iterable[Any]) -> list[dict[str, Any]]:
    return [item.to_json() for item in items]
