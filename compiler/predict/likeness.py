"""The kernels of witnesses that are most like a layer: what real engines chose for such ones."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sparqc.declared.gpus import Generation
from sparqc.predict.built_types import as_built
from sparqc.predict.engine import PredictedEngine
from sparqc.predict.layer_shape import LayerShape
from sparqc.predict.witness import SeenKernel, Witness

#: Channels of a layer that is like another one are at most so many times as many, or as few.
CHANNELS = 2
#: Its rows.
ROWS = 4

#: The types of predictions, as witnesses call them.
_TYPES = {"i8": "int8", "f16": "float16", "bf16": "bfloat16", "f32": "float32"}


@dataclass(frozen=True)
class Likeness:
    """What one witness shows of layers like one: the same kind, type, kernel, stride and Add, of
    about as many channels and rows, and such that they may run sparse."""

    witness: Witness
    kernels: tuple[SeenKernel, ...]
    #: What the GPU that was asked for is of, where the witness is of another generation; else "".
    other_than: str = ""

    @property
    def sparse(self) -> int:
        """Those that ran sparse."""
        return sum(bool(k.sparse) for k in self.kernels)

    @property
    def gains(self) -> tuple[float, ...]:
        """How many times faster each was that ran sparse, where both times are known."""
        pairs = ((k.dense_us, k.sparse_us) for k in self.kernels if k.sparse)
        return tuple(sorted(a / b for a, b in pairs if a is not None and b is not None))

    @property
    def text(self) -> str:
        """`sparse ran in 9 of 9 such layers, 1.17 to 1.44 times faster: unet-int8 (A100, …)`."""
        seen = f"sparse ran in {self.sparse} of {len(self.kernels)} such layers"
        if self.gains:
            first, last = (f"{gain:.2f}" for gain in (self.gains[0], self.gains[-1]))
            seen += f", {first if first == last else f'{first} to {last}'} times faster"
        none = f"; no witness of {self.other_than}" if self.other_than else ""
        return f"{seen}: {self.witness}{none}"

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "witness": self.witness.name, "gpu": self.witness.gpu.name,
            "engine": self.witness.engine, "layers": len(self.kernels), "sparse": self.sparse,
            "gains": [round(gain, 3) for gain in self.gains], "text": self.text,
        }  # fmt: skip


def nearest(
    sizes: LayerShape, dtype: str, known: Iterable[Witness], generations: Sequence[Generation] = ()
) -> Likeness | None:
    """The witness with the most layers like one of these sizes that computes in `dtype` (i8, f16).

    Those of GPUs of one of the generations come first.  None where no witness has any.
    """
    found = []
    names = [generation.name for generation in generations]
    for witness in known:
        like = tuple(k for k in witness.kernels if _tells(k) and _alike(k, sizes, dtype))
        same = witness.gpu.generation.name in names
        other = "" if same else ", ".join(generation.doc for generation in generations)
        if like:
            found.append((not same, -len(like), Likeness(witness, like, other)))
    return min(found, key=lambda entry: entry[:2])[2] if found else None


def _tells(kernel: SeenKernel) -> bool:
    return kernel.eligible and kernel.sparse is not None


def _alike(seen: SeenKernel, asked: LayerShape, dtype: str) -> bool:
    there = seen.sizes
    same = ("operator", "kernel", "stride", "groups", "adds")
    return (
        seen.computes == _TYPES.get(dtype)
        and all(getattr(there, name) == getattr(asked, name) for name in same)
        and _near(there.k, asked.k, CHANNELS)
        and _near(there.c, asked.c, CHANNELS)
        and _near(there.rows, asked.rows, ROWS)
    )


def _near(first: int, second: int, factor: int) -> bool:
    return first <= factor * second and second <= factor * first


def likenesses(
    engine: PredictedEngine, known: Sequence[Witness], generations: Sequence[Generation] = ()
) -> dict[str, Likeness]:
    """What witnesses show of layers like each weighted operator, by the value that it gives."""
    types = {kernel.name: kernel.computes_in for kernel in as_built(engine).kernels}
    found = {}
    for row in engine.ledger:
        dtype = types.get(row.kernel, "")
        if row.sizes is not None and (like := nearest(row.sizes, dtype, known, generations)):
            found[row.value] = like
    return found
