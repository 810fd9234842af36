"""The placement plan: which layer runs in INT8 and which value carries which quantizer, and why."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Quantizer:
    """One Q on one value, with a DQ for each reader."""

    value: str
    scale: str  # the constant that holds the scale; quantizers of one scale group name the same
    axis: int | None  # None: per tensor
    readers: tuple[str, ...]  # "conv.x"
    reason: str  # the fusion that asks for it


@dataclass(frozen=True)
class Layer:
    """What was decided for one operator that a kernel could run in INT8."""

    name: str  # as the operator is marked: `sparqc.ir.layer_identity`
    op: str
    module: str
    source: str
    weight: str | None
    shape: tuple[int | str, ...] | None  # of the weight
    fusion: str | None
    int8: bool
    reason: str  # why it stays in float; "" where it does not


@dataclass(frozen=True)
class Placement:
    """All decisions of one placement: the fact that `place` leaves."""

    layers: tuple[Layer, ...] = ()
    quantizers: tuple[Quantizer, ...] = ()
