"""The element types of graph inputs and outputs: what a person asks for with `--io`, and how arrays
are given to and taken from a graph whose types are others than the model's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from sparqc.errors import UsageError, did_you_mean
from sparqc.ir.graph import Array, Graph

#: "float" leaves the model's own type.
WORDS = ("float", "fp16", "int8")


@dataclass(frozen=True)
class BoundaryTypes:
    """The wishes: one word for all float inputs and outputs, and words for some by their name."""

    everywhere: str = "float"
    named: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> BoundaryTypes:
        """Read `fp16`, `logits=int8`, or `int8,logits=float`; UsageError for anything else."""
        everywhere, named = "float", {}
        for item in text.split(","):
            name, equals, word = item.strip().rpartition("=")
            if word not in WORDS or bool(equals) != bool(name):
                raise UsageError(
                    f"--io {text}: {item.strip()!r} is not one of {', '.join(WORDS)}, nor NAME= "
                    "and one of these",
                    hint=did_you_mean(word, WORDS),
                )
            if name:
                named[name] = word
            else:
                everywhere = word
        return cls(everywhere, named)

    @property
    def is_plain(self) -> bool:
        """Whether nothing but the model's own types is asked for."""
        return {self.everywhere, *self.named.values()} == {"float"}

    def of(self, name: str) -> str:
        """The word for an input or output."""
        return self.named.get(name, self.everywhere)

    def check(self, graph: Graph) -> None:
        """Raises UsageError for a name that the graph does not have, or that is no float tensor."""
        ends = {v.name: v for v in graph.inputs}
        ends |= dict(zip(graph.output_names, graph.outputs, strict=True))
        for name, word in self.named.items():
            if name not in ends:
                hint = did_you_mean(name, ends) or f"there are: {', '.join(ends)}"
                raise UsageError(f"--io {name}={word}: no input or output has that name", hint=hint)
            dtype = ends[name].type.dtype
            if word != "float" and dtype not in ("f32", "?"):
                raise UsageError(
                    f"--io {name}={word}: it is {dtype}, and only FP32 inputs and outputs change"
                )


def encode(
    batch: Sequence[Array], inputs: Iterable[tuple[str, str]], scales: Mapping[str, float]
) -> list[Array]:
    """Arrays in the types of the inputs, each given by name and dtype (such as "f16"): FP32 becomes
    FP16, or INT8 codes by the scale of that name."""
    ends = list(inputs)
    if len(batch) != len(ends):
        return list(batch)  # the runner says what is wrong
    return [_encode(a, n, t, scales) for a, (n, t) in zip(batch, ends, strict=True)]


def ends_of(graph: Graph) -> list[tuple[str, str]]:
    """Name and dtype of each input."""
    return [(value.name, value.type.dtype) for value in graph.inputs]


def _encode(array: Array, name: str, dtype: str, scales: Mapping[str, float]) -> Array:
    if array.dtype != np.float32:
        return array
    if dtype == "f16":
        return array.astype(np.float16)
    if name not in scales:
        return array
    codes = np.rint(array / np.float32(scales[name]))
    return np.clip(codes, -128, 127).astype(np.int8)


def decode(
    outputs: Sequence[Array], names: Sequence[str], scales: Mapping[str, float]
) -> list[Array]:
    """The numbers that outputs stand for, in FP32: those in FP16, and INT8 codes times their
    scale."""
    return [_decode(array, scales.get(name)) for array, name in zip(outputs, names, strict=True)]


def _decode(array: Array, scale: float | None) -> Array:
    if scale is not None:
        return array.astype(np.float32) * np.float32(scale)
    return array.astype(np.float32) if array.dtype == np.float16 else array
