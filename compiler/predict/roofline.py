"""How long an engine takes at least on a GPU: for each kernel the longer of traffic and arithmetic.

A roofline knows neither launch times nor how well a kernel uses the machine; it is a bound from
below, good for comparing two graphs and for seeing what a kernel waits for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any

from sparqc.base.toml_tables import Table, tables
from sparqc.errors import UsageError, did_you_mean
from sparqc.predict.engine import PredictedEngine, PredictedKernel


@dataclass(frozen=True)
class Gpu:
    """A table of a file `gpus.toml`: bandwidth in GB/s, the others in 10^12 operations a second.

    One multiply-add is two operations.
    """

    name: str
    doc: str
    bandwidth: float
    int8: float
    fp32: float
    source: str
    int8_sparse: float | None = None
    fp16: float | None = None
    tf32: float | None = None
    default: bool = False
    #: Microseconds until a kernel begins, and the shares of the peaks that kernels reach: fitted to
    #: public engines of an A100, whole networks within 1 to 9 %.
    launch: float = 3.0
    reached: float = 0.55
    reached_sparse: float = 0.40
    reached_bandwidth: float = 0.5

    def peak(self, dtype: str, sparse: bool = False) -> float:
        """Operations a second for a kernel that computes in i8, f16, bf16 or f32.

        FP32 products run in TF32 where the GPU has it, as compilers let them by default.
        """
        if dtype == "i8":
            return 1e12 * ((self.int8_sparse if sparse else None) or self.int8)
        if dtype in ("f16", "bf16"):
            return 1e12 * (self.fp16 or self.fp32)
        return 1e12 * (self.tf32 or self.fp32)


@cache
def gpus() -> Mapping[str, Gpu]:
    """Every GPU by name, in the order of the files; SparqcError where a file is broken."""
    found = tables("gpus.toml", "GPUs")
    return MappingProxyType({name: _gpu(table) for name, table in found.items()})


def _gpu(table: Table) -> Gpu:
    made = table.read_as(Gpu)
    figures = (made.bandwidth, made.int8, made.int8_sparse, made.fp16, made.tf32, made.fp32)
    if any(f is not None and not f > 0 for f in figures):
        raise table.error("every figure has to be above 0")
    return made


def gpu(name: str) -> Gpu:
    """The GPU of that name; UsageError where there is none."""
    known = gpus()
    if name.lower() not in known:
        hint = did_you_mean(name.lower(), known) or f"known: {', '.join(known)}"
        raise UsageError(f"nothing is known of a GPU {name!r}", hint=hint)
    return known[name.lower()]


def default_gpus() -> tuple[Gpu, ...]:
    """The GPUs of a person who names none."""
    return tuple(g for g in gpus().values() if g.default)


@dataclass(frozen=True)
class Estimate:
    """Seconds for one batch, with 2:4 kernels and without; `bound` by memory in the latter."""

    gpu: Gpu
    dense: float
    sparse: float
    #: Seconds of the dense estimate that wait for memory and not for arithmetic.
    memory: float

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "gpu": self.gpu.name, "source": self.gpu.source, "dense_seconds": self.dense,
            "sparse_seconds": self.sparse, "memory_bound_seconds": self.memory,
        }  # fmt: skip


def estimate(engine: PredictedEngine, gpu: Gpu) -> Estimate:
    """The bound for an engine; tensors and products of unknown size are left out."""
    dense = sum(_seconds(k, gpu, False) for k in engine.kernels)
    able = gpu.int8_sparse is not None
    sparse = sum(_seconds(k, gpu, able and k.sparse) for k in engine.kernels)
    return Estimate(gpu, dense, sparse, _waiting(engine.kernels, gpu))


def _waiting(kernels: Iterable[PredictedKernel], gpu: Gpu) -> float:
    bound = (k for k in kernels if _memory(k, gpu, False) >= _arithmetic(k, gpu, False))
    return sum(_memory(k, gpu, False) for k in bound)


def kernel_seconds(kernel: PredictedKernel, gpu: Gpu) -> float:
    """What one kernel takes, as measured ones do: its launch, and the longer of traffic and
    arithmetic, each at the share of the peak that kernels reach."""
    sparse = gpu.int8_sparse is not None and kernel.sparse
    traffic = _memory(kernel, gpu, sparse) / gpu.reached_bandwidth
    reached = gpu.reached_sparse if sparse else gpu.reached
    return gpu.launch * 1e-6 + max(traffic, _arithmetic(kernel, gpu, sparse) / reached)


def _seconds(kernel: PredictedKernel, gpu: Gpu, sparse: bool) -> float:
    return max(_memory(kernel, gpu, sparse), _arithmetic(kernel, gpu, sparse))


def _memory(kernel: PredictedKernel, gpu: Gpu, sparse: bool) -> float:
    """A 2:4 weight is stored as half of its values and two bits for each of these."""
    weights = kernel.weight_bytes * (0.5 + 0.5 / 4 if sparse else 1)
    return (kernel.bytes_read + kernel.bytes_written + weights) / (gpu.bandwidth * 1e9)


def _arithmetic(kernel: PredictedKernel, gpu: Gpu, sparse: bool) -> float:
    dtype = "i8" if kernel.int8 else kernel.dtype
    return 2 * (kernel.macs or 0) / gpu.peak(dtype, sparse)
