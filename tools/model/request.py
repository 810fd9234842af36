"""What the commands that read a MODEL ask for: the options that they share, as one value."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import click

_PATH = click.Path(path_type=Path)


@dataclass(frozen=True)
class Request:
    """A model, and how it is to be compiled."""

    model: str
    passes: str = "default"
    target: str = ""
    patterns: tuple[Path, ...] = ()
    exclude: tuple[str, ...] = ()
    dense: tuple[str, ...] = ()
    layers: Path | None = None
    knobs: tuple[str, ...] = ()
    float: str = ""
    io: str = "float"
    calibration: Path | None = None
    random_calibration: bool = False
    inputs: tuple[str, ...] = ()
    submodule: str | None = None
    static: bool = False


_OPTIONS = (
    click.argument("model"),
    click.option(
        "--passes",
        default="default",
        show_default=True,
        metavar="PIPELINE",
        help="Passes and presets: default,-prune,+mine@after=export. See `sparqc passes`.",
    ),
    click.option("--target", default="", metavar="NAME", help="See `sparqc targets`."),
    click.option(
        "--patterns",
        multiple=True,
        type=_PATH,
        metavar="FILE",
        help="A pattern file of your own; its rules run as a pass of its name.",
    ),
    click.option(
        "--exclude",
        multiple=True,
        metavar="SELECTOR",
        help="Leave operators as they are: first_conv, heads, nn.linear, 'layer4.*'.",
    ),
    click.option(
        "--dense",
        multiple=True,
        metavar="SELECTOR",
        help="Keep the weights of operators dense: the same words as --exclude.",
    ),
    click.option(
        "--layers",
        type=_PATH,
        metavar="FILE",
        help="How each layer is kept, as `sparqc sensitivity` writes it: sparse-int8, int8, float.",
    ),
    click.option(
        "--knob",
        "knobs",
        multiple=True,
        metavar="NAME=VALUE",
        help="Turn a knob of the target's rules: attention=int8. See `sparqc rules knobs`.",
    ),
    click.option(
        "--float",
        default="",
        metavar="TYPE",
        help="What is not quantized: fp32 or fp16; by default what suits the target.",
    ),
    click.option(
        "--io",
        default="float",
        show_default=True,
        metavar="TYPES",
        help="Inputs and outputs: float (as the model has them), fp16 or int8; or by their names: "
        "fp16,logits=float.",
    ),
    click.option(
        "--calibration",
        type=_PATH,
        metavar="FILE",
        help="Calibration data: .npz, .npy or .safetensors, an array for each input by its name.",
    ),
    click.option(
        "--random-calibration", is_flag=True, help="Calibrate on noise: for structure only."
    ),
    click.option(
        "--input",
        "inputs",
        multiple=True,
        metavar="SPEC",
        help="An example input of noise: x:f32[8,3,224,224], or 8x3x224x224.",
    ),
    click.option("--submodule", metavar="NAME", help="Compile this part of the model only."),
    click.option("--static", is_flag=True, help="Fix the batch to that of the example inputs."),
)


def takes_request(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a click command the shared options; it receives them as `request`."""
    names = [f.name for f in fields(Request)]

    @functools.wraps(command)
    def wrapped(**values: Any) -> Any:
        request = Request(**{name: values.pop(name) for name in names})
        return command(request=request, **values)

    for option in reversed(_OPTIONS):
        wrapped = option(wrapped)
    return wrapped
