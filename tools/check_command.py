"""`sparqc check`: hold any ONNX file against the rules of a target."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sparqc.errors import FAILED
from sparqc.tools.console import show, stdout_console

if TYPE_CHECKING:
    from onnx import ModelProto

    from sparqc.passes.check import Finding
    from sparqc.targets import Profile


@click.command("check")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--target", default="", metavar="NAME", help="See `sparqc targets`.")
@click.option(
    "--patterns",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="A pattern file of your own, whose checks are held against the model too.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
def check_command(file: Path, target: str, patterns: tuple[Path, ...], as_json: bool) -> None:
    """Check FILE (an ONNX graph, sparqc's or anybody's) against the rules of a target.

    Exit code 1 where a finding has the grade error: the target would refuse the file, or not run
    it as it is meant.
    """
    from sparqc.api import Options, prepare
    from sparqc.ir.onnx import load_onnx
    from sparqc.passes.check import findings_of
    from sparqc.passes.lost import lost
    from sparqc.tools.report_layers import layer_rows
    from sparqc.verify import check_model

    model = load_onnx(file)
    check_model(model)
    prepared = prepare(model, options=Options(passes="", target=target, patterns=patterns))
    graph, context = prepared.graph, prepared.context
    findings = [
        *_opset(model, context.target),
        *findings_of(graph, context),
        *lost(graph, context.table),
    ]
    rows = layer_rows(graph, context)
    counts = {
        "layers": len(rows),
        "int8_layers": sum(row.int8 for row in rows),
        "sparse_layers": sum(row.sparse for row in rows),
    }
    if as_json:
        found = [finding.to_json() for finding in findings]
        data = {"file": str(file), "target": context.target.name, **counts, "findings": found}
        click.echo(json.dumps(data, indent=2))
    else:
        _show(file, context.target.name, counts, findings)
    if any(finding.grade == "error" for finding in findings):
        raise click.exceptions.Exit(FAILED)


def _opset(model: ModelProto, target: Profile) -> Iterator[Finding]:
    """A file in an opset that the target does not read."""
    from sparqc.ir.onnx import opset_of
    from sparqc.passes.check import Finding

    opset = opset_of(model)
    if not target.min_opset <= opset <= target.max_opset:
        yield Finding(
            "opset",
            "error",
            (),
            f"the file has opset {opset}; {target.name} reads {target.min_opset} to "
            f"{target.max_opset}",
            "compile it for that target, or export it anew in one of these",
        )


def _show(file: Path, target: str, counts: dict[str, int], findings: Sequence[Finding]) -> None:
    from sparqc.tools.report_findings import finding_lines

    console = stdout_console()
    show(console, f"{file}: checked for {target}", soft_wrap=True)
    show(
        console,
        f"layers with weights: {counts['layers']}, in INT8: {counts['int8_layers']}, "
        f"sparse 2:4: {counts['sparse_layers']}",
    )
    for line in finding_lines(findings):
        show(console, line)
    if not findings:
        show(console, "nothing found")
