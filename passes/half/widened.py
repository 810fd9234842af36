"""What was FP16 in a model that is FP32 meanwhile."""

from __future__ import annotations

from dataclasses import dataclass

from sparqc.rewrite.context import Context


@dataclass(frozen=True)
class Widened:
    """The fact that `widen` leaves: which operators were FP16, by the names of what they give."""

    half: frozenset[str] = frozenset()
    #: Those that were FP32, where others computed in FP16: somebody has seen to that.
    full: frozenset[str] = frozenset()
    #: Why the model stays as it is; "" where it does not.
    refused: str = ""


def ends_in_half(context: Context) -> bool:
    """Whether floats shall be FP16 in the end: a person or the target asks for it, or the model
    came in FP16 and nobody asks for FP32."""
    came = bool(context.facts.get(Widened, Widened()).half)
    return context.precision == "fp16" or (came and not context.precision_asked)
