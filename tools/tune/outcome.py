"""From an order to a trained, compiled model and the report on it."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from sparqc.base.phases import Phases
from sparqc.errors import SparqcError, UsageError
from sparqc.job.result import Result
from sparqc.pipeline.run import parse
from sparqc.pipeline.trace import Recorder
from sparqc.ranks.ranks import Ranks, together
from sparqc.report.content import PassRow
from sparqc.report.metric import Metric
from sparqc.report.reading import Account, report_of
from sparqc.report.report import Report
from sparqc.report.show import show
from sparqc.report.text import render as render_report
from sparqc.tools.compile.command import check_output
from sparqc.tools.model.loading import LoadedModel, load
from sparqc.tools.model.open_request import calibration_of, data_notes
from sparqc.tools.model.own_modules import import_own
from sparqc.tools.terminal.console import stdout_console
from sparqc.tools.tune.data import TrainingData, batches_an_epoch, training_data
from sparqc.tools.tune.display import Display
from sparqc.tools.tune.identity import identity_of
from sparqc.tools.tune.interrupt import Interrupted
from sparqc.tools.tune.loss import Loss, usual_loss
from sparqc.tools.tune.measured import Row, measure_file, rows_table
from sparqc.tools.tune.order import Order
from sparqc.tools.tune.processes.group import joined, local_device, require_alike, share_checkpoint
from sparqc.tools.tune.run import Run
from sparqc.tools.tune.state.store import Store

_COMPARED = "the outputs are those of the file against the trained model's"


@dataclass(frozen=True)
class TuneOutcome:
    """A finished run; `error` is what evaluate() raised, behind a file that is written."""

    report: Report
    #: The metrics from the dense model to the file.
    rows: tuple[Row, ...]
    error: SparqcError | None = None

    def to_json(self) -> dict[str, Any]:
        """The report of a compile, and the metrics from stage to stage."""
        return {**self.report.to_json(), "stages": [row.to_json() for row in self.rows]}


def tune(order: Order) -> TuneOutcome | None:
    """Carry out an order; None on every rank but the first.

    Raises SparqcError or UsageError where anything a person gave is wrong; a file is written at the
    very end only.
    """
    device = local_device(order.device)
    if order.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # as torch asks for
        torch.use_deterministic_algorithms(True)
    try:
        with joined(device, order.timeout) as ranks:
            return _tune(order, ranks, device)
    except KeyboardInterrupt as error:
        raise Interrupted(
            f"interrupted; the checkpoints so far are in {order.checkpoint}",
            hint="go on with the same command and --resume",
        ) from error


def _tune(order: Order, ranks: Ranks, device: torch.device) -> TuneOutcome | None:
    phases, events = Phases(), Recorder()
    with together(ranks):
        loaded = _load(order)
        criterion, data = _training(loaded, order, ranks)
        calibration = calibration_of(order.request, loaded)
    assert loaded.module is not None
    identity = identity_of(loaded.module, order.settings())
    require_alike(identity, ranks)
    display = Display(talks=not order.quiet and ranks.index == 0)
    store = Store(order.checkpoint, identity, display.say)
    with together(ranks):
        newest = store.begin(order.resume) if ranks.index == 0 else None
    batches = 0 if data is None else batches_an_epoch(data)
    phases.end("reading")
    run = Run(
        order=order,
        loaded=loaded,
        calibration=calibration,
        data=data,
        criterion=criterion,
        ranks=ranks,
        device=device,
        store=store,
        display=display,
        batches=batches,
        listeners=(events,),
    )
    compiled = run.run(share_checkpoint(newest, ranks))
    phases.end("training")
    if compiled is None:
        return None
    compiled.save(order.output)
    return _outcome(order, loaded, compiled, run.rows, events, phases)


def _load(order: Order) -> LoadedModel:
    request = order.request
    check_output(order.output, request.model)
    import_own(request.imports)
    loaded = load(request.model, submodule=request.submodule, inputs=request.inputs)
    if loaded.kind != "module" or loaded.module is None:
        raise UsageError(
            f"{request.model} does not train: tune takes a PyTorch module",
            hint="write a model.py whose model() returns the network",
        )
    if loaded.keywords:
        raise UsageError(
            f"{request.model} takes {', '.join(loaded.keywords)} by keyword: tune gives a network "
            "its inputs by position",
            hint="wrap it in a module whose forward takes them by position",
        )
    return loaded


def _training(loaded: LoadedModel, order: Order, ranks: Ranks) -> tuple[Loss, TrainingData | None]:
    """The loss and the batches of the default loop; no batches where train() is the person's."""
    functions = loaded.functions
    if functions is not None and functions.trainer is not None:
        return usual_loss, None
    data = training_data(loaded, order.sparse.seed, ranks)
    if data is None:
        raise SparqcError(
            f"{order.request.model} offers nothing to train on",
            hint="add training() to model.py, which yields (inputs..., target) batches, or "
            "calibration(), whose batches the dense model answers, or train(module)",
        )
    return _criterion(loaded), data


