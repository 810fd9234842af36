"""Between torch's tensors, types and symbolic sizes, and the `Graph`'s."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import ml_dtypes
import numpy as np
import torch

from sparqc.errors import SparqcError
from sparqc.ir.graph import Array, TensorType
from sparqc.ir.vocabulary.forms import NUMPY_DTYPES

DTYPES: dict[torch.dtype, str] = {
    getattr(torch, np.dtype(dtype).name): name for name, dtype in NUMPY_DTYPES.items()
}
TORCH_DTYPES = {name: dtype for dtype, name in DTYPES.items()}


def dtype_of(dtype: torch.dtype) -> str:
    """The short name: torch.float32 -> "f32"; torch's own name for types outside the list."""
    return DTYPES.get(dtype) or str(dtype).removeprefix("torch.")


def array_of(tensor: torch.Tensor, name: str = "tensor") -> Array:
    """The numbers of a tensor, shared where it lies in the CPU's memory.

    Raises SparqcError for what numpy cannot hold: sparse, quantized and 8-bit float tensors.
    """
    tensor = tensor.detach()
    if tensor.layout != torch.strided or dtype_of(tensor.dtype) not in NUMPY_DTYPES:
        raise SparqcError(
            f"{name}: a {str(tensor.layout).removeprefix('torch.')} tensor of "
            f"{str(tensor.dtype).removeprefix('torch.')} cannot be compiled",
            hint="convert it to a dense tensor of float, integer or bool numbers first",
        )
    tensor = tensor.cpu().resolve_conj().resolve_neg()
    if tensor.dtype == torch.bfloat16:
        return tensor.view(torch.int16).numpy().view(ml_dtypes.bfloat16)
    return tensor.numpy()


def tensor_of(array: Array) -> torch.Tensor:
    """A tensor on the same memory; on a copy where the array is read-only or laid out backwards."""
    if not array.flags.writeable or any(stride < 0 for stride in array.strides):
        array = array.copy()
    if array.dtype == NUMPY_DTYPES["bf16"]:
        return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(array)


class Symbols:
    """The names of symbolic sizes: "batch" for the first one that is an input's first size."""

    def __init__(self, inputs: Iterable[tuple[str, Any]]) -> None:
        self._names: dict[Any, Any] = {}
        self._texts: dict[Any, str] = {}
        for name, value in inputs:
            for axis, size in enumerate(getattr(value, "shape", ())):
                self._name(size, name, axis)

    def _name(self, size: Any, input: str, axis: int) -> None:
        import sympy  # type: ignore[import-untyped]

        for symbol in sorted(_symbols_of(size), key=str):
            if symbol in self._names:
                continue
            taken = {str(s) for s in self._names.values()}
            text = "batch" if axis == 0 and "batch" not in taken else f"{input}_{axis}"
            self._names[symbol] = sympy.Symbol(text, integer=True, positive=True)

    def text(self, size: int | torch.SymInt) -> int | str:
        """A size as the graph shows it: 3, "batch", "2*batch"."""
        if not isinstance(size, torch.SymInt):
            return int(size)
        expression = size.node.expr
        if expression not in self._texts:
            self._texts[expression] = str(expression.xreplace(self._names))
        text = self._texts[expression]
        return int(text) if text.lstrip("-").isdigit() else text

    def type_of(self, value: Any) -> TensorType:
        """The type of what a node gives: a tensor, a symbolic number, or something else."""
        if isinstance(value, torch.Tensor):
            shape = tuple(self.text(size) for size in value.shape)
            return TensorType(dtype_of(value.dtype), shape)
        if isinstance(value, torch.SymInt | torch.SymFloat | torch.SymBool | int | float):
            return TensorType("sym", ())
        return TensorType("?" if value is None else "list")

    def types_of(self, value: Any) -> tuple[TensorType, ...]:
        """The types of a node's outputs: one, or one for each item of a tuple."""
        items: Sequence[Any] = value if isinstance(value, list | tuple) else (value,)
        return tuple(self.type_of(item) for item in items)


def _symbols_of(size: Any) -> set[Any]:
    return set(size.node.expr.free_symbols) if isinstance(size, torch.SymInt) else set()
