"""The report on a compile, read off its result."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from sparqc.errors import UsageError
from sparqc.ir.input_shapes import ShapeRange, input_ranges
from sparqc.ir.onnx.inputs import input_specs
from sparqc.job.result import Result
from sparqc.passes.adopt.adopted import Adoption
from sparqc.passes.adopt.foreign import ANY
from sparqc.passes.check.finding import Findings
from sparqc.passes.masks.pruning import Pruning, misplaced_notes
from sparqc.pipeline.gate import Loss
from sparqc.pipeline.unfired import OwnRules
from sparqc.report.adopted import adopted_rows
from sparqc.report.content import PassRow, Sizes
from sparqc.report.layers import layer_rows, other_rows, residual_adds
from sparqc.report.metric import Metric
from sparqc.report.notes.adjusted import adjusted_notes, judged_notes
from sparqc.report.notes.permuted import permuted_notes
from sparqc.report.notes.samples import sample_notes
from sparqc.report.quality import quality_notes, quality_of
from sparqc.report.ranges import quantizer_rows, range_notes
from sparqc.report.report import Report
from sparqc.report.types import operator_types


@dataclass(frozen=True)
class Account:
    """What is known of a compile beside its result."""

    #: What people call the model.
    model: str
    #: Those of the result, where nothing else is said.
    passes: Sequence[PassRow] | None = None
    metrics: Sequence[Metric] = ()
    notes: Sequence[str] = ()
    #: Wall seconds.
    phases: Mapping[str, float] = field(default_factory=dict)
    #: Those of the whole process; 0 where it does other things too.
    cpu_seconds: float = 0.0


def report_of(result: Result, account: Account) -> Report:
    """The report on a compile, with the files that are written by now."""
    context = result.context
    passes = account.passes
    if passes is None:
        passes = [PassRow.of(event) for event in result.passes]
    return Report(
        model=account.model,
        target=context.target.name,
        compiler=context.target.compiler,
        pipeline=str(result.pipeline),
        skipped=tuple(map(str, result.skipped)),
        layers=tuple(layer_rows(result.graph, context)),
        others=tuple(other_rows(result.graph, context)),
        adds=residual_adds(result.graph, context),
        passes=tuple(_with_losses(passes, result.losses)),
        difference=result.difference,
        metrics=tuple(account.metrics),
        findings=found.findings if (found := context.facts.get(Findings)) else None,
        opaque=_opaque(result),
        notes=(
            *result.notes,
            *account.notes,
            *sample_notes(context.facts),
            *misplaced_notes(context.facts.get(Pruning, Pruning())),
            *permuted_notes(context.facts),
            *judged_notes(context.facts),
            *adjusted_notes(context.facts),
            *range_notes(context.facts),
            *quality_notes(result),
        ),
        sizes=Sizes(_bytes_of(result), result.float_bytes),
        files=tuple(result.files),
        build_line=_build_line(result),
        phases=account.phases,
        types=operator_types(result.graph, context),
        quantizers=quantizer_rows(context.facts),
        adopted=adopted_rows(context.facts),
        cpu_seconds=account.cpu_seconds,
        quality=quality_of(result),
        unfired=context.facts.get(OwnRules, OwnRules()).unfired,
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


def _opaque(result: Result) -> dict[str, int]:
    """What passed through: not the quantizers that were taken out."""
    removed = ANY if Adoption in result.context.facts else frozenset()
    return {name: count for name, count in result.opaque.items() if name not in removed}


def _bytes_of(result: Result) -> int:
    """Of the files; of the model where there are none, or none any more."""
    if result.files and all(path.is_file() for path in result.files):
        return sum(path.stat().st_size for path in result.files)
    return int(result.model.ByteSize())


def _build_line(result: Result) -> str:
    """The command that builds the engine for 1 to 8 samples at once; "" without a file."""
    if not result.files:
        return ""
    free = [spec for spec in input_specs(result.model) if spec.is_free]
    try:
        ranges = input_ranges(free)
    except UsageError:  # a size beside the batch is free: the example says which is usual
        ranges = _example_ranges(result, [i.name for i in free])
    shapes = {name: (found.min, found.opt, found.max) for name, found in ranges.items()}
    return result.context.target.build_command(result.files[0], shapes)


def _example_ranges(result: Result, free: Sequence[str]) -> dict[str, ShapeRange]:
    shapes = {
        value.name: tuple(array.shape)
        for value, array in zip(result.graph.inputs, result.context.example, strict=False)
    }
    known = {name: shapes[name] for name in free if name in shapes}
    return {name: ShapeRange((1, *dims[1:]), dims, dims) for name, dims in known.items()}
