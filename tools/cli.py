"""The command line `sparqc`: its commands, and what a person sees where one fails.

A command is imported only when it is asked for, so that `--help` does not wait for torch.
"""

from __future__ import annotations

import gc
import importlib
import os
import sys
import tempfile
import traceback
from collections.abc import Sequence
from typing import NoReturn

import click

import sparqc
from sparqc.errors import FAILED, LONGEST, SparqcError, UsageError, did_you_mean

#: Where each command is defined, in the order of a person's work.
COMMANDS = {
    "compile": "sparqc.tools.compile.command:compile_command",
    "tune": "sparqc.tools.tune.command:tune_command",
    "sensitivity": "sparqc.tools.sensitivity.command:sensitivity_command",
    "check": "sparqc.tools.check.command:check_command",
    "explain": "sparqc.tools.explain.command:explain_command",
    "build": "sparqc.tools.engine.command:build",
    "inspect": "sparqc.tools.inspect.command:inspect_command",
    "why": "sparqc.tools.inspect.why:why_command",
    "whynot": "sparqc.tools.inspect.whynot:whynot_command",
    "diff": "sparqc.tools.runs.differences:diff_command",
    "bisect": "sparqc.tools.runs.bisect.command:bisect_command",
    "reduce": "sparqc.tools.runs.reduce.command:reduce_command",
    "view": "sparqc.tools.page.view_command:view_command",
    "export-view": "sparqc.tools.page.export_view_command:export_view_command",
    "replay": "sparqc.tools.runs.replay:replay_command",
    "passes": "sparqc.tools.rules.passes_command:passes_command",
    "rules": "sparqc.tools.rules.rules_command:rules_group",
    "ops": "sparqc.tools.reference.operators.command:ops_command",
    "natives": "sparqc.tools.reference.natives.command:natives_command",
    "targets": "sparqc.tools.rules.targets_command:targets_command",
    "witnesses": "sparqc.tools.rules.witnesses_command:witnesses_command",
}

# Where other programs use the cores too, OpenMP's busy waiting makes PyTorch a hundred times slower
# (2 s instead of 10 ms for a small ResNet); waiting passively costs little elsewhere.  It is read
# when torch is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

#: New objects before Python looks for unreachable cycles.  torch's import and export make millions
#: of small objects that stay; to go through them every 700 objects takes a second of each compile.
COLLECT_AFTER = 50_000

#: Exit codes beside those of `sparqc.errors`: a bug in sparqc (EX_SOFTWARE), and Ctrl-C.
BUG, INTERRUPTED = 70, 130


class _Commands(click.Group):
    """The commands of `COMMANDS`, each imported when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order in which help shows them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, None where there is none."""
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name].partition(":")
        command = getattr(importlib.import_module(module), name)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that the first argument names, with a suggestion where there is none."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            hint = did_you_mean(args[0], COMMANDS)
            ctx.fail(f"there is no command '{args[0]}'; {hint}")
        return super().resolve_command(ctx, args)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(sparqc.__version__, prog_name="sparqc")
@click.option("--debug", is_flag=True, help="Show the Python traceback of an error.")
def cli(debug: bool) -> None:
    """Compile trained networks into 2:4 sparse INT8 ONNX graphs.

    \b
    MODEL is one of
      model.py[:name]            a file with model() and example_inputs()
      package.module:callable    for example torchvision.models:resnet34
      model.pt2                  a saved torch.export program
      model.onnx                 a float ONNX graph
    """


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and end the process, with one of the exit codes of docs/cli.md."""
    gc.set_threshold(COLLECT_AFTER)
    code = run(arguments)
    # The last search for cycles, as the interpreter ends, takes another second and finds nothing
    # that the end of the process does not free anyway.
    gc.freeze()
    sys.exit(code)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code, whatever happens."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        if any("\0" in word for word in words):
            raise UsageError("an argument holds a zero byte")
        result = cli.main(words, prog_name="sparqc", standalone_mode=False)
        return result if isinstance(result, int) else 0
    except SparqcError as error:
        if "--debug" in words:
            traceback.print_exc()
        click.echo(f"error: {error}", err=True)
        _echo_notes(error)
        return error.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        return INTERRUPTED
    except OSError as error:
        # The system refuses a name (too long, a loop of links), a disk or a permission.
        where = f"{error.filename}: "[:LONGEST] if error.filename else ""
        click.echo(f"error: {where}{error.strerror or error}", err=True)
        return FAILED
    except MemoryError:
        click.echo("error: there is not enough memory for this model and its data", err=True)
        return FAILED
    except Exception as error:  # noqa: BLE001  the last resort: say that the fault is ours
        _report_bug(error, shown="--debug" in words)
        return BUG


def _echo_notes(error: Exception) -> None:
    """What a command has to say beside its error."""
    for note in getattr(error, "__notes__", ()):
        click.echo(f"  {note}", err=True)


def _report_bug(error: Exception, shown: bool) -> None:
    """Say that sparqc itself is wrong, and where the traceback lies."""
    text = "".join(traceback.format_exception(error))
    if shown:
        click.echo(text, err=True)
    click.echo(f"this is a bug in sparqc: {type(error).__name__}: {error}", err=True)
    _echo_notes(error)
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="sparqc-bug-", suffix=".txt", delete=False, encoding="utf-8"
        ) as file:
            file.write(f"sparqc {sparqc.__version__}\n{sys.argv}\n\n{text}")
    except OSError:
        click.echo("  run it again with `sparqc --debug …` to see where, and report it", err=True)
        return
    click.echo(f"  please report it, with the traceback in {file.name}", err=True)


if __name__ == "__main__":
    main()
