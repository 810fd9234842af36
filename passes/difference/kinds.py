"""The differences that follow from what a fusion and a share are, and not from a line of one."""

from __future__ import annotations

from dataclasses import dataclass

from sparqc.passes.difference.difference import Difference, Kind


@dataclass(frozen=True)
class General:
    """One sort of difference, for findings and for the page about it."""

    id: str
    kind: Kind
    doc: str
    source: str

    def difference(self, reader: str, value: str, message: str) -> Difference:
        """One of its sort."""
        return Difference(self.id, self.kind, reader, value, message, self.source)


MOVES_FLOATS = General(
    "move-has-float-reader",
    "missing",
    "An operator that moves data moves codes only if every reader of what it gives takes them.",
    "tensorrt.md §3.8",
)
INSIDE = General(
    "pair-inside-kernel",
    "extra",
    "Nothing is quantized inside of what the target runs as one kernel.",
    "tensorrt.md §3.3, §3.4, §3.6",
)
FLOAT_READER = General(
    "float-readers",
    "extra",
    "A QuantizeLinear exists only where a reader runs in INT8: else it is a conversion, and one "
    "back, for nothing.",
    "tensorrt.md §3.2, §3.10, §3.14",
)
SEVERAL_SCALES = General(
    "several-scales",
    "scale",
    "All QuantizeLinears on one tensor have one scale: else it is converted once for each.",
    "tensorrt.md §3.11",
)
SCALES_TIED = General(
    "scales-differ",
    "scale",
    "Values between which codes pass, or that a kernel reads together, have one scale.",
    "tensorrt.md §3.8, §3.9",
)
NEVER_SPARSE = General(
    "two-four-for-nothing",
    "extra",
    "A weight is 2:4 where no sparse kernel takes it: that costs accuracy for nothing.",
    "tensorrt.md §5.1, §5.2, §5.4",
)
LEFT_IN_FLOAT = General(
    "left-in-float",
    "missing",
    "Whoever quantized the graph left a layer in float, which the target would run in INT8.",
    "tensorrt.md §3.1",
)
#: What a target supports as it is, though the plan is faster: a note at most.
SUPPORTED = frozenset({"weight-only"})
#: Every one, in the order of their pages.
GENERAL = (
    MOVES_FLOATS, INSIDE, FLOAT_READER, SEVERAL_SCALES, SCALES_TIED, NEVER_SPARSE, LEFT_IN_FLOAT,
)  # fmt: skip
