"""`sparqc build`: compile a finished ONNX file with the real compiler, and say what came of it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import click
from rich.console import Console

from sparqc.errors import NO
from sparqc.tools.engine.targets import RTX, TARGETS
from sparqc.tools.terminal import completion


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
    from sparqc.ir.input_shapes import parse_shape
    from sparqc.tools.engine.build_engine import build_engine, made_for_another
    from sparqc.tools.engine.report import CompilerMessage
    from sparqc.tools.engine.text import render_report

    shapes = dict(map(parse_shape, shape_texts))
    report = build_engine(
        model, target, sm, batch=batch, shapes=shapes, sparse=sparsity, output=output
    )
    if note := made_for_another(model, target):
        report = replace(report, warnings=(CompilerMessage(note), *report.warnings))
    if as_json:
        click.echo(json.dumps(report.to_json(), indent=2))
    else:
        render_report(report, Console())
    if not report.accepted:
        raise click.exceptions.Exit(NO)
