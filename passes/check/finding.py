"""What a check says of one place in a graph."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Grade = Literal["error", "slow", "note"]


@dataclass(frozen=True)
class Finding:
    """One place in the graph that a check found."""

    id: str
    grade: Grade
    nodes: tuple[str, ...]
    message: str
    cure: str = ""
    source: str = ""
    #: What `sparqc check --fix` keeps of the numbers ("exact", "close", "lossy"); "" for no fix.
    fix: str = ""
    #: What it costs, in words, and as a share of the engine's time; "" and None where nobody knows.
    cost: str = ""
    share: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain data for `--json`."""
        return asdict(self)


@dataclass(frozen=True)
class Findings:
    """The fact that `check` leaves."""

    findings: tuple[Finding, ...] = ()
