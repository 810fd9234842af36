"""Compile a model: the one way in, for Python and for the command line."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx

from sparqc.declared.knobs import parse_knobs
from sparqc.declared.targets import Profile, default_profile, profile
from sparqc.errors import SparqcError, UsageError, did_you_mean
from sparqc.ir.boundary import BoundaryTypes, decode, encode, ends_of
from sparqc.ir.graph import Array, Graph, Level, TensorType
from sparqc.ir.levels.execute import open_runner
from sparqc.ir.onnx.adapter import load_onnx, read_onnx, save_onnx, write_onnx
from sparqc.ir.onnx.types import numpy_dtype
from sparqc.ir.vocabulary.raw import opsets_of
from sparqc.ir.vocabulary.table import default_table
from sparqc.job.layers import LayerChoice, check_kept, read_layers, resolve, selectors
from sparqc.job.verify import Difference, check_model, difference
from sparqc.lang.ast import PatternFile, RuleDecl
from sparqc.match.rulebook import RuleBook
from sparqc.pipeline import run as pipelines
from sparqc.pipeline.action import Action
from sparqc.pipeline.catalogue import passes
from sparqc.pipeline.events import Observer
from sparqc.pipeline.library import pass_name, read_own, rulebook
from sparqc.ranks.ranks import ALONE, Ranks
from sparqc.rewrite.context import Batch, Context, Progress

if TYPE_CHECKING:
    import torch

#: How many random batches stand for calibration data where a person asked for that.
RANDOM_BATCHES = 4
#: How many samples of the example inputs the result is compared on.
COMPARED = 2


@dataclass(frozen=True)
class Options:
    """What a person may wish of one compile, beside the model and its data."""

    passes: str = "default"
    #: A target profile's name; "" for the default one.
    target: str = ""
    #: Pattern files of their own.
    patterns: tuple[Path, ...] = ()
    exclude: tuple[str, ...] = ()
    #: Selectors of operators whose weights stay dense.
    dense: tuple[str, ...] = ()
    #: A file that says of each layer how it is kept; see `sparqc.job.layers`.
    layers: Path | None = None
    #: The type of the operators that are not quantized: "fp32", "fp16", or "" for the target's own.
    float: str = ""
    #: The element types of inputs and outputs: "float" (the model's own), "fp16", "int8", or one by
    #: its name: "fp16,logits=float".
    io: str = "float"
    #: Knobs of the target's rules: "attention=int8".
    knobs: tuple[str, ...] = ()
    random_calibration: bool = False
    #: "off", "pass" or "rule": where each step is held to its word by running it.
    check: str = "off"
    #: Stop applying rules after so many applications, to find the one that breaks something.
    limit: int | None = None
    #: Names of passes that do not run, and of rules, fusions, shares and checks to do without.
    skip: tuple[str, ...] = ()


@dataclass
class Compiled:
    """A finished compile."""

    graph: Graph  # of the ONNX level
    model: onnx.ModelProto
    context: Context
    pipeline: pipelines.Pipeline
    #: Passes of the pipeline that do not apply to this kind of model.
    skipped: tuple[str, ...]
    #: Operators outside the table, which passed through untouched: name -> how many.
    opaque: dict[str, int]
    #: Against the model before any pass, on the example inputs; None where there are none.
    difference: Difference | None
    #: What was noted while the model was captured.
    notes: tuple[str, ...] = ()
    files: list[Path] = field(default_factory=list)

    def save(self, path: Path | str) -> None:
        """Write the ONNX file, all of it or nothing.  SparqcError where that fails."""
        self.files += save_onnx(self.model, Path(path))


def compile(
    model: torch.nn.Module | onnx.ModelProto | str | Path,
    inputs: tuple[torch.Tensor, ...] | None = None,
    *,
    calibration: Callable[[], Iterable[Sequence[torch.Tensor | Array]]] | None = None,
    options: Options | None = None,
    progress: Progress | None = None,
    observers: Sequence[Observer] = (),
    dynamic_batch: bool = True,
    **wishes: object,
) -> Compiled:
    """Compile a PyTorch module with example inputs, or a float ONNX model, into an ONNX graph.

    `calibration` gives the batches anew at each call, each one tensor or array for every input.
    Without `dynamic_batch` a PyTorch model keeps the batch of its example inputs.  Further keywords
    are fields of `Options`: `passes=`, `target=`, `exclude=`, …

    Raises SparqcError for everything that a person can mend, UsageError where the call is wrong.
    """
    return run_job(
        new_job(
            model,
            inputs,
            calibration=calibration,
            options=options or make_options(**wishes),
            progress=progress,
            observers=observers,
            dynamic_batch=dynamic_batch,
        )
    )


@dataclass
class Job:
    """A model that was read, and what is about to be done to it."""

    graph: Graph
    pipeline: pipelines.Pipeline
    context: Context
    notes: tuple[str, ...] = ()
    #: What the file of layers asks for; the result is held to it.
    layers: tuple[LayerChoice, ...] = ()


def new_job(
    model: torch.nn.Module | onnx.ModelProto | str | Path,
    inputs: tuple[torch.Tensor, ...] | None = None,
    *,
    calibration: Callable[[], Iterable[Sequence[torch.Tensor | Array]]] | None = None,
    options: Options,
    progress: Progress | None = None,
    observers: Sequence[Observer] = (),
    dynamic_batch: bool = True,
    ranks: Ranks = ALONE,
) -> Job:
    """Read the model and everything that is asked for, and run no pass yet; as `compile`.

    With `ranks` several processes do the same at once, and share the work of measuring.
    """
    own = [read_own(path) for path in options.patterns]
    line = _with_own(pipelines.parse(options.passes), own)
    level: Level = "onnx" if isinstance(model, (str, Path, onnx.ModelProto)) else "fx"
    # Before the model is captured, which takes seconds:
    line.for_level(level)[0].check(level)
    target = profile(options.target) if options.target else default_profile()
    precision = target.require_precision(options.float)
    boundary = BoundaryTypes.parse(options.io)
    _check_carried_out("--float fp16", options.float == "fp16", "float", line)
    _check_carried_out(f"--io {options.io}", not boundary.is_plain, "io", line)
    choices = read_layers(options.layers) if options.layers is not None else ()
    graph, notes, example = _graph(model, inputs, dynamic_batch)
    boundary.check(graph)
    choices = resolve(choices, graph, default_table())
    floats, dense = selectors(choices)
    context = Context(
        table=default_table(),
        rules=rulebook(own),
        target=target,
        action=Action(
            limit=options.limit, skip=options.skip, check=options.check, listeners=observers
        ),
        example=example,
        calibration=_batches(graph, calibration, options, example),
        random_calibration=options.random_calibration,
        exclude=(*options.exclude, *floats),
        dense=(*options.dense, *dense),
        precision=precision,
        boundary=boundary,
        knobs=parse_knobs(",".join(options.knobs)),
        ranks=ranks,
    )
    for name, value in context.knobs.items():
        context.rules.turn(name, value)
    _check_skipped(options.skip, line, context.rules)
    context.rules.leave_out(options.skip)
    if progress:
        context.progress = progress
    return Job(graph, line, context, notes, choices)


def _check_skipped(names: Iterable[str], line: pipelines.Pipeline, rules: RuleBook) -> None:
    """Raises UsageError for a name that would leave out nothing, which is easily overlooked."""
    known = {step.name for step in line.steps} | {d.name for d in rules.declarations}
    for name in names:
        if name not in known:
            hint = did_you_mean(name, known) or f"the pipeline is: {line}"
            raise UsageError(
                f"skip: no pass of the pipeline and no declaration is named {name!r}", hint=hint
            )


def _check_carried_out(wish: str, wished: bool, option: str, line: pipelines.Pipeline) -> None:
    """Raises UsageError for a wish that no pass of the pipeline looks at."""
    if wished and not any(option in step.cls.carries_out for step in line.steps):
        able = ", ".join(n for n, cls in passes().items() if option in cls.carries_out)
        raise UsageError(
            f"{wish}: no pass of the pipeline does that: {line}",
            hint=f"add one, behind the export: {able}",
        )


def _with_own(line: pipelines.Pipeline, own: Sequence[PatternFile]) -> pipelines.Pipeline:
    """The pipeline with the passes of a person's own files, where it does not name them itself.

    They run first, or, where their rules are for ONNX only, right behind the export.
    """
    named = {step.name for step in line.steps}
    for file in own:
        rules = [d for d in file.declarations if isinstance(d, RuleDecl)]
        name = pass_name(file)
        if not rules or name in named:
            continue
        late = all(rule.levels == ("onnx",) for rule in rules)
        borders = [i for i, item in enumerate(line.items) if any(s.cls.gives for s in item.steps)]
        at = borders[0] + 1 if late and borders else 0
        line = pipelines.Pipeline((*line.items[:at], pipelines.Step(name), *line.items[at:]))
    return line


def make_options(**wishes: object) -> Options:
    """The options by name; UsageError for one that does not exist."""
    try:
        return Options(**wishes)  # type: ignore[arg-type]
    except TypeError as error:
        known = ", ".join(Options.__dataclass_fields__)
        raise UsageError(f"compile: {error}", hint=f"known options: {known}") from error


def run_job(job: Job, expected: list[Array] | None = None) -> Compiled:
    """Run the passes, write the ONNX graph, and compare it with what was read.

    `expected` is what the model gives for `few` of the example inputs; without it the graph is run.
    Raises SparqcError where a pass fails or the result is no valid ONNX graph.
    """
    graph, context = job.graph, job.context
    fitting, skipped = job.pipeline.for_level(graph.level)
    opaque = _opaque(graph, context)
    compared = few(graph, context.example)
    if compared and expected is None:
        expected, _ = open_runner(graph, context.table).run(compared)
    if any(step.cls.needs_reference for step in fitting.steps):
        context.reference = graph.clone()  # arrays are shared, and replaced rather than changed
    final = pipelines.run(fitting, graph, context)
    if final.level != "onnx":
        raise UsageError(
            f"the pipeline ends on a graph of the level {final.level}: {fitting}",
            hint="end it with `export`, and the ONNX passes behind it",
        )
    check_kept(job.layers, context.facts)
    final.drop_dead()
    # Without origins: however a model is spelled, the same file comes out.  The dump has them.
    opset = _opset(final, context.target)
    model = write_onnx(final, context.table, opset=opset, origins=False)
    check_model(model)
    gap = None
    if expected is not None:
        encoded = encode(compared, ends_of(final), context.scales)
        actual, _ = open_runner(final, context.table, model=model).run(encoded)
        actual = decode(actual, final.output_names, context.scales)
        gap = difference(expected, actual)
    return Compiled(final, model, context, fitting, skipped, opaque, gap, job.notes)


def _opset(graph: Graph, target: Profile) -> int:
    """The opset that the graph has, or the target's own where the target does not read that one:
    an ONNX model comes in whatever opset it was exported with."""
    opset = opsets_of(graph)[""]
    return opset if target.min_opset <= opset <= target.max_opset else target.opset


def few(graph: Graph, example: Batch) -> Batch:
    """The first samples of the example inputs, where the batch is free: each sample is compared on
    its own, and to run a large network on many costs more than to compile it."""
    first = {value.shape[0] if value.shape else 0 for value in graph.inputs}
    if len(first) != 1 or not isinstance(first.pop(), str):
        return example
    return [array[:COMPARED] for array in example]


def _graph(
    model: torch.nn.Module | onnx.ModelProto | str | Path,
    inputs: tuple[torch.Tensor, ...] | None,
    dynamic_batch: bool,
) -> tuple[Graph, tuple[str, ...], Batch]:
    """The graph of a model of any kind, what is worth a note, and an array for each graph input."""
    table = default_table()
    if isinstance(model, (str, Path)):
        model = load_onnx(Path(model))
    if isinstance(model, onnx.ModelProto):
        return read_onnx(model, table), (), [_array(x) for x in inputs or ()]
    if inputs is None:
        raise UsageError("a PyTorch model needs example inputs: compile(module, (tensor, …))")
    # Only here is torch needed, which takes seconds to import.
    from sparqc.capture.capture import capture

    captured = capture(model, inputs, dynamic_batch=dynamic_batch)
    return captured.graph, tuple(captured.notes), list(captured.example)


def _batches(
    graph: Graph,
    calibration: Callable[[], Iterable[Sequence[torch.Tensor | Array]]] | None,
    options: Options,
    example: Batch,
) -> Callable[[], Iterable[Batch]] | None:
    if calibration is not None:
        return lambda: (as_batch(batch) for batch in calibration())
    if options.random_calibration:
        return lambda: _random(graph, example)
    return None


def as_batch(batch: object) -> Batch:
    """A batch as arrays; a lone tensor is a batch for the only input."""
    if isinstance(batch, (list, tuple)):
        return [_array(x) for x in batch]
    return [_array(batch)]


def _array(x: object) -> Array:
    detach = getattr(x, "detach", None)
    return np.asarray(detach().cpu().numpy() if detach else x)


def _random(graph: Graph, example: Batch) -> Iterable[Batch]:
    """Standard normal noise of the shapes of the example inputs (seeded), and 0 or 1 where the
    elements are no floats: a valid index, token and mask nearly everywhere."""
    generator = np.random.default_rng(0)
    shapes = [x.shape for x in example] or [_sizes(v.type) for v in graph.inputs]
    types = [x.dtype for x in example] or [_numpy_type(v.type) for v in graph.inputs]
    for _ in range(RANDOM_BATCHES):
        yield [_noise(generator, *given) for given in zip(shapes, types, strict=True)]


def _noise(generator: np.random.Generator, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    if dtype.kind == "f":
        return generator.standard_normal(shape, np.float32).astype(dtype)
    return generator.integers(0, 2, shape).astype(dtype)


def _numpy_type(type: TensorType) -> np.dtype[Any]:
    found = numpy_dtype(type.dtype)
    if found is None:
        raise SparqcError("an input of the ONNX model has no known type: there is no noise for it")
    return found


def _sizes(type: TensorType) -> tuple[int, ...]:
    if type.shape is None:
        raise SparqcError("an input of the ONNX model has no rank: random data cannot be made")
    return tuple(d if isinstance(d, int) else 1 for d in type.shape)


def _opaque(graph: Graph, context: Context) -> dict[str, int]:
    counts: dict[str, int] = {}
    for node in graph.nodes:
        if context.table.get(node.op) is None:
            counts[node.op] = counts.get(node.op, 0) + 1
    return counts
