"""What TensorRT-RTX runs in INT8, beside what is predicted: every small graph of the tests.

    python benchmarks/rtx_agreement.py                    all of them (seconds)
    python benchmarks/rtx_agreement.py unet attention     these alone
    python benchmarks/rtx_agreement.py --file M.onnx      files of your own instead
    python benchmarks/rtx_agreement.py --zoo              the networks of docs/zoo.md (half an hour)
    python benchmarks/rtx_agreement.py --zoo vit yolov8n  these alone

One line a graph: how many layers with weights it has, how many run in INT8, how many were
predicted, and the names that differ.  It ends with 1 where any does.  The networks of the zoo are
compiled with the preset `int8`; `benchmarks/zoo_table.py` does the same with `all-sparse`, and
writes the page.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import onnx

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import sparqc
from sparqc.tools.engine.rtx import compile_rtx
from sparqc.tools.explain.prediction import predict
from tests.agreement import unusual  # noqa: F401  (adds its graphs)
from tests.agreement.graphs import GRAPHS, model_of

#: The batch that is counted for, where a model takes any.
BATCH = 2


def models(names: list[str], files: list[Path]) -> Iterator[tuple[str, onnx.ModelProto]]:
    """The title and the model of everything that was asked for."""
    for path in files:
        yield path.name, onnx.load(path)
    for name in GRAPHS if not files else ():
        if not names or name in names or name.replace(" ", "_") in names:
            yield f"{name}, FP32", model_of(name, half=False)
            yield f"{name}, FP16", model_of(name, half=True)


def zoo(names: list[str]) -> Iterator[tuple[str, onnx.ModelProto]]:
    """The networks of the zoo in INT8, each compiled when it is its turn."""
    import tests.conftest  # noqa: F401  (a torchvision that imports beside any torch)
    from tests.zoo.architectures import ARCHITECTURES

    known = {architecture.name: architecture for architecture in ARCHITECTURES}
    if unknown := set(names) - set(known):
        sys.exit(f"no such network: {', '.join(sorted(unknown))}")
    for name in names or known:
        net, inputs = known[name].build()
        compiled = sparqc.compile(
            net,
            inputs,
            passes="int8",
            target="tensorrt-rtx",
            dynamic_batch=known[name].dynamic,
            random_calibration=True,
        )
        yield name, compiled.model


@dataclass(frozen=True)
class Agreement:
    """What the compiler ran in INT8 of one graph, beside what was predicted."""

    title: str
    compiler: str
    layers: int
    alike: bool
    text: str


def agree(title: str, model: onnx.ModelProto) -> Agreement:
    """Build a graph, and hold the prediction against what came of it."""
    free = any(d.dim_param for i in model.graph.input for d in i.type.tensor_type.shape.dim)
    batch = BATCH if free else None
    predicted = set(predict(model, "tensorrt-rtx", batch=batch).int8_nodes)
    report = compile_rtx(model, batch=batch)
    count = len(report.operators)
    if not report.accepted:
        text = f"refused: {report.errors[0].message}"
        return Agreement(title, report.compiler, count, False, text)
    built = set(report.int8_nodes)
    # What the compiler folds, or merges with an equal node, has no kernel that names it.
    wrong = sorted(built ^ (predicted - set(report.unknown_nodes)))
    text = f"{count:>3} layers, INT8 {len(built):>3}, predicted {len(predicted):>3}"
    text = f"{text}  {', '.join(wrong) or 'alike'}"
    return Agreement(title, report.compiler, count, not wrong, text)


def main() -> int:
    """Print the lines; 1 where one of them disagrees."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="GRAPH")
    parser.add_argument("--file", action="append", type=Path, default=[], metavar="M.onnx")
    parser.add_argument("--zoo", action="store_true")
    given = parser.parse_args()
    results = []
    asked = zoo(given.names) if given.zoo else models(given.names, given.file)
    for title, model in asked:
        found = agree(title, model)
        results.append(found.alike)
        print(f"{title:<44} {found.text}", flush=True)
    print(f"{sum(results)} of {len(results)} alike")
    return int(not all(results))


if __name__ == "__main__":
    sys.exit(main())
