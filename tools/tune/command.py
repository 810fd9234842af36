"""`sparqc tune`: train a model so that it is sparse and quantized, and compile it."""

from __future__ import annotations

import contextlib
import json
import sys
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sparqc.tools.model.request import Request, takes_request

if TYPE_CHECKING:
    from sparqc.tools.tune.order import Order

_PATH = click.Path(path_type=Path)


@click.command("tune")
@takes_request
@click.option("-o", "--output", required=True, type=_PATH, help="The ONNX file to write.")
@click.option(
    "--stage",
    type=click.Choice(["both", "sparse", "qat"]),
    default="both",
    show_default=True,
    help="Train the masked model, the quantized one, or first the one and then the other.",
)
@click.option("--epochs", default=10, show_default=True, help="Epochs with masks.")
@click.option("--qat-epochs", type=int, help="Epochs with quantizers; a fifth of --epochs.")
@click.option(
    "--optimizer",
    type=click.Choice(["sgd", "adamw"]),
    default="sgd",
    show_default=True,
    help="What takes the steps.",
)
@click.option(
    "--qat-optimizer",
    type=click.Choice(["sgd", "adamw"]),
    help="That with quantizers; --optimizer.",
)
@click.option(
    "--lr", type=float, help="The largest learning rate; 0.01 with sgd, 0.0005 with adamw."
)
@click.option("--qat-lr", type=float, help="That with quantizers; a tenth of --lr.")
@click.option("--momentum", default=0.9, show_default=True, help="Of sgd.")
@click.option(
    "--weight-decay", type=float, help="Of weights alone; 0.0001 with sgd, 0.01 with adamw."
)
@click.option("--warmup", default=0.1, show_default=True, help="Epochs in which the rate rises.")
@click.option(
    "--qat-warmup", type=float, help="Those with quantizers; --warmup, at most half of the epochs."
)
@click.option(
    "--accumulate",
    default=1,
    show_default=True,
    metavar="PARTS",
    help="Cut each batch into so many parts, whose gradients are added up.",
)
@click.option(
    "--ema",
    default=0.0,
    show_default=True,
    metavar="DECAY",
    help="End each stage with a moving average of the weights, such as 0.999; 0: with the last.",
)
@click.option(
    "--clip", default=5.0, show_default=True, help="The largest norm of the gradients; 0: any."
)
@click.option(
    "--distill",
    default=0.5,
    show_default=True,
    help="The share of the dense model's outputs in the loss; without targets it is 1.",
)
@click.option(
    "--distance",
    type=click.Choice(["auto", "kl", "mse"]),
    default="auto",
    show_default=True,
    help="How outputs are held against the dense model's: auto takes [N, C] for logits.",
)
@click.option("--temperature", default=1.0, show_default=True, help="Of kl.")
@click.option("--autocast", is_flag=True, help="Multiply in bfloat16.")
@click.option("--seed", default=0, show_default=True, help="Of the data's order and of dropout.")
@click.option(
    "--batch-norm",
    type=click.Choice(["live", "folded"]),
    default="live",
    show_default=True,
    help="Whether BatchNorm normalises with the batch while the quantized model trains.",
)
@click.option("--learned-scales", is_flag=True, help="Train the scales of the quantizers, too.")
@click.option(
    "--checkpoint", type=_PATH, metavar="DIR", help="Where to keep the state; OUTPUT.tune."
)
@click.option(
    "--resume", is_flag=True, help="Go on from the newest checkpoint, where there is one."
)
@click.option(
    "--save-every",
    type=click.IntRange(min=1),
    default=500,
    show_default=True,
    metavar="STEPS",
    help="Steps between checkpoints; there is one at the end of each epoch, too.",
)
@click.option("--device", default="auto", show_default=True, help="cpu, cuda, cuda:1, …")
@click.option(
    "--deterministic", is_flag=True, help="On a GPU: only kernels that give the same bits again."
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=30.0,
    show_default=True,
    metavar="MINUTES",
    help="Of several ranks: how long one may take to answer the others.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@click.option("--quiet", is_flag=True, help="Print nothing but errors.")
@click.option("--verbose", is_flag=True, help="Show every layer, whatever their number.")
def tune_command(request: Request, as_json: bool, quiet: bool, verbose: bool, **given: Any) -> None:
    """Train MODEL with 2:4 masks, then with quantizers, and compile what comes out.

    model.py may offer training(), which yields (inputs..., target) batches, and
    loss(outputs, target); or train(module), which does it all.  Without labels the dense model's
    outputs are the target.

    Under torchrun, many processes train together:

    \b
      torchrun --nproc-per-node 8 -m sparqc.tools.cli tune model.py -o model.onnx
    """
    from sparqc.tools.tune.outcome import render, tune

    order = order_of(request, quiet or as_json, **given)
    # A model's own prints must not get into the report.
    with contextlib.redirect_stdout(sys.stderr):
        outcome = tune(order)
    if outcome is None:
        return
    if as_json:
        click.echo(json.dumps(outcome.to_json(), indent=2))
    elif not quiet:
        render(outcome, verbose=verbose)
    if outcome.error:
        raise outcome.error


def order_of(
    request: Request,
    quiet: bool,
    *,
    output: Path,
    checkpoint: Path | None,
    **given: Any,
) -> Order:
    """The order that the options of the command line spell; UsageError where one makes no sense."""
    from sparqc.tools.tune.order import Order
    from sparqc.tools.tune.recipe import Recipe, recipes

    wishes = {
        name: given.pop(name)
        for name in list(given)
        if name.removeprefix("qat_") in _fields(Recipe)
    }
    sparse, qat = recipes(**wishes)
    return Order(
        request=request,
        output=output,
        sparse=sparse,
        qat=qat,
        checkpoint=checkpoint or output.with_name(f"{output.name}.tune"),
        quiet=quiet,
        **given,
    )


def _fields(recipe: type[Any]) -> set[str]:
    return {field.name for field in fields(recipe)}
