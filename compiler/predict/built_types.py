"""The float types in which a builder runs a network that is weakly typed.

Where a target's networks are weakly typed, its builder may run in FP16 what a file has in FP32, and
does so where that is faster: between kernels, while inputs and outputs stay as the file has them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from sparqc.declared.targets import profiles
from sparqc.predict.engine import PredictedEngine, PredictedKernel, Tensor


def as_built(engine: PredictedEngine) -> PredictedEngine:
    """The engine with the float types that its target's builder gives it."""
    target = profiles().get(engine.target)
    if target is None or target.strongly_typed:
        return engine
    written = {t.name for k in engine.kernels for t in k.outputs}
    read = {t.name for k in engine.kernels for t in k.inputs}
    inside = written & read
    kernels = []
    for kernel in engine.kernels:
        if _keeps_fp32(kernel, target.fp32_up_to_channels, inside):
            inside -= {t.name for t in kernel.outputs}
        kernels.append(_in_half(kernel, inside))
    return replace(engine, kernels=tuple(kernels))


def _keeps_fp32(kernel: PredictedKernel, channels: int, inside: set[str]) -> bool:
    """Whether it writes FP32: an INT8 convolution of so few channels, or what only moves or pools
    such results."""
    if kernel.macs == 0 and not kernel.converts:
        floats = [t.name for t in kernel.inputs if t.dtype == "f32"]
        return bool(floats) and inside.isdisjoint(floats)
    read = kernel.inputs[0].channels if kernel.inputs else None
    return kernel.int8 and read is not None and read <= channels


def _in_half(kernel: PredictedKernel, inside: set[str]) -> PredictedKernel:
    def half(tensors: Iterable[Tensor]) -> tuple[Tensor, ...]:
        return tuple(
            replace(t, dtype="f16") if t.dtype == "f32" and t.name in inside else t for t in tensors
        )

    return replace(
        kernel,
        inputs=half(kernel.inputs),
        outputs=half(kernel.outputs),
        weights=tuple(replace(t, dtype="f16") if t.dtype == "f32" else t for t in kernel.weights),
        dtype="f16" if kernel.dtype == "f32" and kernel.macs else kernel.dtype,
    )
