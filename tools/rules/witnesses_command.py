"""`sparqc witnesses`: the real engines on which the predictions rest."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sparqc.errors import UsageError, did_you_mean
from sparqc.tools.terminal import completion
from sparqc.tools.terminal.options import witnesses_option

if TYPE_CHECKING:
    from sparqc.predict.witness import SeenKernel, Witness


@click.command("witnesses")
@click.argument("name", required=False, shell_complete=completion.witnesses)
@witnesses_option
@click.option("--json", "as_json", is_flag=True, help="Print the witnesses as JSON.")
def witnesses_command(name: str | None, own: tuple[Path, ...], as_json: bool) -> None:
    """List the real engines on which predictions rest, or show the kernels of the witness NAME.

    `sparqc explain --engine LISTING --learn` writes one of an engine of yours.
    """
    from sparqc.predict.witnesses import witnesses

    known = witnesses(own)
    if name is not None and name not in known:
        raise UsageError(f"there is no witness {name!r}", hint=did_you_mean(name, known))
    shown = [known[name]] if name is not None else list(known.values())
    if as_json:
        click.echo(json.dumps([w.to_json() for w in shown], indent=2))
        return
    if name is not None:
        click.echo("\n".join(_lines(known[name])))
        return
    longest = max(map(len, known))
    click.echo("\n".join(f"{w.name:<{longest}}  {_line(w)}" for w in shown))


def _line(witness: Witness) -> str:
    """`A40, batch 8, 36 kernels, 36 timed, 29 of 35 sparse: a network`."""
    found = [witness.engine, f"batch {witness.head.batch}"]
    if witness.kernels:
        found += [f"{len(witness.kernels)} kernels", f"{witness.timed or 'none'} timed"]
        found.append(_sparse(witness))
    if witness.whole:
        found.append("the whole timed")
    network = f": {witness.head.network}" if witness.head.network else ""
    return f"{', '.join(found)}{network}"


def _sparse(witness: Witness) -> str:
    """How many of the kernels of which it was seen ran sparse."""
    return f"{witness.sparse} of {witness.told} sparse" if witness.told else "sparse not seen"


def _lines(witness: Witness) -> Iterator[str]:
    head = witness.head
    rows = {
        "GPU": f"{witness.gpu.doc} ({witness.gpu.generation.doc})",
        "built with": witness.built_with, "network": head.network, "batch": str(head.batch),
        "INT8 by": head.quantized, "whole": witness.whole, "source": head.source,
        "license": head.license, "file": witness.file, "kernels": str(len(witness.kernels)),
    }  # fmt: skip
    yield witness.name
    yield from (f"  {key:<11}{text}" for key, text in rows.items() if text)
    yield from (f"    {_kernel(kernel)}" for kernel in witness.kernels)


def _kernel(kernel: SeenKernel) -> str:
    """`conv 64 <- 64, 3x3, stride 1x1, 131072 rows, int8, add: 38.4 us`."""
    sizes = [f"{kernel.operator} {kernel.k} <- {kernel.c}"]
    if kernel.kernel:
        sizes += ["x".join(map(str, kernel.kernel)), f"stride {'x'.join(map(str, kernel.stride))}"]
    if kernel.groups > 1:
        sizes.append(f"{kernel.groups} groups")
    text = ", ".join([*sizes, f"{kernel.rows} rows", kernel.computes, *kernel.epilogue])
    if kernel.reads and kernel.writes:
        text += f", {' + '.join(kernel.reads)} -> {' + '.join(kernel.writes)}"
    return f"{text}: {', '.join(_seen(kernel)) or 'not timed'}"


def _seen(kernel: SeenKernel) -> Iterator[str]:
    if kernel.dense_us is not None:
        yield f"{kernel.dense_us:g} us"
    allowed = [] if kernel.sparse is None else ["ran sparse" if kernel.sparse else "ran dense"]
    if kernel.sparse_us is not None:
        allowed.append(f"{kernel.sparse_us:g} us")
    if allowed:
        yield f"where sparse kernels were allowed {', '.join(allowed)}"
