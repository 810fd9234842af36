"""How long an engine takes on a GPU: at least, by a roofline, and as measured engines do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sparqc.declared.gpus import Gpu
from sparqc.declared.targets import Profile, profiles
from sparqc.predict.built_types import as_built
from sparqc.predict.engine import PredictedEngine, PredictedKernel
from sparqc.predict.kernel_time import (
    arithmetic_seconds,
    kernel_seconds,
    least_seconds,
    traffic_seconds,
)
from sparqc.predict.witness import Witness
from sparqc.predict.witnesses import witness


@dataclass(frozen=True)
class Times:
    """Seconds for one batch, without 2:4 kernels, and with them where they pay."""

    dense: float
    sparse: float


@dataclass(frozen=True)
class Estimate:
    """How long an engine takes on a GPU; tensors and products of unknown size are left out."""

    gpu: Gpu
    #: As measured engines do.
    about: Times
    #: The bound from below.
    least: Times
    #: Seconds of the dense bound that wait for memory and not for arithmetic.
    memory: float
    #: What is to be said of this GPU and target: whose constants these are, what is slow there.
    notes: tuple[str, ...] = ()

    @property
    def witnesses(self) -> tuple[Witness, ...]:
        """What its constants were fitted to."""
        return tuple(map(witness, self.gpu.generation.constants.witnesses))

    @property
    def rests_on(self) -> str:
        """The same in words, and how far off it is."""
        return f"{', '.join(map(str, self.witnesses))}; {self.gpu.generation.constants.off}"

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "gpu": self.gpu.name, "source": self.gpu.source,
            "dense_seconds": self.about.dense, "sparse_seconds": self.about.sparse,
            "bound": {
                "dense_seconds": self.least.dense, "sparse_seconds": self.least.sparse,
                "memory_bound_seconds": self.memory,
            },
            "witnesses": [w.name for w in self.witnesses], "witness": self.rests_on,
            "notes": list(self.notes),
        }  # fmt: skip


def estimate(engine: PredictedEngine, gpu: Gpu) -> Estimate:
    """The times of an engine."""
    target = profiles().get(engine.target)
    kernels = as_built(engine).kernels
    dense, sparse = (sum(kernel_seconds(k, gpu, s) for k in kernels) for s in (False, True))
    least = [sum(least_seconds(k, gpu, s) for k in kernels) for s in (False, True)]
    waiting = sum(traffic_seconds(k, gpu, False) for k in kernels if _waits(k, gpu))
    int8 = any(k.int8 and k.macs for k in engine.kernels)
    notes = tuple(gpu_notes(gpu, target, int8))
    return Estimate(gpu, Times(dense, sparse), Times(*least), waiting, notes)


def _waits(kernel: PredictedKernel, gpu: Gpu) -> bool:
    """Whether it waits for memory."""
    return traffic_seconds(kernel, gpu, False) >= arithmetic_seconds(kernel, gpu, False)


def gpu_notes(gpu: Gpu, target: Profile | None, int8: bool) -> Iterator[str]:
    """What a person should know who asks for times on a GPU, of an engine that multiplies in INT8
    or that does not."""
    if gpu.borrowed:
        yield gpu.borrowed
    if gpu.loses_to_fp8 and int8:
        yield gpu.loses_to_fp8
    if gpu.jetpack and target is not None and not target.jetpack:
        others = " or ".join(name for name, found in profiles().items() if found.jetpack)
        yield f"it runs JetPack, which {target.compiler} does not support: take {others}"
