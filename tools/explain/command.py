"""`sparqc explain`: the engine that a target is expected to make of an ONNX file."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sparqc.errors import SparqcError, UsageError
from sparqc.report.show import show
from sparqc.tools.terminal import completion
from sparqc.tools.terminal.console import stdout_console
from sparqc.tools.terminal.options import (
    import_option,
    patterns_option,
    recorded_options,
    witnesses_option,
)

if TYPE_CHECKING:
    from sparqc.declared.gpus import Generation
    from sparqc.predict.engine import PredictedEngine
    from sparqc.predict.likeness import Likeness
    from sparqc.predict.roofline import Estimate
    from sparqc.tools.engine.listings.listing import Listing
    from sparqc.tools.explain.comparison import Comparison
    from sparqc.tools.explain.witness_file import Written

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
@click.option(
    "--learn",
    "learns",
    is_flag=True,
    help="Write what the engine shows of each layer into a witness: sizes, types, times, sparse or "
    "not, and no names and no weights.  Say on which GPU (--gpu) and what built it (--built-with).",
)
@click.option(
    "--built-with",
    default="",
    metavar="VERSION",
    help="The version of the compiler that built the engine: 10.3.",
)
@click.option(
    "-o",
    "--output",
    type=_PATH,
    metavar="FILE",
    help="The file of the witness; by default it is called by its GPU, in this folder.",
)
@witnesses_option
@click.option("--plan", is_flag=True, help="Show values, quantizers and scale groups.")
@click.option(
    "--gpu",
    "gpu_names",
    multiple=True,
    metavar="NAME",
    shell_complete=completion.gpus,
    help="Estimate for this GPU: a40, t4, rtx-4090, ...  Repeat it for several; `all` for all.  "
    "One alone also decides where 2:4 pays.",
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
    learns: bool,
    built_with: str,
    output: Path | None,
    own: tuple[Path, ...],
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
    from sparqc.declared.gpus import gpu
    from sparqc.declared.knobs import knobs_of
    from sparqc.ir.input_shapes import parse_shape
    from sparqc.ir.onnx.adapter import load_onnx
    from sparqc.job.verify import check_model
    from sparqc.predict.likeness import likenesses
    from sparqc.predict.witnesses import witnesses
    from sparqc.tools.engine.onnx_source import read_source
    from sparqc.tools.explain.compare_engines import compare
    from sparqc.tools.explain.prediction import predict
    from sparqc.tools.explain.witness_file import Wish, learned_from, write_witness

    if node is not None and listing is not None:
        raise UsageError("--node and --engine are two questions: ask them one at a time")
    if profile is not None and listing is None:
        raise UsageError("--profile has the times of an engine: name its listing with --engine")
    if learns and listing is None:
        raise UsageError("--learn learns from a real engine: name its listing with --engine")
    if not learns and (built_with or output is not None):
        raise UsageError("--built-with and -o are about the witness of an engine: add --learn")
    estimated_for = _gpus(gpu_names)
    read = [path for path in (file, listing, profile) if path is not None]
    wish = Wish.of(gpu_names, built_with, output, read) if learns else None
    known = tuple(witnesses(own).values())
    model = load_onnx(file)
    check_model(model)
    shapes = dict(map(parse_shape, shape_texts))
    # Whether 2:4 pays is asked of one GPU.
    figures = knobs_of(gpu(estimated_for[0])) if gpu_names and len(estimated_for) == 1 else ()
    knobs = (*figures, *knobs)
    engine = predict(model, target, batch=batch, shapes=shapes, knobs=knobs, patterns=patterns)
    said = Said(engine, [_estimate(engine, name) for name in estimated_for],
                likenesses(engine, known, _generations(gpu_names)))  # fmt: skip
    if listing is not None:
        real, named = _real(listing, profile), read_source(model).model
        with _of_file(listing):
            said.compared = compare(engine, real.kernels, named, real.cut, real.sparsity)
            learned = learned_from(engine, real, named, wish) if wish is not None else None
        if learned is not None and wish is not None:
            said.written = write_witness(learned, wish)
    if as_json:
        click.echo(json.dumps({"file": str(file), **_json(said, node)}, indent=2))
    else:
        _show(said, node, plan=plan, verbose=verbose)


@dataclass
class Said:
    """All that is said of a file."""

    engine: PredictedEngine
    estimates: list[Estimate]
    #: The witnesses of each weighted operator, by the value that it gives.
    seen: Mapping[str, Likeness]
    compared: Comparison | None = None
    written: Written | None = None


def _gpus(names: tuple[str, ...]) -> list[str]:
    from sparqc.declared.gpus import default_gpus, gpu, gpus

    if "all" in names:
        return list(gpus())
    return [gpu(name).name for name in names] or [g.name for g in default_gpus()]


def _estimate(engine: PredictedEngine, name: str) -> Estimate:
    from sparqc.declared.gpus import gpu
    from sparqc.predict.roofline import estimate

    return estimate(engine, gpu(name))


def _generations(names: tuple[str, ...]) -> list[Generation]:
    """The generations of the GPUs that were asked for."""
    from sparqc.declared.gpus import gpu

    found = () if "all" in names else (gpu(name).generation for name in names)
    return list(dict.fromkeys(found))


@contextmanager
def _of_file(path: Path) -> Iterator[None]:
    """What is wrong inside is a fault of that file."""
    try:
        yield
    except UsageError:
        raise
    except SparqcError as error:
        raise SparqcError(f"{path}: {error.message}", hint=error.hint) from error


def _real(path: Path, profile: Path | None) -> Listing:
    from sparqc.tools.engine.listings.listing import read_listing
    from sparqc.tools.engine.listings.profile import read_profile, timed

    listing = read_listing(path)
    if profile is None:
        return listing
    return replace(listing, kernels=timed(listing.kernels, read_profile(profile)))


def _json(said: Said, node: str | None) -> dict[str, Any]:
    from sparqc.tools.explain.node import ledger_json, node_json

    if node is not None:
        return node_json(said.engine, node, said.seen)
    data = {
        **said.engine.to_json(),
        "ledger": ledger_json(said.engine.ledger, said.seen),
        "estimates": [e.to_json() for e in said.estimates],
    }
    more = {"comparison": said.compared, "learned": said.written}
    return {**data, **{key: found.to_json() for key, found in more.items() if found is not None}}


def _show(said: Said, node: str | None, *, plan: bool, verbose: bool) -> None:
    from sparqc.tools.explain.comparison import comparison_lines
    from sparqc.tools.explain.node import node_lines
    from sparqc.tools.explain.text import show_engine, show_plan, summary

    console = stdout_console()
    if node is not None or said.compared is not None:
        lines = (
            node_lines(said.engine, node, said.seen)
            if node is not None
            else summary(said.engine, said.estimates)
        )
        more = comparison_lines(said.compared) if said.compared is not None else ()
        learned = said.written.lines() if said.written is not None else ()
        for line in (*lines, *more, *learned):
            show(console, line, soft_wrap=True)
        return
    show_engine(said.engine, said.estimates, console, whole=verbose)
    if plan:
        show_plan(said.engine, console, whole=verbose)
