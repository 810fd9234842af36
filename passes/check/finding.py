"""What a check says of one place in a graph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from sparqc.ir.layer_names import layer_name

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
    #: The module of each of the nodes, "" where it is not known.
    modules: tuple[str, ...] = ()

    @property
    def titles(self) -> tuple[str, ...]:
        """What people call the nodes."""
        modules = self.modules or ("",) * len(self.nodes)
        return tuple(map(layer_name, self.nodes, modules))

    def with_modules(self, modules: Mapping[str, str]) -> Finding:
        """The same with the modules of its nodes, by name."""
        return replace(self, modules=tuple(modules.get(name, "") for name in self.nodes))

    def to_json(self) -> dict[str, Any]:
        """Plain data for `--json`."""
        return asdict(self)


@dataclass(frozen=True)
class Findings:
    """The fact that `check` leaves."""

    findings: tuple[Finding, ...] = ()