def _criterion(loaded: LoadedModel) -> Loss:
    """The person's loss(outputs, target), where they offer one."""
    functions = loaded.functions
    if functions is None or functions.criterion is None:
        return usual_loss
    criterion, title = functions.criterion, f"loss() of {functions.code.name}"

    def loss(outputs: Any, target: torch.Tensor) -> torch.Tensor:
        with functions.code.running(title):
            found = criterion(outputs, target)
        if isinstance(found, torch.Tensor) and found.numel() == 1 and found.requires_grad:
            return found.reshape(())
        raise SparqcError(
            f"{title} returned {_described(found)}, not one number to follow back to the weights",
            hint="return the mean over the batch, as a tensor",
        )

    return loss


def _described(found: object) -> str:
    if not isinstance(found, torch.Tensor):
        return type(found).__name__
    grad = "" if found.requires_grad else ", detached from the weights"
    return f"a tensor of shape {list(found.shape)}{grad}"


def _outcome(
    order: Order,
    loaded: LoadedModel,
    compiled: Result,
    rows: Sequence[Row],
    events: Recorder,
    phases: Phases,
) -> TuneOutcome:
    found, error = list(rows), None
    if loaded.evaluate is not None:
        try:
            found.append(Row(order.output.name, _file_metrics(loaded, compiled)))
        except SparqcError as failure:
            error = failure
    phases.end("evaluating")
    account = Account(
        model=order.request.model,
        passes=[PassRow.of(event) for event in events.passes],
        metrics=_metrics(found) if error is None else [],
        notes=(*data_notes(order.request, loaded), _COMPARED),
        phases=phases.seconds,
        cpu_seconds=time.process_time(),
    )
    report = replace(
        report_of(compiled, account), pipeline=str(parse(order.request.options.passes))
    )
    return TuneOutcome(report, tuple(found), error)


def _file_metrics(loaded: LoadedModel, compiled: Result) -> Any:
    assert loaded.evaluate and loaded.module and loaded.inputs
    scales = compiled.context.scales
    return measure_file(loaded.evaluate, compiled.files[0], loaded.module, loaded.inputs, scales)


def _metrics(rows: Sequence[Row]) -> list[Metric]:
    """Each metric of the dense model and of the file."""
    if len(rows) < 2:
        return []
    first, last = rows[0].metrics, rows[-1].metrics
    return [Metric(name, first[name], last[name]) for name in first if name in last]


def render(outcome: TuneOutcome, *, verbose: bool) -> None:
    """Print the report of the compile, and the metrics from stage to stage."""
    console = stdout_console()
    render_report(outcome.report, console, verbose=verbose)
    if outcome.rows:
        show(console, "")
        show(console, rows_table(outcome.rows))
