"""Options of the command line, made from where they are declared."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from types import NoneType
from typing import Any, TypeVar, get_args

import click

from sparqc.base.option_fields import OptionField
from sparqc.tools.terminal import completion

F = TypeVar("F", bound=Callable[..., Any])


#: What `--import` is for, on every command that has it.
IMPORT_HELP = (
    "Python of your own, imported first: a file or a module, whose natives and passes are then "
    "known."
)


def import_option(command: F) -> F:
    """Give a click command `--import`; what it names is imported before the command runs."""
    return click.option(
        "--import",
        "imports",
        multiple=True,
        metavar="MODULE",
        expose_value=False,
        is_eager=True,
        callback=_import,
        shell_complete=completion.files,
        help=IMPORT_HELP,
    )(command)


def _import(context: click.Context, parameter: click.Parameter, given: tuple[str, ...]) -> None:
    if given and not context.resilient_parsing:  # a Tab runs no code
        from sparqc.tools.model.own_modules import import_own  # brings torch

        import_own(given)


def recorded_options(command: F) -> F:
    """Give a click command `--target` and `--knob`, as `target` and `knobs`, for a file that says
    itself what it was compiled with."""
    knob = click.option(
        "--knob",
        "knobs",
        multiple=True,
        metavar="NAME=VALUE",
        shell_complete=completion.knobs,
        help="Set a knob of the target's rules, as for compile; by default as the file was "
        "compiled.",
    )
    target = click.option(
        "--target",
        default="",
        metavar="NAME",
        shell_complete=completion.targets,
        help="See `sparqc targets`; by default the one that the file was compiled for.",
    )
    return target(knob(command))


def patterns_option(help: str) -> Callable[[F], F]:
    """The decorator that gives a click command `--patterns`; it gets the files as `patterns`."""
    return click.option(
        "--patterns", multiple=True, type=click.Path(path_type=Path), metavar="FILE", help=help
    )


def witnesses_option(command: F) -> F:
    """Give a click command `--witnesses`; it gets the paths as `own`."""
    return click.option(
        "--witnesses",
        "own",
        multiple=True,
        type=click.Path(path_type=Path),
        metavar="PATH",
        help="Witnesses of your own, which count too: a file, or a folder with such.",
    )(command)


def add_options(command: F, declared: Iterable[OptionField]) -> F:
    """Give a click command these options, above those that it has; it gets them by field names."""
    for option in reversed(list(declared)):
        command = click_option(option)(command)
    return command


def click_option(declared: OptionField) -> Callable[[F], F]:
    """The decorator that gives a click command one declared option."""
    if declared.kind is bool:
        return click.option(
            declared.flag,
            declared.name,
            is_flag=True,
            help=declared.help,
            callback=_off if declared.default else None,
        )
    return click.option(
        declared.flag,
        declared.name,
        type=_type(declared),
        multiple=declared.is_repeatable,
        default=declared.default,
        show_default=bool(declared.default),
        metavar=declared.metavar or None,
        help=declared.help,
        shell_complete=_completion(declared),
    )


def _completion(declared: OptionField) -> completion.Complete | None:
    if declared.choices:
        return completion.completes(lambda _: [(word, "") for word in declared.choices if word])
    return completion.OPTIONS.get(declared.name)


def _off(context: click.Context, parameter: click.Parameter, given: bool) -> bool:
    """A flag that switches off what is on by default."""
    return not given


def _type(declared: OptionField) -> click.ParamType[Any] | type[str]:
    if declared.choices:
        # Where a placeholder stands for the words, `OptionField.read` says which there are.
        return str if declared.metavar else click.Choice(declared.choices)
    kind = _one(declared.kind)
    if kind is Path:
        return click.Path(path_type=Path)
    return click.IntRange(min=declared.at_least) if kind is int else str


def _one(kind: Any) -> Any:
    """The type of one value: Path for `tuple[Path, ...]` and for `Path | None`."""
    kinds = [k for k in get_args(kind) if k not in (NoneType, Ellipsis)]
    return kinds[0] if kinds else kind
