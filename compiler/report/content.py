"""What is said of one compile, as plain values."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from sparqc.base.version import __version__
from sparqc.job.verify import Difference
from sparqc.passes.check.finding import Finding
from sparqc.pipeline.events import PassEvent
from sparqc.pipeline.unfired import UnfiredRule
from sparqc.report.adopted import AdoptedRows
from sparqc.report.layers import LayerRow, OtherRow, ResidualAdds
from sparqc.report.metric import Metric
from sparqc.report.quality import Quality
from sparqc.report.ranges import QuantizerRow
from sparqc.report.types import OperatorTypes


@dataclass(frozen=True)
class PassRow:
    """One pass that ran."""

    name: str
    changes: int
    seconds: float
    cpu_seconds: float
    #: Signal-to-noise ratio of the outputs: of a pass that may change numbers against the model as
    #: it was read, with --check against the graph before the pass; None where it was not measured.
    snr_db: float | None = None
    #: Why it did not run: "skip" or "limit".
    skipped: str = ""

    @classmethod
    def of(cls, event: PassEvent) -> PassRow:
        """The row of an event."""
        return cls(
            event.pass_,
            event.changes,
            event.seconds,
            event.cpu_seconds,
            event.drift.snr_db if event.drift else None,
            event.skipped,
        )

    def to_json(self) -> dict[str, Any]:
        """Plain data; an infinite ratio becomes None."""
        snr = self.snr_db if self.snr_db is not None and math.isfinite(self.snr_db) else None
        return {**asdict(self), "snr_db": snr}


@dataclass(frozen=True)
class Sizes:
    """Bytes of the files that were written, and of the original's parameters in FP32."""

    file_bytes: int
    float_bytes: int

    def to_json(self) -> dict[str, int]:
        """Plain data."""
        return asdict(self)


@dataclass(frozen=True)
class Content:
    """All that a person may want to know of one compile, as values."""

    model: str
    target: str
    compiler: str
    pipeline: str
    skipped: tuple[str, ...]
    layers: tuple[LayerRow, ...]
    others: tuple[OtherRow, ...]
    adds: ResidualAdds
    passes: tuple[PassRow, ...]
    difference: Difference | None
    metrics: tuple[Metric, ...]
    #: None where the pass `check` did not run.
    findings: tuple[Finding, ...] | None
    opaque: Mapping[str, int]
    notes: tuple[str, ...]
    sizes: Sizes
    files: tuple[Path, ...]
    build_line: str
    #: Wall seconds of reading, compiling, writing and evaluating.
    phases: Mapping[str, float]
    cpu_seconds: float
    types: OperatorTypes = field(default_factory=OperatorTypes)
    #: The quantizers whose scales were measured.
    quantizers: tuple[QuantizerRow, ...] = ()
    #: None where the model carried no quantizers of another tool.
    adopted: AdoptedRows | None = None
    quality: Quality = field(default_factory=Quality)
    #: The rules of a person's own that fired nowhere, each with its nearest miss.
    unfired: tuple[UnfiredRule, ...] = ()
    version: str = field(default_factory=lambda: str(__version__))

    @property
    def int8_layers(self) -> int:
        """How many weighted operators read data and weight as INT8."""
        return sum(row.int8 for row in self.layers)

    @property
    def sparse_layers(self) -> int:
        """How many weighted operators have a 2:4 weight."""
        return sum(row.sparse for row in self.layers)

    def to_json(self) -> dict[str, Any]:
        """Plain data; the keys are stable."""
        return {
            "version": self.version,
            "model": self.model,
            "target": self.target,
            "pipeline": self.pipeline,
            "skipped_passes": list(self.skipped),
            "int8_layers": self.int8_layers,
            "sparse_layers": self.sparse_layers,
            "layers": [row.to_json() for row in self.layers],
            "without_weights": [row.to_json() for row in self.others],
            "quantizers": [row.to_json() for row in self.quantizers],
            "residual_adds": self.adds.to_json(),
            "types": self.types.to_json(),
            "adopted": self.adopted.to_json() if self.adopted else None,
            "passes": [row.to_json() for row in self.passes],
            "difference": self.difference.to_json() if self.difference else None,
            "quality": self.quality.to_json(),
            "metrics": [metric.to_json() for metric in self.metrics],
            "findings": None
            if self.findings is None
            else [finding.to_json() for finding in self.findings],
            "opaque_operators": dict(self.opaque),
            "notes": list(self.notes),
            "unfired_rules": [miss.to_json() for miss in self.unfired],
            "sizes": self.sizes.to_json(),
            "files": [str(path) for path in self.files],
            "build_command": self.build_line,
            "seconds": dict(self.phases),
            "cpu_seconds": self.cpu_seconds,
        }
