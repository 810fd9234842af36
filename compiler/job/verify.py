"""Check a finished ONNX file against the model it came from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import onnx

from sparqc.errors import SparqcError
from sparqc.ir.data_sizes import may_differ
from sparqc.ir.graph import Array, Graph
from sparqc.ir.onnx.meaning.faults import structure_faults
from sparqc.ir.onnx.skeleton import skeleton_of
from sparqc.ir.quantizers import onnx_conversions
from sparqc.pipeline.drift import equal_share, is_codes
from sparqc.validation.departure import SMALLEST


@dataclass(frozen=True)
class Difference:
    """How far the outputs of the compiled graph lie from the original's on the example inputs."""

    #: Signal-to-noise ratio of the float outputs in dB, 10 log10(sum x^2 / sum (x - y)^2); infinite
    #: where equal, NaN where no output is a float.
    snr_db: float
    #: The largest absolute difference of the float outputs, and that over the largest absolute
    #: value.
    max_abs: float
    max_relative: float
    #: The share of equal entries in outputs of integers (labels, indices, masks); None without any.
    equal_share: float | None = None
    #: Outputs that are of another size, on which their numbers decide: they are not compared.
    other_sizes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain data; an infinite ratio becomes None."""
        numbers = {k: v for k, v in asdict(self).items() if k != "other_sizes"}
        finite = {k: v if v is not None and np.isfinite(v) else None for k, v in numbers.items()}
        return {**finite, "other_sizes": list(self.other_sizes)}


def difference(
    expected: Sequence[Array], actual: Sequence[Array], graph: Graph | None = None
) -> Difference:
    """Compare outputs one by one; SparqcError where number or shape differ or one is not finite.

    Those of `graph` whose size follows from their numbers may have another shape.
    """
    if len(expected) != len(actual):
        raise SparqcError(f"the graph gives {len(actual)} outputs, the model {len(expected)}")
    others: list[str] = []
    pairs: list[tuple[int, tuple[Array, Array]]] = []
    for index, (x, y) in enumerate(zip(expected, actual, strict=True)):
        if x.shape == y.shape:
            pairs.append((index, (x, y)))
        elif graph is not None and may_differ(x.shape, y.shape, graph.outputs[index], graph):
            others.append(graph.output_names[index])
        else:
            raise SparqcError(f"output {index} has the shape {y.shape}, the model's is {x.shape}")
    codes = [pair for _, pair in pairs if is_codes(pair[0])]
    floats = [(index, pair) for index, pair in pairs if not is_codes(pair[0])]
    share = equal_share([x for x, _ in codes], [y for _, y in codes]) if codes else None
    found = _float_difference(floats)
    return replace(found, equal_share=share, other_sizes=tuple(others))


def _float_difference(pairs: Sequence[tuple[int, tuple[Array, Array]]]) -> Difference:
    signal = noise = largest = scale = 0.0
    for index, (x, y) in pairs:
        a, b = x.astype(np.float64), y.astype(np.float64)
        if not np.isfinite(b).all() and np.isfinite(a).all():
            raise SparqcError(f"output {index} of the compiled graph is not finite")
        finite = np.isfinite(a)
        a, b = a[finite], b[finite]
        signal += float((a * a).sum())
        noise += float(((a - b) ** 2).sum())
        largest = max(largest, float(np.abs(a - b).max(initial=0.0)))
        scale = max(scale, float(np.abs(a).max(initial=0.0)))
    if not pairs:
        return Difference(float("nan"), 0.0, 0.0)
    nothing = noise == 0 or (not scale and largest <= SMALLEST)  # zeros, and what rounding leaves
    snr = float("inf") if nothing else 10 * float(np.log10(max(signal, 1e-300) / noise))
    return Difference(snr, largest, largest / scale if scale else largest)


def check_model(model: onnx.ModelProto) -> None:
    """Run onnx.checker on the skeleton; SparqcError with its words where it objects, and where
    per-channel scales have no `axis`: which one is then meant differs from parser to parser."""
    try:
        onnx.checker.check_model(skeleton_of(model))
    except onnx.checker.ValidationError as error:
        first = str(error).strip().splitlines()[0]
        raise SparqcError(f"onnx.checker refuses the compiled graph: {first}") from error
    sizes = {t.name: list(t.dims) for t in model.graph.initializer}
    conversions = onnx_conversions()
    for node in model.graph.node:
        per_channel = node.op_type in conversions and sizes.get(node.input[1], []) not in ([], [1])
        if per_channel and not any(attribute.name == "axis" for attribute in node.attribute):
            raise SparqcError(f"{node.name}: the per-channel {node.op_type} has no axis")


def check_meaning(model: onnx.ModelProto) -> None:
    """SparqcError where a node of a finished graph cannot be computed from what it reads, or an
    output is declared as what it is not."""
    for fault in structure_faults(model):
        raise SparqcError(
            f"the compiled graph cannot be computed: {fault.message}",
            hint="report it together with the model",
        )
