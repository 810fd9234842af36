"""What TensorRT-RTX runs in INT8, beside what is predicted: every small graph of the tests.

    python benchmarks/rtx_agreement.py                    all of them (seconds)
    python benchmarks/rtx_agreement.py unet attention     these alone
    python benchmarks/rtx_agreement.py --file M.onnx      files of your own instead

One line a graph: how many layers with weights it has, how many run in INT8, how many were
predicted, and the names that differ.  It ends with 1 where any does.  The networks of
`docs/zoo.md` are held against the compiler in the same way by `benchmarks/zoo_table.py`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import onnx

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from sparqc.tools.engine.report import EngineReport
from sparqc.tools.engine.rtx import compile_rtx
from sparqc.tools.explain.prediction import predict
from tests.agreement import unusual  # noqa: F401  (adds its graphs)
from tests.agreement.graphs import GRAPHS, model_of


def models(names: list[str], files: list[Path]) -> Iterator[tuple[str, onnx.ModelProto]]:
    """The title and the model of everything that was asked for."""
    for path in files:
        yield path.name, onnx.load(path)
    for name in GRAPHS if not files else ():
        if not names or name in names or name.replace(" ", "_") in names:
            yield f"{name}, FP32", model_of(name, half=False)
            yield f"{name}, FP16", model_of(name, half=True)


def line(title: str, report: EngineReport, predicted: set[str]) -> tuple[str, bool]:
    """What is printed of one graph, and whether both agree on it."""
    if not report.accepted:
        return f"{title:<44} refused: {report.errors[0].message}", False
    built = set(report.int8_nodes)
    # What the compiler folds, or merges with an equal node, has no kernel that names it.
    wrong = sorted(built ^ (predicted - set(report.unknown_nodes)))
    text = f"{title:<44} {len(report.operators):>3} layers, INT8 {len(built):>3}"
    return f"{text}, predicted {len(predicted):>3}  {', '.join(wrong) or 'alike'}", not wrong


def main() -> int:
    """Print the lines; 1 where one of them disagrees."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="GRAPH")
    parser.add_argument("--file", action="append", type=Path, default=[], metavar="M.onnx")
    given = parser.parse_args()
    results = []
    for title, model in models(given.names, given.file):
        expected = set(predict(model, "tensorrt-rtx").int8_nodes)
        text, alike = line(title, compile_rtx(model), expected)
        results.append(alike)
        print(text)
    print(f"{sum(results)} of {len(results)} alike")
    return int(not all(results))


if __name__ == "__main__":
    sys.exit(main())
