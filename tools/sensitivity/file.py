"""Write a choice as the file that `sparqc compile --layers` reads and a person can edit."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping

from sparqc.job.layers import Keep
from sparqc.tools.sensitivity.measure import LayerLoss
from sparqc.tools.sensitivity.result import Result


def layers_text(result: Result, command: str) -> str:
    """The TOML text: a table for each layer, in the order of the network."""
    tables = (line for row in result.rows for line in _table(row, result))
    return "\n".join([*_head(result, command), *tables, *_excluded(result)]) + "\n"


def _head(result: Result, command: str) -> Iterator[str]:
    scale = result.scale
    yield f"# {' '.join(command.split())}"
    yield "#"
    yield "# How each layer is kept.  Edit `keep`, and compile with it:"
    yield f"#   sparqc compile {result.model} --layers THIS_FILE -o model.onnx"
    yield "# keep: sparse-int8 (2:4 weights, INT8), int8 (all weights, INT8), float.  What has no"
    yield "# table is decided by the passes.  The other keys are figures, which are not read:"
    if scale.is_noise:
        yield "# snr_db     signal to noise of the outputs, in dB, with this layer alone changed"
    else:
        yield f"# loss       points of {scale.name} that are lost with this layer alone changed"
        yield f"#            (the float network reaches {scale.of(scale.baseline):.6g})"
    yield f"# extra_us   predicted microseconds on {result.gpu}, against the plan of the passes"
    for name, point in result.together.items():
        reached = f"{scale.of(point.score):.4g} {scale.unit}".strip()
        yield f"# measured together, {name}: {scale.name} {reached}, {1e6 * point.seconds:.4g} us"


def _table(row: LayerLoss, result: Result) -> Iterator[str]:
    layer = row.layer
    for name in layer.weights or (layer.name,):
        yield ""
        yield "[[layer]]"
        if layer.module:
            yield f"module = {_quoted(layer.module)}"
        yield f"value = {_quoted(name)}"
        yield f"keep = {_quoted(result.keeps[layer.name])}"
        yield from _figures(row, result)


def _excluded(result: Result) -> Iterator[str]:
    """What a person excluded, so that the file says all of it."""
    for module, value in result.excluded:
        yield ""
        yield "[[layer]]  # kept in float by --exclude, and not measured"
        if module:
            yield f"module = {_quoted(module)}"
        yield f"value = {_quoted(value)}"
        yield 'keep = "float"'


def _figures(row: LayerLoss, result: Result) -> Iterator[str]:
    scores = {"int8": row.int8, "sparse": row.sparse, "sparse-int8": row.both}
    there = {name: score for name, score in scores.items() if score is not None}
    if result.scale.is_noise:
        figures = {name: score.snr for name, score in there.items()}
        yield f"snr_db = {_inline(figures, 2)}"
    else:
        yield f"loss = {_inline({n: result.scale.loss(s) for n, s in there.items()}, 4)}"
    seconds = {way.keep: 1e6 * way.seconds for way in result.ways[row.layer.name]}
    yield f"extra_us = {_inline(seconds, 3)}"


def _inline(figures: Mapping[str, float] | Mapping[Keep, float], digits: int) -> str:
    return "{ " + ", ".join(f"{n} = {_number(v, digits)}" for n, v in figures.items()) + " }"


def _number(value: float, digits: int) -> str:
    return f"{value + 0.0:.{digits}f}" if math.isfinite(value) else "inf" if value > 0 else "-inf"


def _quoted(text: str) -> str:
    """A basic string of TOML, whose escapes are those of JSON."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
