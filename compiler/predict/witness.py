"""A witness: what the kernels of one real engine were seen to do, without names and weights."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from sparqc.declared.gpus import Gpu
from sparqc.predict.layer_shape import Kind, LayerShape

Dtype = Literal["int8", "int4", "float4", "float8", "float16", "bfloat16", "float32"]
Epilogue = Literal["add", "activation", "pool"]


@dataclass(frozen=True)
class SeenKernel:
    """A kernel with one weighted operator: an entry of `kernels` in a witness.

    The sizes are those of `LayerShape`.
    """

    operator: Kind
    k: int
    c: int
    rows: int
    #: The type that it multiplies in.
    computes: Dtype
    kernel: tuple[int, ...] = ()
    stride: tuple[int, ...] = ()
    groups: int = 1
    #: The types of the activations that it reads and writes; none where that was not seen.
    reads: tuple[Dtype, ...] = ()
    writes: tuple[Dtype, ...] = ()
    #: What it does behind the products.
    epilogue: tuple[Epilogue, ...] = ()
    #: Whether its weight is 2:4 and its channels are such that a sparse kernel may run.
    eligible: bool = False
    #: Whether a sparse kernel ran, where these were allowed; None where that was not seen.
    sparse: bool | None = None
    #: Microseconds in an engine without sparse kernels, and in one in which they were allowed.
    dense_us: float | None = None
    sparse_us: float | None = None

    @property
    def sizes(self) -> LayerShape:
        """What likeness is told by."""
        return LayerShape(
            self.operator, self.k, self.c, self.rows, self.kernel, self.stride, self.groups,
            adds="add" in self.epilogue,
        )  # fmt: skip

    @property
    def timed(self) -> bool:
        """Whether a time was measured."""
        return self.dense_us is not None or self.sparse_us is not None


@dataclass(frozen=True)
class Head:
    """A table as it stands in the file, without its kernels."""

    name: str
    gpu: str
    compiler: str
    version: str
    batch: int
    #: How INT8 came about.
    quantized: Literal["q-dq", "calibration", "none"]
    #: What the network is, in words for people.
    network: str = ""
    #: Where the figures were published, and on what terms; "" of an engine of one's own.
    source: str = ""
    license: str = ""
    #: Microseconds of the whole network, without and with sparse kernels where these pay.
    dense_us: float | None = None
    sparse_us: float | None = None
    #: How many times faster it was with them, where only that is known.
    gain: float | None = None


@dataclass(frozen=True)
class Witness:
    """One engine that ran on a GPU."""

    head: Head
    gpu: Gpu
    kernels: tuple[SeenKernel, ...]
    #: Where it stands.
    file: str

    @property
    def name(self) -> str:
        """The name of its table."""
        return self.head.name

    @property
    def timed(self) -> int:
        """The kernels with times."""
        return sum(k.timed for k in self.kernels)

    @property
    def sparse(self) -> int:
        """The kernels that ran sparse."""
        return sum(bool(k.sparse) for k in self.kernels)

    @property
    def told(self) -> int:
        """The kernels that might have run sparse and of which it was seen whether they did."""
        return sum(k.eligible and k.sparse is not None for k in self.kernels)

    @property
    def built_with(self) -> str:
        """The compiler and its version."""
        return f"{self.head.compiler} {self.head.version}"

    @property
    def engine(self) -> str:
        """The GPU, and what built it: `A40, ...`."""
        return f"{self.gpu.doc}, {self.built_with}"

    @property
    def whole(self) -> str:
        """What is known of the time of the whole network, in words; "" where nothing is."""
        head = self.head
        times = {"": head.dense_us, " with sparse kernels": head.sparse_us}
        known = [f"{us / 1e3:g} ms{where}" for where, us in times.items() if us is not None]
        known += [] if head.gain is None else [f"{head.gain:g} times faster with sparse kernels"]
        return ", ".join(known)

    def __str__(self) -> str:
        network = f", {self.head.network}" if self.head.network else ""
        return f"{self.name} ({self.engine}{network})"

    def to_json(self) -> dict[str, Any]:
        """Plain data; what is not known is left out of kernels."""
        own = {**vars(self.head), "file": self.file, "generation": self.gpu.generation.name}
        return {**own, "kernels": [dict(_filled(k)) for k in self.kernels]}


def _filled(kernel: SeenKernel) -> Iterator[tuple[str, Any]]:
    for key, value in vars(kernel).items():
        if value not in (None, ()):
            yield key, list(value) if isinstance(value, tuple) else value
