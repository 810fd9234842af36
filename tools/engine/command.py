"""`sparqc build`: compile a finished ONNX file with the real compiler, and say what came of it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import click
import onnx
from rich.console import Console

from sparqc.declared.targets import default_profile, profiles
from sparqc.errors import NO, UsageError, did_you_mean
from sparqc.tools.engine.own_process import in_own_process
from sparqc.tools.engine.report import CompilerMessage, EngineReport
from sparqc.tools.engine.rtx import DEFAULT_SM, compile_rtx
from sparqc.tools.engine.rtx import TARGET as RTX
from sparqc.tools.engine.shapes import Shapes, parse_shape
from sparqc.tools.engine.text import render_report
from sparqc.tools.engine.trt import compile_trt
from sparqc.tools.model.recorded_options import compiled_for
from sparqc.tools.terminal import completion

#: What `sparqc build` compiles for; `tensorrt` stands for the version that is installed.
TARGETS = (RTX, "tensorrt", "tensorrt-8.6", "tensorrt-10", "tensorrt-11")


def build_engine(
    path: str | Path,
    target: str = RTX,
    sm: int | None = None,
    *,
    batch: int | None = None,
    shapes: Shapes | None = None,
    sparse: bool = True,
    output: str | Path | None = None,
) -> EngineReport:
    """Compile an ONNX file for a target.

    `sm` (86 for SM86) is what TensorRT-RTX compiles for; TensorRT takes the GPU that is there.
    The compiler runs in a process of its own.  See `rtx.compile_rtx` for the rest.

    Raises:
        SparqcError: the compiler or its GPU is missing, or it dies, or a file cannot be read or
            written.
        UsageError: an unknown target or `sm`, or shapes that do not fit the model.
    """
    out = Path(output) if output else None
    if out and out.absolute() == Path(path).absolute():
        raise UsageError(f"the engine would overwrite the model '{path}'")
    if target == RTX:
        return in_own_process(
            compile_rtx,
            path,
            sm=DEFAULT_SM if sm is None else sm,
            batch=batch,
            shapes=shapes,
            sparse=sparse,
            output=out,
        )
    if target not in TARGETS:
        raise UsageError(
            f"there is no compiler for the target '{target}'", hint=did_you_mean(target, TARGETS)
        )
    if sm is not None:
        raise UsageError(
            f"--sm is for {RTX}; {target} compiles for the GPU of this machine",
            hint="leave --sm out",
        )
    return in_own_process(
        compile_trt, path, target=target, batch=batch, shapes=shapes, sparse=sparse, output=out
    )


def _made_for_another(path: Path, target: str) -> str:
    """A warning where sparqc compiled the file for another target; "" where it did not."""
    made_for = compiled_for(onnx.load(path, load_external_data=False))
    if not made_for or (made_for == target if target in profiles() else made_for != RTX):
        return ""
    return (
        f"the file was compiled for {made_for}: what {target} takes otherwise may run in float "
        f"(sparqc compile --target {target if target in profiles() else default_profile().name})"
    )


@click.command("build")
@click.argument("model", type=click.Path(path_type=Path))
@click.option(
    "--target",
    default=RTX,
    show_default=True,
    help=f"One of {', '.join(TARGETS)}.",
    shell_complete=completion.completes(lambda _: [(name, "") for name in TARGETS]),
)
@click.option("--sm", type=int, help=f"Compute capability for {RTX}: 86 for SM86 (the default).")
@click.option(
    "--batch", type=int, help="The usual batch of a dynamic batch; the engine takes 1 to it."
)
@click.option(
    "--shape",
    "shape_texts",
    multiple=True,
    metavar="NAME:SHAPE",
    help="An input's shape: x:8x3x224x224, or its smallest, usual and largest one: "
    "x:1x3x64x64,8x3x224x224,16x3x512x512.  Repeat it for each input.",
)
@click.option("--sparsity/--no-sparsity", default=True, help="Allow sparse tactics (default).")
@click.option("--json", "as_json", is_flag=True, help="Print the whole report as JSON.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write the engine here.")
def build(
    model: Path,
    target: str,
    sm: int | None,
    batch: int | None,
    shape_texts: tuple[str, ...],
    sparsity: bool,
    as_json: bool,
    output: Path | None,
) -> None:
    """Compile MODEL (an ONNX file) with TensorRT-RTX or TensorRT, and say what it made of it.

    TensorRT-RTX needs no GPU.  Exit code 1 if the compiler refuses the model.
    """
    shapes = dict(map(parse_shape, shape_texts))
    report = build_engine(
        model, target, sm, batch=batch, shapes=shapes, sparse=sparsity, output=output
    )
    if note := _made_for_another(model, target):
        report = replace(report, warnings=(CompilerMessage(note), *report.warnings))
    if as_json:
        click.echo(json.dumps(report.to_json(), indent=2))
    else:
        render_report(report, Console())
    if not report.accepted:
        raise click.exceptions.Exit(NO)
