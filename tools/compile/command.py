"""`sparqc compile`: from a trained model to an ONNX file, and the report on what was done."""

from __future__ import annotations

import contextlib
import gc
import json
import math
import os
import shlex
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sparqc.base.phases import Phases
from sparqc.errors import MISUSED, NotGoodEnough, SparqcError, UsageError
from sparqc.tools.model.request import Request, takes_debugging_options, takes_request
from sparqc.tools.terminal.console import stdout_console

if TYPE_CHECKING:
    from sparqc.ir.graph import Graph
    from sparqc.job.open import Job
    from sparqc.job.result import Result
    from sparqc.report.metric import Metric
    from sparqc.report.report import Report
    from sparqc.rewrite.context import Context
    from sparqc.tools.compile.dump import Run
    from sparqc.tools.compile.recorder import GraphRecorder
    from sparqc.tools.model.open_request import Opened

_PATH = click.Path(path_type=Path)


@dataclass(frozen=True)
class CompileOutcome:
    """A finished compile; `error` is what evaluate() raised, behind a file that is written."""

    report: Report
    error: SparqcError | None = None


@click.command("compile")
@takes_request
@click.option("-o", "--output", required=True, type=_PATH, help="The ONNX file to write.")
@takes_debugging_options
@click.option("--dump", type=_PATH, metavar="DIR", help="Write every graph and event to DIR.")
@click.option(
    "--with-weights",
    is_flag=True,
    help="Keep weights and data too, in --dump and in what a failed compile leaves behind.",
)
@click.option(
    "--fail-under",
    type=float,
    metavar="DB",
    help="Exit code 1 where the outputs have less signal to noise than so many dB.",
)
@click.option(
    "--fail-under-metric",
    type=float,
    metavar="VALUE",
    help="Exit code 1 where the first metric of evaluate() is below this.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@click.option("--quiet", is_flag=True, help="Print nothing but errors.")
@click.option("--verbose", is_flag=True, help="Show every layer, whatever their number.")
def compile_command(
    request: Request,
    output: Path,
    dump: Path | None,
    with_weights: bool,
    as_json: bool,
    quiet: bool,
    verbose: bool,
    fail_under: float | None,
    fail_under_metric: float | None,
) -> None:
    """Compile MODEL into an ONNX file, and report what was done to each layer."""
    outcome = run_compile(request, output, dump, quiet=quiet or as_json, whole=with_weights)
    if as_json:
        click.echo(json.dumps(outcome.report.to_json(), indent=2))
    elif not quiet:
        from sparqc.report.text import render

        render(outcome.report, stdout_console(), verbose=verbose)
    if outcome.error:
        raise _behind_file(outcome.error, output) from outcome.error
    check_quality(outcome.report, fail_under, fail_under_metric)


def _behind_file(error: SparqcError, output: Path) -> SparqcError:
    """An error of evaluate(), with what became of the file."""
    written = f"{output} is written and complete: it is its evaluation that failed"
    hint = f"{error.hint}\n  {written}" if error.hint else written
    return SparqcError(error.message, span=error.span, hint=hint)


def check_quality(report: Report, least_db: float | None, least_metric: float | None) -> None:
    """Raises NotGoodEnough where the result, which is written, is worse than a person allows."""
    gap, metrics = report.difference, report.metrics
    if least_db is not None:
        if gap is None:
            raise UsageError(
                "--fail-under: nothing was compared", hint="give the model example inputs"
            )
        if math.isnan(gap.snr_db):
            raise UsageError(
                "--fail-under: no output is a float, and integers have no decibels",
                hint="judge them with --fail-under-metric",
            )
        if gap.snr_db < least_db:
            raise NotGoodEnough(f"--fail-under {least_db:g}: the outputs have {gap.snr_db:.1f} dB")
    if least_metric is not None:
        if not metrics:
            raise UsageError(
                "--fail-under-metric: nothing was evaluated", hint="give the model evaluate(run)"
            )
        first = metrics[0]
        if not first.compiled >= least_metric:
            raise NotGoodEnough(
                f"--fail-under-metric {least_metric:g}: {first.name} is {first.compiled:.4g}"
            )


def run_compile(
    request: Request,
    output: Path,
    dump: Path | None = None,
    *,
    quiet: bool = False,
    whole: bool = False,
) -> CompileOutcome:
    """Compile, save, evaluate, and write the dump where one is wanted; no progress where `quiet`.
    `whole` keeps weights and data with the dump, and with what a failed compile leaves behind.

    Raises SparqcError or UsageError where anything a person gave is wrong; no file is left then,
    but for the dump, which says how far it came.
    """
    check_output(output, request.model)
    # A model's own prints must not get into the report.
    with contextlib.redirect_stdout(sys.stderr):
        kept = Kept(request, whole)
        if dump is None:
            return _compile_or_keep(kept, output, quiet)
        return _compile_and_dump(kept, output, dump, quiet)


def check_output(path: Path, model: str) -> None:
    """Say before a long compile that its file could not be written.

    Raises UsageError where the folder does not exist, or the path is a folder, a device or the
    model itself; SparqcError where the folder is read-only.
    """
    if path.is_dir():
        raise UsageError(f"-o {path} is a folder", hint=f"name a file: -o {path}/model.onnx")
    if path.exists() and not path.is_file():
        # It would be renamed over: as root even /dev/null would become a file.
        raise UsageError(f"-o {path} is a device, not a file", hint="name a file")
    if not path.absolute().parent.is_dir():
        raise UsageError(f"-o {path}: there is no folder {path.parent}", hint="create it first")
    if path.exists() and Path(model).exists() and path.samefile(model):
        raise UsageError(f"-o {path} would overwrite the model", hint="name another file")
    if not os.access(path.absolute().parent, os.W_OK):
        raise SparqcError(
            f"-o {path}: the folder {path.parent} cannot be written to",
            hint="choose another place with -o",
        )


@dataclass
class Kept:
    """What is kept of a compile for who wants to run it again."""

    request: Request
    whole: bool
    #: The graph as it was read; None before that.
    graph: Graph | None = None
    context: Context | None = None
    pipeline: str = ""

    def begin(self, job: Job) -> None:
        """Keep a job that is about to run; its arrays are shared."""
        self.graph, self.context = job.graph.clone(), job.context
        self.pipeline = str(job.pipeline.for_level(job.graph.level)[0])

    def run(self) -> Run:
        """What is known of the run so far."""
        from sparqc.tools.compile.dump import Run
        from sparqc.tools.runs.asked import asked

        options, command = self.request.options, ("sparqc", *sys.argv[1:])
        return Run(
            command, self.request.model, options.passes, options.target,
            request=asked(self.request), pipeline=self.pipeline,
        )  # fmt: skip


def _compile_or_keep(kept: Kept, output: Path, quiet: bool) -> CompileOutcome:
    """Compile; where that fails, leave what runs it again, unless that would not show the fault."""
    try:
        return _compile(kept, output, None, quiet)
    except Exception as error:
        if _shows_again(error, kept) and kept.graph is not None and kept.context is not None:
            from sparqc.tools.runs.failed import keep_failure

            folder = keep_failure(kept.run(), kept.graph, kept.context, error, whole=kept.whole)
            if folder is not None:
                error.add_note(f"to run it again: sparqc replay {shlex.quote(str(folder))}")
        raise


def _shows_again(error: Exception, kept: Kept) -> bool:
    """Whether another run fails alike on what would be left: not by a person's mistake, and not by
    their data where these are not left with it."""
    if isinstance(error, SparqcError):
        return error.exit_code != MISUSED and (kept.whole or not error.is_of_data)
    return True


def _compile_and_dump(kept: Kept, output: Path, folder: Path, quiet: bool) -> CompileOutcome:
    from sparqc.tools.compile.dump import check_replaceable, write_dump
    from sparqc.tools.compile.recorder import GraphRecorder

    check_replaceable(folder)
    recorder = GraphRecorder(weights={} if kept.whole else None)
    try:
        outcome = _compile(kept, output, recorder, quiet)
    except Exception as error:
        # How far it came is what a dump of a failure is for; without a graph it came nowhere.
        if recorder.stages:
            write_dump(folder, kept.run().with_error(error), recorder, kept.context)
        raise
    write_dump(folder, kept.run().with_report(outcome.report), recorder, kept.context)
    return outcome


@contextlib.contextmanager
def _collecting_new_objects_alone() -> Iterator[None]:
    """Keep the garbage collector out of the libraries and the model, which live on anyway: to walk
    through them each time is a sixth of the compile of a long network."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _compile(
    kept: Kept, output: Path, recorder: GraphRecorder | None, quiet: bool
) -> CompileOutcome:
    from sparqc.job.run import run_job
    from sparqc.report.reading import Account, report_of
    from sparqc.tools.model.open_request import open_request
    from sparqc.tools.terminal.progress import progress_bar

    phases, request = Phases(), kept.request
    with progress_bar(not quiet) as progress:
        opened = open_request(request, progress, (recorder,) if recorder else ())
        kept.begin(opened.job)
        if recorder:
            recorder.begin(opened.job.graph, opened.job.context)
        phases.end("reading")
        with _collecting_new_objects_alone():
            compiled = run_job(opened.job)
        phases.end("compiling")
    compiled.save(output)
    phases.end("writing")
    metrics, error = _evaluate(opened, compiled)
    phases.end("evaluating")
    account = Account(
        model=request.model,
        metrics=metrics,
        notes=opened.notes,
        phases=phases.seconds,
        cpu_seconds=time.process_time(),
    )
    return CompileOutcome(report_of(compiled, account), error)


def _evaluate(opened: Opened, compiled: Result) -> tuple[list[Metric], SparqcError | None]:
    """The metrics, or why there are none; the file is written in any case."""
    from sparqc.tools.model.evaluation import compare

    loaded = opened.loaded
    if loaded.evaluate is None or loaded.module is None:
        return [], None
    try:
        scales = compiled.context.scales
        return compare(loaded.evaluate, loaded.module, compiled.files[0], scales), None
    except SparqcError as error:
        return [], error
