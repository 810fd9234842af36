"""What 2:4 pruning without training costs a real network, and what repair wins back.

    python benchmarks/real/fetch.py
    python benchmarks/one_shot.py benchmarks/real/resnet50.py
    python benchmarks/one_shot.py benchmarks/real/resnet50.py --int8
    python benchmarks/one_shot.py examples/fashion_mnist/model.py

Prunes by magnitude, by magnitude with BatchNorm statistics measured again, and by SparseGPT with
the remaining weights repaired; prints what the model's own `evaluate` says of each, and the time of
each repaired layer.  Time is the wall clock's, CPU time that of the whole process.
"""

from __future__ import annotations

import importlib
import resource
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType

import click
import onnxruntime as ort
import torch
from torch import Tensor

import sparqc
from sparqc.passes.layerwise.repaired import Repaired
from sparqc.passes.masks.pruning import Pruning
from sparqc.passes.round_weights import WeightRounding

#: Name, passes that prune, passes that round.
FLOAT = [
    ("dense", "", ""),
    ("magnitude", "prune", ""),
    ("magnitude, reestimate", "prune, reestimate", ""),
    ("sparsegpt", "prune{method=sparsegpt}", ""),
]
INT8 = [
    ("dense", "", ""),
    ("dense, round-weights", "", "round-weights"),
    ("magnitude, reestimate", "prune, reestimate", ""),
    ("sparsegpt", "prune{method=sparsegpt}", ""),
    ("sparsegpt, round-weights", "prune{method=sparsegpt}", "round-weights"),
]


@click.command()
@click.argument("model", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--int8", is_flag=True, help="Quantize too.")
@click.option("--threads", default=2, show_default=True)
@click.option("--only", default="", help="Run the line of this name alone.")
@click.option("--target", default="tensorrt-rtx", show_default=True)
def main(model: Path, int8: bool, threads: int, only: str, target: str) -> None:
    """Compile a model.py in several ways and print what becomes of it."""
    torch.set_num_threads(threads)
    sys.path.insert(0, str(model.parent))
    source = importlib.import_module(model.stem)
    for name, prune, rounding in INT8 if int8 else FLOAT:
        if name == only or not only:
            compile_and_show(source, name, pipeline(prune, rounding, int8), threads, target)


def pipeline(prune: str, rounding: str, int8: bool) -> str:
    """The passes of a line."""
    quantize = ("attention, place, calibrate", rounding) if int8 else ()
    steps = ("cleanup, fold-constants", prune, "fold", *quantize, "export, surgery, cleanup")
    return ", ".join(step for step in steps if step)


def compile_and_show(source: ModuleType, name: str, passes: str, threads: int, target: str) -> None:
    """Compile, evaluate, print."""
    wall, cpu = time.perf_counter(), time.process_time()
    done = sparqc.compile(
        source.model(),
        source.example_inputs(),
        calibration=source.calibration,
        passes=passes,
        target=target,
    )
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    figures = source.evaluate(runner(done.model.SerializeToString(), threads))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    shown = ", ".join(f"{key} {value:.2f}" for key, value in figures.items())
    click.echo(f"{name:<26} {shown}; {wall:.0f} s, CPU {cpu:.0f} s, peak memory {peak:.2f} GB")
    facts = done.context.facts
    show_layers("prune", facts.get(Pruning, Pruning()).repaired)
    show_layers("round-weights", facts.get(WeightRounding, WeightRounding()).layers)


def show_layers(name: str, rows: Sequence[Repaired]) -> None:
    """A line for each layer: the error of its output as a share of its variance."""
    if rows:
        click.echo(f"  {name:<28} columns samples  no change      plain   repaired  seconds")
    for row in rows:
        click.echo(
            f"    {row.module:<26} {row.columns:>7} {row.samples:>7}  {row.dense:9.5f}  "
            f"{row.plain:9.5f}  {row.after:9.5f}  {row.seconds:7.2f}"
        )


def runner(model: bytes, threads: int) -> Callable[[Tensor], Tensor]:
    """Runs an ONNX model of one input and one output."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda x: torch.from_numpy(session.run(None, {name: x.numpy()})[0])


if __name__ == "__main__":
    main()
