"""A job carried out: the passes run, the ONNX graph is written, compared and checked."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import cast

import onnx

from sparqc.declared.targets import Profile
from sparqc.errors import SparqcError, UsageError
from sparqc.ir.boundary import decode, encode, ends_of
from sparqc.ir.graph import Array, Graph
from sparqc.ir.levels.execute import open_runner
from sparqc.ir.onnx.adapter import write_onnx
from sparqc.ir.runner import Runner
from sparqc.ir.samples import first_samples
from sparqc.ir.uncalibrated import leave_out_uncalibrated
from sparqc.ir.vocabulary.forms import FLOATS
from sparqc.ir.vocabulary.raw import opsets_of
from sparqc.job.layer_types import require_compiled_types
from sparqc.job.layers import check_kept
from sparqc.job.open import Job
from sparqc.job.result import Result
from sparqc.job.verify import check_meaning, check_model, difference
from sparqc.job.write import reads_origins, require_read, write_for
from sparqc.passes.export import ExportedAlone, RequestedOpset
from sparqc.pipeline import run as pipelines
from sparqc.pipeline.action import Action
from sparqc.pipeline.gate import Gate
from sparqc.pipeline.trace import Recorder
from sparqc.rewrite.context import Context
from sparqc.validation.amplification import rounded_outputs
from sparqc.validation.departure import are_finite


def run_job(job: Job, expected: list[Array] | None = None) -> Result:
    """Run the passes, write the ONNX graph, and compare it with what was read.

    `expected` is what the model gives for `first_samples` of the example inputs; without it the
    graph is run.
    Raises UsageError where layers compute in FP64 or BF16, SparqcError where a pass fails or the
    result is no valid ONNX graph.
    """
    recorder, action = Recorder(), cast(Action, job.context.action)
    action.listeners.append(recorder)
    try:
        result = _result(job, expected)
    finally:
        action.listeners.remove(recorder)
    result.passes = tuple(recorder.passes)
    return result


def _result(job: Job, expected: list[Array] | None) -> Result:
    graph, context = job.graph, job.context
    float_bytes = _float_bytes(graph)
    require_compiled_types(graph, context.table)
    fitting, skipped = job.pipeline.for_level(graph.level)
    opaque = _opaque(graph, context)
    compared, given = first_samples(context.example, graph.inputs), len(context.example) > 0
    gate = job.gate
    if expected is None and given:
        expected = _expected(graph, context, compared)
    if gate is not None and not given:
        compared, expected = _on_sample(graph, context, gate)
    if gate is not None:
        own = partial(rounded_outputs, graph.clone(), compared, context.table)
        gate.begin(compared, expected, own)
    if any(step.cls.needs_reference for step in fitting.steps):
        context.reference = graph.clone()  # arrays are shared, and replaced rather than changed
    final = pipelines.run(fitting, graph, context)
    if context.action.exhausted:
        leave_out_uncalibrated(final)  # no file can hold quantizers whose scales nobody measured
    if final.level != "onnx":
        raise UsageError(
            f"the pipeline ends on a graph of the level {final.level}: {fitting}",
            hint="end it with `export`, and the ONNX passes behind it",
        )
    check_kept(job.layers, context.facts)
    final.drop_dead()
    model = _written(final, context)
    check_model(model)
    check_meaning(model)
    gap, notes = None, job.notes
    if expected is not None:
        runner = open_runner(final, context.table, model=model)
        actual = _decoded(runner, compared, final, context, required=given)
        if actual and given:
            gap = difference(expected, actual, final)
        if actual and gate is not None:
            gate.end(actual, final)
            notes += gate.judge(expected, actual, final)
    if alone := context.facts.get(ExportedAlone):
        opaque = dict(alone.operators)
    done = Result(final, model, context, fitting, skipped, opaque, gap, notes)
    done.float_bytes = float_bytes
    if gate is not None:
        done.losses, done.verified = tuple(gate.losses), gate.compared
        done.unverified = gate.silent
        gate.release()
    return done


def _on_sample(
    graph: Graph, context: Context, gate: Gate
) -> tuple[Sequence[Array], list[Array] | None]:
    """A model without example inputs on the gate's sample, widened where it fails, and what it
    gives; None where it does not run on that, or gives no numbers: it was not made for noise."""
    while True:
        try:
            found = gate.run(graph, context)
        except SparqcError:
            found = []
        is_sound = bool(found) and are_finite(found)
        if is_sound or not gate.widen():
            return gate.sample, found if is_sound else None


def _expected(graph: Graph, context: Context, batch: Sequence[Array]) -> list[Array]:
    """What the model gives for a few samples of its example inputs."""
    try:
        return open_runner(graph, context.table).run(batch)[0]
    except SparqcError as error:
        if batch is context.example:
            raise
        count, whole = len(batch[0]), len(context.example[0])
        if count == whole:
            raise
        open_runner(graph, context.table).run(context.example)  # or it runs on no batch at all
        raise SparqcError(
            f"the model runs on {whole} samples, but not on {count} of them: {error.message}",
            hint="if its code holds for that batch alone, keep it: --static, or "
            "dynamic_batch=False in Python",
        ) from error


def _outputs(runner: Runner, batch: Sequence[Array], *, required: bool) -> list[Array] | None:
    """What a graph gives for a batch; None where it fails and need not run, as on noise."""
    try:
        return runner.run(batch)[0]
    except SparqcError:
        if required:
            raise
        return None


def _decoded(
    runner: Runner, batch: Sequence[Array], final: Graph, context: Context, *, required: bool
) -> list[Array] | None:
    """What the finished graph gives for a batch, in the types that the model was read with."""
    outputs = _outputs(runner, encode(batch, ends_of(final), context.scales), required=required)
    return outputs and decode(outputs, final.output_names, context.scales)


def _written(graph: Graph, context: Context) -> onnx.ModelProto:
    """The ONNX model, in the opset that a person asked for, or one that the target reads right."""
    opset, target = _opset(graph, context.target), context.target
    if RequestedOpset in context.facts:
        model = write_onnx(graph, context.table, opset=opset, origins=reads_origins(target))
    else:
        model = write_for(graph, context.table, target, opset)
    require_read(model, target)
    return model


def _opset(graph: Graph, target: Profile) -> int:
    """The opset that the graph has, or the target's own where the target does not read that one:
    an ONNX model comes in whatever opset it was exported with."""
    opset = opsets_of(graph)[""]
    return opset if target.oldest_written <= opset <= target.max_opset else target.opset


def _float_bytes(graph: Graph) -> int:
    """Of the float constants, were they stored in FP32."""
    floats = (v.data for v in graph.constants if v.type.dtype in FLOATS)
    return sum(4 * array.size for array in floats if array is not None)


def _opaque(graph: Graph, context: Context) -> dict[str, int]:
    counts: dict[str, int] = {}
    for node in graph.nodes:
        if context.table.get(node.op) is None:
            counts[node.op] = counts.get(node.op, 0) + 1
    return counts
