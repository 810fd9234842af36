"""A kernel of an engine and the tensors that it reads and writes, as a compiler lists them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass

from sparqc.errors import SparqcError

#: Bits of one element.
BITS = {
    "float64": 64,
    "int64": 64,
    "float32": 32,
    "int32": 32,
    "float16": 16,
    "bfloat16": 16,
    "int8": 8,
    "uint8": 8,
    "bool": 8,
    "float8": 8,
    "int4": 4,
    "float4": 4,
}

#: The words of TensorRT's listings that are not already the names above.
_DTYPES = {
    "double": "float64",
    "float": "float32",
    "fp32": "float32",
    "half": "float16",
    "fp16": "float16",
    "bf16": "bfloat16",
    "fp8": "float8",
    "fp4": "float4",
    "fp4e2m1": "float4",
}


def dtype_name(word: str) -> str:
    """The dtype that a compiler's word stands for: `Half` is `float16`.

    Raises:
        SparqcError: for a word that is not known, because sizes would be wrong without it.
    """
    name = _DTYPES.get(word.lower(), word.lower())
    if name not in BITS:
        raise SparqcError(
            f"the compiler lists a tensor of type '{word}', which sparqc does not know",
            hint="please report this, with the version of the compiler",
        )
    return name


def layer_names(metadata: str) -> tuple[str, ...]:
    """The ONNX node names in a kernel's `[ONNX Layer: a][ONNX Layer: b]`, each once."""
    return tuple(dict.fromkeys(re.findall(r"\[ONNX Layer: ([^\]]*)\]", metadata)))


@dataclass(frozen=True)
class EngineTensor:
    """A tensor that a kernel reads or writes; a size that only the data decide is -1."""

    name: str
    dims: tuple[int, ...]
    dtype: str

    @property
    def sized(self) -> bool:
        """Whether all sizes are known before the network runs."""
        return all(d >= 0 for d in self.dims)

    @property
    def bytes(self) -> int:
        """Size in bytes, rounded up; 0 where a size is not known."""
        return math.ceil(math.prod(self.dims) * BITS[self.dtype] / 8) if self.sized else 0

    def to_json(self) -> dict[str, object]:
        """The tensor as JSON values."""
        return {"name": self.name, "dims": list(self.dims), "dtype": self.dtype}


@dataclass(frozen=True)
class Kernel:
    """One launch on the GPU; `nodes` are the ONNX nodes that have a part in it.

    Where the compiler does not say them they are read off its name (`from_name`): weights and
    layers that the compiler added are then among them.
    """

    name: str
    layer_type: str
    inputs: tuple[EngineTensor, ...] = ()
    outputs: tuple[EngineTensor, ...] = ()
    constants: tuple[EngineTensor, ...] = ()
    nodes: tuple[str, ...] = ()
    tactic: str = ""
    #: None where the compiler picks the tactic only at run time.
    sparse: bool | None = None
    from_name: bool = False
    #: How long it took, in microseconds; None where nobody measured.
    time: float | None = None

    @property
    def bytes_read(self) -> int:
        """Bytes of activations read; a tensor listed twice is read once."""
        return sum(t.bytes for t in set(self.inputs))

    @property
    def bytes_written(self) -> int:
        """Bytes of activations written."""
        return sum(t.bytes for t in self.outputs)

    def to_json(self) -> dict[str, object]:
        """The kernel as JSON values."""
        return {
            "name": self.name,
            "layer_type": self.layer_type,
            "nodes": list(self.nodes),
            "tactic": self.tactic,
            "sparse": self.sparse,
            "inputs": [t.to_json() for t in self.inputs],
            "outputs": [t.to_json() for t in self.outputs],
            "constants": [t.to_json() for t in self.constants],
        }


def constant_bytes(kernels: Iterable[Kernel]) -> int:
    """Bytes of the constants that kernels read; one that several of them read counts once."""
    return sum({t.name: t.bytes for k in kernels for t in k.constants}.values())
