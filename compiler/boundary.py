"""The element types of graph inputs and outputs: what a person asks for with `--io`, and how arrays
are given to and taken from a graph whose types are others than the model's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from sparqc.errors import UsageError, did_you_mean
from sparqc.ir.graph import Array, Graph, Value

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
    batch: Sequence[Array], inputs: Sequence[Value], scales: Mapping[str, float]
) -> list[Array]:
    """The arrays in the types of the inputs: FP32 becomes FP16, or INT8 codes by their scales."""
    if len(batch) != len(inputs):
        return list(batch)  # the runner says what is wrong
    return [_encode(a, v, scales) for a, v in zip(batch, inputs, strict=True)]


def _encode(array: Array, value: Value, scales: Mapping[str, float]) -> Array:
    if array.dtype != np.float32:
        return array
    if value.type.dtype == "f16":
        return array.astype(np.float16)
    if value.name not in scales:
        return array
    codes = np.rint(array / np.float32(scales[value.name]))
    return np.clip(codes, -128, 127).astype(np.int8)


def decode(
    outputs: Sequence[Array], names: Sequence[str], scales: Mapping[str, float]
) -> list[Array]:
    """The numbers that outputs stand for: INT8 codes times their scale."""
    return [
        array.astype(np.float32) * np.float32(scales[name]) if name in scales else array
        for array, name in zip(outputs, names, strict=True)
    ]
