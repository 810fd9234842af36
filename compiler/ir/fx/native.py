"""What an FX graph holds that the `Graph` interface has no place for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Ref:
    """Stands in a template for an operand of the node, or for one item of a tuple operand."""

    slot: str
    index: int | None = None


@dataclass(frozen=True)
class FxRaw:
    """`Node.raw` of a call that operands and attributes cannot say: a template of its arguments.

    `Ref`s stand for tensors, everything else is passed on as it is (submodules included).
    """

    target: Any
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    #: Whether the call gives a tuple, be it of one.
    several: bool = False


@dataclass(frozen=True)
class FxNative:
    """`Graph.native` of an FX graph."""

    #: The parameters and buffers of the user's module by full name: whether each was trained.
    tensors: Mapping[str, bool] = field(default_factory=dict)
    #: Those that are parameters, be they frozen.
    parameters: frozenset[str] = frozenset()
    #: The placeholders in order: name, and the input's number or the constant a caller must pass.
    placeholders: tuple[tuple[str, Any], ...] = ()
    #: What forward returns, with `Ref("output", i)` for the graph's i-th output; None where it
    #: returns the outputs as a tuple, or the only one bare.
    output: Any = None
    #: torch's description of how arguments and results are nested; None where they are not.
    pytree: Any = None
