"""`sparqc explain`: the engine that a target is expected to make of an ONNX file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sparqc.errors import UsageError
from sparqc.tools.terminal.console import show, stdout_console
from sparqc.tools.terminal.options import import_option, patterns_option, recorded_options

if TYPE_CHECKING:
    from onnx import ModelProto

    from sparqc.predict.engine import PredictedEngine
    from sparqc.predict.roofline import Estimate
    from sparqc.tools.explain.comparison import Comparison

_PATH = click.Path(path_type=Path)


@click.command("explain")
@click.argument("file", type=_PATH)
@recorded_options
@click.option("--node", metavar="NAME", help="Say all about one ONNX node, tensor or module.")
@click.option(
    "--engine",
    "listing",
    type=_PATH,
    metavar="FILE",
    help="Compare with a real engine: the JSON of `trtexec --exportLayerInfo` or of `sparqc "
    "build --json`, or the verbose log of TensorRT-RTX.",
)
@click.option(
    "--profile",
    type=_PATH,
    metavar="FILE",
    help="The times of its kernels: the JSON of `trtexec --exportProfile`.",
)
@click.option("--plan", is_flag=True, help="Show values, quantizers and scale groups.")
@click.option(
    "--gpu",
    "gpu_names",
    multiple=True,
    metavar="NAME",
    help="Estimate for this GPU: a40, t4, rtx-4090, ...  Repeat it for several; `all` for all.",
)
@click.option("--batch", type=int, help="The batch, where it is free; 8 without it.")
@click.option(
    "--shape",
    "shape_texts",
    multiple=True,
    metavar="NAME:SHAPE",
    help="An input's shape: x:8x3x224x224.  Repeat it for each input.",
)
@patterns_option("A pattern file of your own, whose fusions count too.")
@import_option
@click.option("--verbose", is_flag=True, help="Show every kernel and operator.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
def explain_command(
    file: Path,
    target: str,
    knobs: tuple[str, ...],
    node: str | None,
    listing: Path | None,
    profile: Path | None,
    plan: bool,
    gpu_names: tuple[str, ...],
    batch: int | None,
    shape_texts: tuple[str, ...],
    patterns: tuple[Path, ...],
    verbose: bool,
    as_json: bool,
) -> None:
    """Predict the engine that a target makes of FILE (an ONNX graph, sparqc's or anybody's).

    Prints its kernels, whether each weighted operator runs in INT8 and may run 2:4 sparse, and
    why not; the traffic, and how long it takes.  Nothing is built: `sparqc build` does that.
    """
    from sparqc.ir.onnx.adapter import load_onnx
    from sparqc.job.verify import check_model
    from sparqc.tools.engine.shapes import parse_shape
    from sparqc.tools.explain.prediction import predict

    if node is not None and listing is not None:
        raise UsageError("--node and --engine are two questions: ask them one at a time")
    if profile is not None and listing is None:
        raise UsageError("--profile has the times of an engine: name its listing with --engine")
    estimated_for = _gpus(gpu_names)
    model = load_onnx(file)
    check_model(model)
    shapes = dict(map(parse_shape, shape_texts))
    engine = predict(model, target, batch=batch, shapes=shapes, knobs=knobs, patterns=patterns)
    estimates = [_estimate(engine, name) for name in estimated_for]
    compared = _compared(engine, listing, profile, model) if listing is not None else None
    if as_json:
        data = _json(engine, estimates, node, compared)
        click.echo(json.dumps({"file": str(file), **data}, indent=2))
    else:
        _show(engine, estimates, node, compared, plan=plan, verbose=verbose)


def _gpus(names: tuple[str, ...]) -> list[str]:
    from sparqc.predict.gpus import default_gpus, gpu, gpus

    if "all" in names:
        return list(gpus())
    return [gpu(name).name for name in names] or [g.name for g in default_gpus()]


def _estimate(engine: PredictedEngine, name: str) -> Estimate:
    from sparqc.predict.gpus import gpu
    from sparqc.predict.roofline import estimate

    return estimate(engine, gpu(name))


def _compared(
    engine: PredictedEngine, path: Path, profile: Path | None, model: ModelProto
) -> Comparison:
    from sparqc.tools.engine.listings.listing import read_listing
    from sparqc.tools.engine.listings.profile import read_profile, timed
    from sparqc.tools.engine.onnx_source import read_source
    from sparqc.tools.explain.compare_engines import compare

    listing = read_listing(path)
    kernels = listing.kernels
    if profile is not None:
        kernels = timed(kernels, read_profile(profile))
    return compare(engine, kernels, read_source(model).model, listing.cut)


def _json(
    engine: PredictedEngine,
    estimates: list[Estimate],
    node: str | None,
    compared: Comparison | None,
) -> dict[str, Any]:
    from sparqc.tools.explain.node import node_json

    if node is not None:
        return node_json(engine, node)
    data = {**engine.to_json(), "estimates": [e.to_json() for e in estimates]}
    return data if compared is None else {**data, "comparison": compared.to_json()}


def _show(
    engine: PredictedEngine,
    estimates: list[Estimate],
    node: str | None,
    compared: Comparison | None,
    *,
    plan: bool,
    verbose: bool,
) -> None:
    from sparqc.tools.explain.comparison import comparison_lines
    from sparqc.tools.explain.node import node_lines
    from sparqc.tools.explain.text import show_engine, show_plan, summary

    console = stdout_console()
    if node is not None or compared is not None:
        lines = node_lines(engine, node) if node is not None else summary(engine, estimates)
        more = comparison_lines(compared) if compared is not None else ()
        for line in (*lines, *more):
            show(console, line, soft_wrap=True)
        return
    show_engine(engine, estimates, console, whole=verbose)
    if plan:
        show_plan(engine, console, whole=verbose)
