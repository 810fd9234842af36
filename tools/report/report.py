"""What one compile did, as plain values: read off the result, shown by `text.py` beside this."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sparqc
from sparqc.errors import UsageError
from sparqc.job.verify import Difference
from sparqc.passes.adopt.adopted import Adoption
from sparqc.passes.adopt.foreign import ANY
from sparqc.passes.check.finding import Finding, Findings
from sparqc.passes.masks.pruning import Pruning, misplaced_notes
from sparqc.tools.engine.onnx_source import read_source
from sparqc.tools.engine.shapes import ShapeRange, input_ranges
from sparqc.tools.engine.trtexec import trtexec_line
from sparqc.tools.report.adjusted import adjusted_notes, judged_notes
from sparqc.tools.report.adopted import AdoptedRows, adopted_rows
from sparqc.tools.report.layers import (
    LayerRow,
    OtherRow,
    ResidualAdds,
    layer_rows,
    other_rows,
    residual_adds,
)
from sparqc.tools.report.permuted import permuted_notes
from sparqc.tools.report.quality import Quality, quality_notes, quality_of
from sparqc.tools.report.ranges import QuantizerRow, quantizer_rows, range_notes
from sparqc.tools.report.samples import sample_notes
from sparqc.tools.report.types import OperatorTypes, operator_types

if TYPE_CHECKING:
    from sparqc.job.run import Compiled
    from sparqc.pipeline.events import PassEvent
    from sparqc.pipeline.gate import Loss
    from sparqc.tools.model.evaluation import Metric


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
class Report:
    """All that a person may want to know of one compile."""

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
    version: str = field(default_factory=lambda: str(sparqc.__version__))

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
            "sizes": self.sizes.to_json(),
            "files": [str(path) for path in self.files],
            "build_command": self.build_line,
            "seconds": dict(self.phases),
            "cpu_seconds": self.cpu_seconds,
        }


@dataclass(frozen=True)
class Account:
    """What the command line knows of a compile beside its result."""

    model: str
    float_bytes: int
    passes: Sequence[PassRow] = ()
    metrics: Sequence[Metric] = ()
    notes: Sequence[str] = ()
    phases: Mapping[str, float] = field(default_factory=dict)
    cpu_seconds: float = 0.0


def report_of(compiled: Compiled, account: Account) -> Report:
    """The report on a compile whose file is written."""
    context = compiled.context
    return Report(
        model=account.model,
        target=context.target.name,
        compiler=context.target.compiler,
        pipeline=str(compiled.pipeline),
        skipped=tuple(map(str, compiled.skipped)),
        layers=tuple(layer_rows(compiled.graph, context)),
        others=tuple(other_rows(compiled.graph, context)),
        adds=residual_adds(compiled.graph, context),
        passes=tuple(_with_losses(account.passes, compiled.losses)),
        difference=compiled.difference,
        metrics=tuple(account.metrics),
        findings=found.findings if (found := context.facts.get(Findings)) else None,
        opaque=_opaque(compiled),
        notes=(
            *compiled.notes,
            *account.notes,
            *sample_notes(context.facts),
            *misplaced_notes(context.facts.get(Pruning, Pruning())),
            *permuted_notes(context.facts),
            *judged_notes(context.facts),
            *adjusted_notes(context.facts),
            *range_notes(context.facts),
            *quality_notes(compiled),
        ),
        sizes=Sizes(sum(p.stat().st_size for p in compiled.files), account.float_bytes),
        files=tuple(compiled.files),
        build_line=_build_line(compiled),
        phases=account.phases,
        types=operator_types(compiled.graph, context),
        quantizers=quantizer_rows(context.facts),
        adopted=adopted_rows(context.facts),
        cpu_seconds=account.cpu_seconds,
        quality=quality_of(compiled),
    )


def _with_losses(rows: Sequence[PassRow], losses: Sequence[Loss]) -> Iterator[PassRow]:
    """The passes with what those that may change numbers did to the outputs."""
    left = list(losses)
    for row in rows:
        if left and left[0].pass_ == row.name and row.changes:
            drift = left.pop(0).drift
            yield row if row.snr_db is not None else replace(row, snr_db=drift.snr_db)
        else:
            yield row


def _opaque(compiled: Compiled) -> dict[str, int]:
    """What passed through: not the quantizers that were taken out."""
    removed = ANY if Adoption in compiled.context.facts else frozenset()
    return {name: count for name, count in compiled.opaque.items() if name not in removed}


def _build_line(compiled: Compiled) -> str:
    """The command that builds the engine for 1 to 8 samples at once."""
    inputs = read_source(compiled.model).inputs
    free = [i for i in inputs if i.dims is None or any(isinstance(d, str) for d in i.dims)]
    try:
        ranges = input_ranges(free)
    except UsageError:  # a size beside the batch is free: the example says which is usual
        ranges = _example_ranges(compiled, [i.name for i in free])
    return trtexec_line(compiled.files[0], compiled.context.target.name, ranges)


def _example_ranges(compiled: Compiled, free: Sequence[str]) -> dict[str, ShapeRange]:
    shapes = {
        value.name: tuple(array.shape)
        for value, array in zip(compiled.graph.inputs, compiled.context.example, strict=False)
    }
    known = {name: shapes[name] for name in free if name in shapes}
    return {name: ShapeRange((1, *dims[1:]), dims, dims) for name, dims in known.items()}
