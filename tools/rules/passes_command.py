"""`sparqc passes`: the passes and presets that there are, and the options of one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.table import Table

from sparqc.base.options import describe, spell
from sparqc.errors import UsageError
from sparqc.report.show import show
from sparqc.tools.terminal import completion
from sparqc.tools.terminal.console import stdout_console
from sparqc.tools.terminal.options import import_option, patterns_option

if TYPE_CHECKING:
    from sparqc.pipeline.passbase import Pass


@click.command("passes")
@click.argument("name", required=False, shell_complete=completion.passes)
@patterns_option("A pattern file of your own, whose rules make one more pass.")
@import_option
def passes_command(name: str | None, patterns: tuple[Path, ...]) -> None:
    """List the passes and presets, or explain the pass NAME and its options."""
    from sparqc.pipeline.catalogue import passes
    from sparqc.pipeline.library import read_user_file  # which reads every pattern file

    for path in patterns:
        read_user_file(path)
    known = passes()
    if name is None:
        _list(known)
    elif name in known:
        click.echo("\n".join(explanation(known[name])))
    else:
        _show_preset(name, known)


def _list(known: Mapping[str, type[Pass]]) -> None:
    console = stdout_console()
    table = Table(box=None, pad_edge=False)
    for title in ("pass", "level", "promise", "options", "what it does"):
        table.add_column(title, no_wrap=title in ("pass", "level", "promise"))
    for name, cls in known.items():
        options = ", ".join(cls.options())
        table.add_row(name, level(cls), cls.preserves, options, first_sentence(cls))
    show(console, table)
    show(console, "")
    show(console, _presets())


def _presets() -> Table:
    from sparqc.pipeline.presets import presets

    table = Table(box=None, pad_edge=False)
    table.add_column("preset", no_wrap=True)
    table.add_column("what it stands for")
    for preset in presets().values():
        table.add_row(preset.name, f"{preset.help}\n{preset.passes}")
    return table


def _show_preset(name: str, known: Mapping[str, type[Pass]]) -> None:
    from sparqc.pipeline.catalogue import unknown_pass_hint
    from sparqc.pipeline.presets import presets

    if name not in presets():
        hint = unknown_pass_hint(name, [*known, *presets()])
        raise UsageError(f"there is no pass or preset {name!r}", hint=hint)
    preset = presets()[name]
    click.echo(f"{name} (preset): {preset.help}\n\n  {preset.passes}")


def level(cls: type[Pass]) -> str:
    """The level a pass runs on: "fx", "onnx", "any", or "fx -> onnx"."""
    return f"{cls.level} -> {cls.gives}" if cls.gives else cls.level


def first_sentence(cls: type[Pass]) -> str:
    """The first paragraph of the help text, up to its first full stop."""
    paragraph = " ".join(cls.help().partition("\n\n")[0].split())
    return paragraph.partition(". ")[0].removesuffix(".")


def explanation(cls: type[Pass]) -> Iterator[str]:
    """The lines that explain one pass."""
    yield f"{cls.name}  (level {level(cls)}, promises {cls.preserves})"
    yield ""
    yield from (f"  {line}".rstrip() for line in cls.help().splitlines())
    yield ""
    rules: tuple[str, ...] = getattr(cls, "rules", ())  # of a pass that a pattern file makes
    if rules:
        yield f"  rules: {', '.join(rules)}"
    yield from _options(cls)


def _options(cls: type[Pass]) -> Iterator[str]:
    from sparqc.pipeline.registry import option_types

    kinds = option_types(cls)
    if not kinds:
        yield "  It takes no options."
        return
    plain = cls()
    yield "  options:"
    for name, kind in kinds.items():
        default = getattr(plain, name)
        yield f"    {name}={spell(default)}  ({describe(kind)})"
    example = next(iter(kinds))
    yield f"  written: {cls.name}{{{example}={spell(getattr(plain, example))}}}"
