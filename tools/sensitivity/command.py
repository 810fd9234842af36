"""`sparqc sensitivity`: what each layer loses by INT8 and 2:4, and which ones are to be spared."""

from __future__ import annotations

import contextlib
import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sparqc.errors import UsageError
from sparqc.tools.compile.command import check_output
from sparqc.tools.model.request import Request, takes_request
from sparqc.tools.terminal import completion
from sparqc.tools.terminal.console import stdout_console

if TYPE_CHECKING:
    from sparqc.tools.sensitivity.result import Result
    from sparqc.tools.sensitivity.run import SensitivityOptions

_PATH = click.Path(path_type=Path)


@click.command("sensitivity")
@takes_request
@click.option(
    "--metric",
    metavar="NAME",
    help="Which figure of evaluate() counts, the first without it; `snr` for signal to noise.",
)
@click.option("--lower-is-better", is_flag=True, help="The metric is an error or a loss.")
@click.option(
    "--batches",
    type=click.IntRange(min=1),
    default=4,
    show_default=True,
    help="At most so many calibration batches for the signal-to-noise ratio.",
)
@click.option(
    "--budget",
    metavar="AMOUNT",
    help="Choose the fastest network that loses at most this: 0.5 (points of the metric), or "
    "1.5dB (signal to noise, against dense INT8).",
)
@click.option(
    "--gpu", "gpu_name", metavar="NAME", help="Predict for this GPU: a40, t4, ...",
    shell_complete=completion.gpus,
)  # fmt: skip
@click.option("--batch", type=click.IntRange(min=1), help="The batch of the prediction; 8 without.")
@click.option("-o", "--output", type=_PATH, metavar="FILE", help="Write the choice: layers.toml.")
@click.option("--plot", type=_PATH, metavar="FILE", help="Draw it: FILE.svg or FILE.html.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@click.option("--verbose", is_flag=True, help="Show every layer, whatever their number.")
def sensitivity_command(
    request: Request,
    metric: str | None,
    lower_is_better: bool,
    batches: int,
    budget: str | None,
    gpu_name: str | None,
    batch: int | None,
    output: Path | None,
    plot: Path | None,
    as_json: bool,
    verbose: bool,
) -> None:
    """Measure what each layer of MODEL loses by INT8, by 2:4 and by both, alone.

    Counts what evaluate() of model.py gives, or the signal-to-noise ratio of the outputs on the
    calibration data.  With --budget it chooses which layers stay dense or in float at the least
    predicted cost of speed, and measures the choice as a whole; -o writes it for
    `sparqc compile --layers`.
    """
    if metric == "snr" and lower_is_better:
        raise UsageError("--lower-is-better: of the signal-to-noise ratio higher is better")
    from sparqc.declared.gpus import default_gpus, gpu
    from sparqc.tools.sensitivity.choice import parse_budget
    from sparqc.tools.sensitivity.judge import MetricChoice
    from sparqc.tools.sensitivity.run import SensitivityOptions

    for path in filter(None, (output, plot)):
        check_output(path, request.model)
    if plot is not None and plot.suffix.lower() not in (".svg", ".html"):
        raise UsageError(f"--plot {plot}: the name ends in neither .svg nor .html")
    options = SensitivityOptions(
        MetricChoice(metric, lower_is_better, batches),
        gpu(gpu_name) if gpu_name is not None else default_gpus()[0],
        batch,
        parse_budget(budget) if budget is not None else None,
        frontier=plot is not None,
    )
    result = run_sensitivity(request, options, quiet=as_json)
    _write(result, output, plot)
    if as_json:
        click.echo(json.dumps(result.to_json(), indent=2))
        return
    from sparqc.tools.sensitivity.text import render

    render(result, stdout_console(), whole=verbose)


def run_sensitivity(
    request: Request, options: SensitivityOptions, *, quiet: bool = False
) -> Result:
    """Load the model, and measure it.

    Raises SparqcError or UsageError where anything that a person gave is wrong.
    """
    from sparqc.tools.model.open_request import open_request
    from sparqc.tools.sensitivity.run import sensitivity
    from sparqc.tools.terminal.progress import progress_bar

    # A model's own prints must not get into the report.
    with contextlib.redirect_stdout(sys.stderr), progress_bar(not quiet) as progress:
        return sensitivity(open_request(request, progress), options)


def _write(result: Result, output: Path | None, plot: Path | None) -> None:
    from sparqc.tools.sensitivity.file import layers_text
    from sparqc.tools.sensitivity.plot import page, picture
    from sparqc.tools.terminal.text_file import write_text

    command = shlex.join(["sparqc", *sys.argv[1:]])
    texts = []
    if output is not None:
        texts.append((output, layers_text(result, command)))
    if plot is not None:
        drawn = page(result) if plot.suffix.lower() == ".html" else picture(result)
        texts.append((plot, drawn))
    for path, text in texts:
        write_text(path, text)
