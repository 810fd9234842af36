"""`sparqc check`: hold any ONNX file against the rules of a target."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sparqc.errors import NO, UsageError
from sparqc.report.show import show
from sparqc.tools.terminal import completion
from sparqc.tools.terminal.console import stdout_console
from sparqc.tools.terminal.options import import_option, patterns_option, recorded_options

if TYPE_CHECKING:
    from sparqc.tools.check.checked import Asked, Checked
    from sparqc.tools.check.fix import Fixed

#: What each value of `--fail-on` fails on.
FAIL_ON: dict[str, set[str]] = {
    "error": {"error"},
    "slow": {"error", "slow"},
    "note": {"error", "slow", "note"},
}

FORMATS = ("text", "json", "sarif", "junit")


@click.command("check")
@click.argument("file", type=click.Path(path_type=Path))
@recorded_options
@click.option(
    "--gpu",
    default="",
    metavar="NAME",
    help="The GPU of prices, and of where 2:4 pays.",
    shell_complete=completion.gpus,
)
@click.option(
    "--batch",
    type=click.IntRange(min=1),
    help="The batch that prices are for, where it is free; 8 without it.",
)
@patterns_option("A pattern file of your own, whose checks are held against the model too.")
@import_option
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMATS),
    help="How to print the findings: text, or for programs (SARIF 2.1.0, JUnit's XML).",
)
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
@click.option(
    "--fail-on",
    type=click.Choice([*FAIL_ON, "never"]),
    default="error",
    show_default=True,
    help="The least grade of a finding for which the exit code is 1.",
)
@click.option("--fix", is_flag=True, help="Cure what needs no new calibration, and check again.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="OUT",
    help="Where --fix writes the model, instead of FILE itself.",
)
def check_command(
    file: Path,
    target: str,
    knobs: tuple[str, ...],
    gpu: str,
    batch: int | None,
    patterns: tuple[Path, ...],
    form: str | None,
    as_json: bool,
    fail_on: str,
    fix: bool,
    output: Path | None,
) -> None:
    """Check FILE (an ONNX graph, sparqc's or anybody's) against the rules of a target.

    An error is what the target refuses or does not run as it is meant, slow what costs time, a
    note what is worth knowing.  Where quantizers stand is held against the plan that `compile`
    would make; each difference says what it costs.  The exit code is 1 where there is an error,
    and 3 where FILE is broken and nothing was checked.
    Each finding has a page in docs/checks.
    """  # fmt: skip
    from sparqc.tools.check.checked import Asked, check_file

    if output is not None and not fix:
        raise UsageError("-o says where --fix writes the model; there is no --fix")
    if as_json and form not in (None, "json"):
        raise UsageError(f"--json and --format {form}: give one of them")
    form = "json" if as_json else form
    asked = Asked(target, knobs, patterns, gpu, batch)
    checked = check_file(file, asked)
    fixed = _fixed(checked, asked, output or file, output is not None) if fix else None
    checked = fixed.checked if fixed else checked
    written = output or file
    failing = FAIL_ON.get(fail_on, set())
    match form or "text":
        case "json":
            _print_json(file, checked, fixed, written)
        case "sarif":
            _print_sarif(written, checked)
        case "junit":
            _print_junit(written, checked, failing)
        case _:
            _show(file, checked, fixed, written)
    if any(finding.grade in failing for finding in checked.findings):
        raise click.exceptions.Exit(NO)


def _fixed(checked: Checked, asked: Asked, output: Path, copied: bool) -> Fixed:
    """Fix, and write the model; a file that has nothing to fix is left alone unless copied."""
    from sparqc.tools.check.fix import fix, write_fixed

    fixed = fix(checked, asked)
    if fixed.cured or copied:
        write_fixed(fixed, output)
    return fixed


def _print_json(file: Path, checked: Checked, fixed: Fixed | None, output: Path) -> None:
    data = {"file": str(file), **checked.to_json()}
    if fixed is not None:
        data |= {"fixed": dict(fixed.cured), "output": str(output)}
    click.echo(json.dumps(data, indent=2))


def _print_sarif(file: Path, checked: Checked) -> None:
    from sparqc.tools.check.sarif import sarif

    click.echo(json.dumps(sarif(file, checked), indent=2))


def _print_junit(file: Path, checked: Checked, failing: set[str]) -> None:
    from sparqc.tools.check.junit import junit

    click.echo(junit(file, checked, failing))


def _show(file: Path, checked: Checked, fixed: Fixed | None, output: Path) -> None:
    from sparqc.tools.check.text import checked_lines, fixed_line

    console = stdout_console()
    if fixed is not None:
        show(console, fixed_line(fixed.cured, str(output)), soft_wrap=True)
    for line in checked_lines(str(output if fixed and fixed.cured else file), checked):
        show(console, line, soft_wrap=True)
