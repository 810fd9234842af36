"""`sparqc replay`: a run continued from one of its graphs, with the same passes or others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import chdir
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sparqc.base.text import counted
from sparqc.errors import UsageError
from sparqc.job.options import Options
from sparqc.tools.runs.asked import (
    asked,
    folder_of,
    may_run,
    needs_model,
    request_of,
    where_it_ran,
)
from sparqc.tools.runs.folder import RunFolder, StageFile, open_run
from sparqc.tools.runs.trust import trust_option
from sparqc.tools.terminal import completion

if TYPE_CHECKING:
    from sparqc.ir.graph import Array, Graph
    from sparqc.job.open import Job
    from sparqc.pipeline.events import Listener
    from sparqc.tools.model.request import Request

_PATH = click.Path(path_type=Path)


@click.command("replay")
@click.argument("run", shell_complete=completion.folders)
@click.option("--from", "start", default="0", show_default=True, metavar="PASS",
              help="Start with the graph behind this pass: 03, place.",
              shell_complete=completion.passes)  # fmt: skip
@click.option("--passes", metavar="PIPELINE", help="Run these, and not what came behind it.",
              shell_complete=completion.pipeline)  # fmt: skip
@click.option("-o", "--output", type=_PATH, help="The ONNX file to write.")
@click.option("--dump", type=_PATH, metavar="DIR", help="Write every graph and event to DIR.")
@trust_option
def replay_command(
    run: str,
    start: str,
    passes: str | None,
    output: Path | None,
    dump: Path | None,
    trust: bool,
) -> None:
    """Run the passes of RUN again, from one of its graphs on.

    A graph that was edited by hand is taken as it stands.  Weights that RUN does not hold are those
    of its model; the numbers of others, which its passes made, are made up, and so is everything of
    what a failed compile left behind without its weights.
    """
    from sparqc.job.run import run_job
    from sparqc.tools.compile.command import check_output
    from sparqc.tools.compile.dump import check_replaceable
    from sparqc.tools.compile.recorder import GraphRecorder

    folder = open_run(run, trust=trust)
    if output is not None:
        check_output(output, folder.data.get("model", ""))
    if dump is not None:
        check_replaceable(dump)
    recorder = GraphRecorder()
    replayed = open_replay(folder, start, passes, (recorder,))
    for note in replayed.notes:
        click.echo(f"note: {note}", err=True)
    recorder.begin(replayed.job.graph, replayed.job.context)
    compiled = None
    try:
        compiled = run_job(replayed.job)
    finally:
        if dump is not None:
            _write_dump(folder, dump, replayed, recorder, failed=compiled is None)
    if output is not None:
        compiled.save(output)
    ran = [event for event in recorder.events.passes if not event.skipped]
    made = sum(event.changes for event in ran)
    gap = "" if compiled.difference is None else f", {compiled.difference.snr_db:.1f} dB"
    click.echo(
        f"{len(ran)} passes made {counted(made, 'change')} behind {replayed.stage.title}: "
        f"{counted(len(compiled.graph), 'operator')}{gap}"
    )


def _write_dump(
    run: RunFolder, dump: Path, replayed: Replayed, recorder: Any, *, failed: bool
) -> None:
    from sparqc.tools.compile.dump import Run, write_dump

    request = replayed.request
    command = ("sparqc", "replay", str(replayed.stage.path))
    options = request.options
    written = Run(
        command, request.model, options.passes, options.target,
        request=asked(request) | {"folder": folder_of(run)}, is_own=may_run(run),
        error="the replay failed" if failed else "", pipeline=str(replayed.job.pipeline),
    )  # fmt: skip
    write_dump(dump, written, recorder)


@dataclass(frozen=True)
class Replayed:
    """A run that is ready to go on from one of its graphs."""

    job: Job
    request: Request
    stage: StageFile
    notes: Sequence[str] = ()


def open_replay(
    run: RunFolder, start: str, passes: str | None, listeners: Sequence[Listener] = ()
) -> Replayed:
    """Read the graph behind a pass, its weights and data.

    Raises PatternError, with the place, where the graph is no graph text; UsageError where the run
    lacks what is needed.
    """
    from sparqc.ir.text.parse import parse_graph
    from sparqc.job.open import new_job
    from sparqc.pipeline import run as pipelines
    from sparqc.tools.model.own_modules import import_own
    from sparqc.tools.runs.stored import StoredWeights, calibration_of, example_of

    stage = run.stage(start)
    text, path = stage.text, run.path.absolute()  # before the folder is another one
    wishes: dict[str, Any] = {"layers": None, "limit": None}
    if passes is not None:
        wishes |= {"passes": passes, "float": "", "io": "float"}
    reads_model = needs_model(run)
    request = request_of(run, reads_model=reads_model, **wishes)
    alone = bool(run.data.get("alone"))
    weights: dict[str, Array] = {}
    example: Any = example_of(run.path)
    calibration: Any = calibration_of(run.path) or None
    folder = folder_of(run)
    with chdir(folder) if alone and Path(folder).is_dir() else where_it_ran(run):
        import_own(request.imports)
        if alone:
            if calibration is None:
                request = replace(
                    request, options=replace(request.options, random_calibration=True)
                )
        elif reads_model:
            weights, example, calibration = _of_model(request)
        held = _Weights(StoredWeights(path), weights)
        graph = parse_graph(text, weights=held, file=str(stage.path))
        made_up = _make_up(graph)
        options = replace(request.options, dynamic_batch=True)
        job = new_job(graph, example, calibration=calibration, options=options, listeners=listeners)
        rest = pipelines.parse(passes) if passes is not None else _rest(run, stage, start)
        job = replace(job, pipeline=rest)
    _check_types(job, stage)
    notes = [f"{counted(made_up, 'weight')} made up, since the run does not hold them: numbers "
             "mean nothing; --with-weights keeps them"] if made_up else []  # fmt: skip
    return Replayed(job, request, stage, notes)


def _check_types(job: Job, stage: StageFile) -> None:
    """Raises UsageError where the data are those of the model, and the inputs other ones by now."""
    from sparqc.ir.dtypes import numpy_dtype

    for value, array in zip(job.graph.inputs, job.context.example, strict=False):
        if numpy_dtype(value.type.dtype) not in (None, array.dtype):
            raise UsageError(
                f"input {value.name!r} takes {value.type.dtype} behind {stage.title}, and the data "
                f"are {array.dtype}, as the model takes them",
                hint="--io has changed it by then: start with a graph in front of `boundary`",
            )


@dataclass(frozen=True)
class _Weights(Mapping[str, Any]):
    """Weights by content hash: those of the run first, then those of the model."""

    stored: Mapping[str, Any]
    model: Mapping[str, Any]

    def __getitem__(self, digest: str) -> Any:
        return self.stored[digest] if digest in self.stored else self.model[digest]

    def __iter__(self) -> Any:
        return iter({**self.stored, **self.model})

    def __len__(self) -> int:
        return len({*self.stored, *self.model})


def _of_model(request: Request) -> tuple[dict[str, Array], Any, Any]:
    """The weights of the model by their content hash, its example inputs and its data."""
    from sparqc.tools.model.open_request import open_request
    from sparqc.tools.runs.stored import large_constants

    asked = request.options  # what no pass looks at is refused, and none runs here
    options = Options(
        passes="", target=asked.target, dynamic_batch=asked.dynamic_batch,
        random_calibration=asked.random_calibration,
    )  # fmt: skip
    job = open_request(replace(request, options=options)).job
    context = job.context
    return dict(large_constants(job.graph)), list(context.example) or None, context.calibration


def _make_up(graph: Graph) -> int:
    """Put noise in the place of constants that only their hash is known of; returns how many.

    Vectors lie between 0.5 and 1.5, so that they may be variances and scales.
    """
    import zlib

    import numpy as np

    from sparqc.ir.text.tokens import Absent

    count = 0
    for value in graph.constants:
        if isinstance(value.data, Absent):
            rng = np.random.default_rng(zlib.crc32(value.data.digest.encode()))
            shape, dtype = value.data.shape, value.data.dtype
            if dtype.kind == "f":
                deep = int(np.prod(shape[1:])) or 1
                numbers = (
                    rng.standard_normal(shape) / np.sqrt(deep)
                    if len(shape) > 1
                    else rng.uniform(0.5, 1.5, shape)
                )
            else:
                numbers = rng.integers(0, 2, shape)
            value.data = np.asarray(numbers).astype(dtype)
            count += 1
    return count


def _rest(run: RunFolder, stage: StageFile, start: str) -> Any:
    """The passes behind a graph, as the run had them."""
    from sparqc.pipeline import run as pipelines
    from sparqc.pipeline.steps import Pipeline, Step

    text = run.data.get("pipeline")
    if not isinstance(text, str):
        raise UsageError(f"{run.path} does not say its pipeline", hint="name one with --passes")
    pipeline = pipelines.parse(text)
    number = int(start) if start.isdigit() else stage.number
    if number and not all(isinstance(item, Step) for item in pipeline.items):
        raise UsageError(
            f"{run.path} repeats passes: which come behind {stage.title} is not known",
            hint="name them with --passes",
        )
    return Pipeline(pipeline.items[number:])
