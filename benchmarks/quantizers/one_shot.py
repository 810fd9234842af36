"""2:4 sparsity without labels, on networks that others trained.

    python benchmarks/real/fetch.py
    python benchmarks/quantizers/one_shot.py FOLDER
    python benchmarks/quantizers/one_shot.py FOLDER --write docs/one_shot.md

FOLDER keeps the images and the logits of every run, and is not that of compare.py, which looks at
more images: what is there is not run again.  The words of a run, with its CPU time, stand beside
its logits.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
from compare import TITLES, decibels, run
from exchange import write_exchange
from machine import machine
from numpy.typing import NDArray
from tool_list import Tool

#: Networks of photographs, large enough to be worth 2:4.
NETWORKS = ("resnet50", "mobilenet_v2", "efficientnet_lite0")
#: Of the evaluation images every second one: five crops of each of the 20 photographs.
EVERY = 2
#: A name for files, a title, and the pipeline.
RUNS = (
    ("dense-int8", "dense INT8", "int8"),
    ("magnitude", "2:4 by magnitude, INT8", "all-sparse, -reestimate"),
    ("reestimated", "2:4 by magnitude, BatchNorm statistics renewed, INT8", "all-sparse"),
    (
        "permuted",
        "2:4 behind channel permutations, BatchNorm statistics renewed, INT8",
        "all-sparse, +prune{method=permuted}@instead=prune",
    ),
    (
        "one-shot",
        "2:4 by SparseGPT, rounding chosen with it, INT8",
        "one-shot, +prune{method=sparsegpt}@instead=prune",
    ),
    (
        "few-shot",
        "2:4 repaired on mixtures of images, and trained without labels, INT8",
        "few-shot, +prune{method=auto, mixed=3}@instead=prune",
    ),
)
SPARQC = Tool("sparqc", "sparqc", "with_sparqc.py", ())


@dataclass(frozen=True)
class Row:
    """What a pipeline reached on one network; shares in percent."""

    title: str
    pipeline: str
    decibels: float
    agreement: float
    right: float


@click.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--network", "networks", type=click.Choice(NETWORKS), multiple=True)
@click.option("--run", "names", type=click.Choice([r[0] for r in RUNS]), multiple=True)
@click.option("--write", type=click.Path(dir_okay=False, path_type=Path), help="Renew a page.")
def main(
    folder: Path, networks: tuple[str, ...], names: tuple[str, ...], write: Path | None
) -> None:
    """Run every pipeline on the networks, and print the tables."""
    lines = [HEAD.format(machine=machine(), count=20 * 10 // EVERY)]
    for name in networks or NETWORKS:
        exchange = folder.absolute() / name
        if not (exchange / "float.onnx").exists():
            write_exchange(name, exchange, EVERY)
        rows = [measure(exchange, *one) for one in RUNS if not names or one[0] in names]
        lines += [f"## {TITLES[name]}\n", *table(exchange, rows), ""]
    text = "\n".join(lines)
    if write:
        write.write_text(text, encoding="utf-8")
    else:
        click.echo(text)


def measure(exchange: Path, name: str, title: str, pipeline: str) -> Row:
    """Compile and run, unless the logits are there."""
    logits = exchange.parent / f"sparqc-{exchange.name}-{name}.npy"
    if not logits.exists():
        run(sys.executable, SPARQC, exchange, pipeline, logits)
    found, reference = np.load(logits), np.load(exchange / "reference.npy")
    row = Row(
        title,
        pipeline,
        decibels(reference, found),
        100 * float(np.mean(reference.argmax(1) == found.argmax(1))),
        right(exchange, found),
    )
    click.echo(f"{row.decibels:6.2f} dB  {row.right:3.0f} % right  {exchange.name}  {name}")
    return row


def right(exchange: Path, logits: NDArray[np.float32]) -> float:
    """The share of images whose first class is their label, in percent."""
    labels = np.load(exchange / "right.npz")["labels"]
    return 100 * float(np.mean(logits.argmax(1) == labels))


HEAD = """\
# 2:4 sparsity without labels

What is left of networks that others trained, after 2:4 sparsity and INT8, on {count} crops of \
20 photographs of ImageNet. The pipelines see 64 crops of 18 other photographs, without labels; \
all but the last one train nothing. [quantizers.md](quantizers.md) says more of networks and images.

    python benchmarks/real/fetch.py
    python benchmarks/quantizers/one_shot.py FOLDER --write docs/one_shot.md

Machine: {machine}.

| column | meaning |
|---|---|
| right | crops whose first class is that of the label |
| won back | of what magnitude pruning costs in that, against dense INT8 |
| same | crops with the same first class as with the FP32 network |
| dB | signal-to-noise ratio of the logits against the FP32 network |
"""


def table(exchange: Path, rows: list[Row]) -> Iterator[str]:
    """A line for each pipeline."""
    reference = right(exchange, np.load(exchange / "reference.npy"))
    yield "| network | pipeline | right | won back | same | dB |"
    yield "|---|---|---:|---:|---:|---:|"
    yield f"| FP32 | | {reference:.0f} % | | | |"
    found = {row.title: row.right for row in rows}
    dense, worst = (found.get(title) for _, title, _ in RUNS[:2])
    for row in rows:
        part = ""
        if dense is not None and worst is not None and dense > worst and row.title != RUNS[0][1]:
            part = f"{100 * (row.right - worst) / (dense - worst):.0f} %"
        shares = f"{row.right:.0f} % | {part} | {row.agreement:.0f} %"
        yield f"| {row.title} | `{row.pipeline}` | {shares} | {row.decibels:.1f} |"


if __name__ == "__main__":
    main()
