"""What the commands that read a MODEL ask for, as one value."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from sparqc.base.option_fields import OptionField, option, option_fields, read_options
from sparqc.job.options import Options
from sparqc.tools.model.words import check_words
from sparqc.tools.terminal import completion
from sparqc.tools.terminal.options import IMPORT_HELP, add_options


@dataclass(frozen=True)
class Request:
    """A model and its data, as the command line names them, and how it is to be compiled."""

    model: str
    options: Options = field(default_factory=Options)
    calibration: Path | None = option(
        None,
        "Calibration data: .npz, .npy or .safetensors, an array for each input by its name.",
        metavar="FILE",
    )
    inputs: tuple[str, ...] = option(
        (),
        "An example input of noise: x:f32[8,3,224,224], or 8x3x224x224.",
        metavar="SPEC",
        flag="--input",
    )
    submodule: str | None = option(None, "Compile this part of the model only.", metavar="NAME")

    imports: tuple[str, ...] = option((), IMPORT_HELP, metavar="MODULE", flag="--import")

    def __post_init__(self) -> None:
        read_options(self)


def shared_options() -> list[OptionField]:
    """The options of every command that takes a request, in the order of help texts."""
    wishes = (o for o in option_fields(Options).values() if not o.debugging)
    return [*wishes, *option_fields(Request).values()]


def debugging_options() -> list[OptionField]:
    """The options that find the step which breaks something."""
    return [o for o in option_fields(Options).values() if o.debugging]


def takes_request(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a click command MODEL and the shared options; it receives them as `request`,
    their words checked.

    Options of a compile that other decorators add become part of the request too.
    """

    @functools.wraps(command)
    def wrapped(**values: Any) -> Any:
        wishes = {name: values.pop(name) for name in option_fields(Options) if name in values}
        data = {name: values.pop(name) for name in option_fields(Request)}
        request = Request(values.pop("model"), Options(**wishes), **data)
        check_words(request.model, request.options, request.imports, values.get("after"))
        return command(request=request, **values)

    return click.argument("model", shell_complete=completion.files)(
        add_options(wrapped, shared_options())
    )


def takes_debugging_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a click command that takes a request `--check`, `--limit` and the like as well."""
    return add_options(command, debugging_options())
