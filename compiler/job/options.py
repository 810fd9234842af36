"""What a person may wish of one compile."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from sparqc.base.option_fields import option, option_fields, read_options
from sparqc.errors import UsageError, did_you_mean


@dataclass(frozen=True)
class Options:
    """What a person may wish of one compile, beside the model and its data.

    Each wish is written here only: its keyword in Python, its spelling on the command line, its
    help text, what it takes, and its row in docs/cli.md are all made from the field.

    Raises UsageError for a value that an option does not take.
    """

    passes: str = option(
        "default",
        "Passes and presets: default,-prune,+mine@after=export. See `sparqc passes`.",
        metavar="PIPELINE",
    )
    target: str = option("", "See `sparqc targets`.", metavar="NAME")
    patterns: tuple[Path, ...] = option(
        (), "A pattern file of your own; its rules run as a pass of its name.", metavar="FILE"
    )
    exclude: tuple[str, ...] = option(
        (),
        "Leave operators as they are: first_conv, heads, nn.linear, conv_9, 'layer4.*'.",
        metavar="SELECTOR",
    )
    dense: tuple[str, ...] = option(
        (),
        "Keep the weights of operators dense: the same words as --exclude, and unlikely-to-pay.",
        metavar="SELECTOR",
    )
    layers: Path | None = option(
        None,
        "How each layer is kept, as `sparqc sensitivity` writes it: sparse-int8, int8, float.",
        metavar="FILE",
    )
    knobs: tuple[str, ...] = option(
        (),
        "Turn a knob of the target's rules: attention=int8. See `sparqc rules knobs`.",
        metavar="NAME=VALUE",
        flag="--knob",
    )
    float: Literal["", "fp32", "fp16"] = option(
        "",
        "What is not quantized: fp32 or fp16; by default what suits the target.",
        metavar="TYPE",
    )
    io: str = option(
        "float",
        "Inputs and outputs: float (as the model has them), fp16 or int8; or by their names: "
        "fp16,logits=float.",
        metavar="TYPES",
    )
    dynamic_batch: bool = option(
        True, "Fix the batch to that of the example inputs.", flag="--static"
    )
    random_calibration: bool = option(False, "Calibrate on noise: for structure only.")
    check: Literal["off", "pass", "rule"] = option(
        "off",
        "Run the example inputs before and after each pass or rule, and stop at the first that "
        "breaks its promise.",
        debugging=True,
    )
    limit: int | None = option(
        None,
        "Stop after so many passes, rule applications and single decisions.",
        at_least=0,
        debugging=True,
    )
    skip: tuple[str, ...] = option(
        (), "Do without this pass, rule, fusion, share or check.", metavar="NAME", debugging=True
    )

    def __post_init__(self) -> None:
        read_options(self)


def make_options(
    options: Options | None = None, beside: Collection[str] = (), /, **wishes: object
) -> Options:
    """The options by name, those of `options` where a name is not given.

    `beside` are the other keywords of the function that takes them: one of them may be meant.
    Raises UsageError for a name that is no option, and for a value that its option does not take.
    """
    if options is not None and not isinstance(options, Options):
        raise UsageError(
            f"options is a value of type {type(options).__name__}, not sparqc.Options",
            hint='write sparqc.Options(passes="…"), or the options themselves as keywords',
        )
    for name in wishes:
        _require_option(name, beside)
    return replace(options or Options(), **wishes)  # type: ignore[arg-type]


def _require_option(name: str, beside: Collection[str]) -> None:
    known = option_fields(Options)
    if name in known:
        return
    hint = did_you_mean(name, [*known, *beside])
    for declared in known.values():
        if declared.flag == f"--{name}":
            hint = f"{declared.flag} of the command line is {declared.name}= in Python"
    raise UsageError(f"there is no option {name!r}", hint=hint)
