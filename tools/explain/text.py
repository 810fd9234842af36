"""What `sparqc explain` says to a person: a summary, the kernels, the ledger, the plan."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING

from rich.console import Console, RenderableType

from sparqc.base.text import shortened
from sparqc.report.show import show
from sparqc.report.tables import operator_text, plain_table, shape_text
from sparqc.tools.engine.text import size_text

if TYPE_CHECKING:
    from sparqc.predict.engine import LedgerRow, PredictedEngine, PredictedKernel, Tensor
    from sparqc.predict.roofline import Estimate

#: More rows than this of a table are counted instead of shown.
SHOWN = 40
#: So many operators or reasons of a kernel are named in its row.
_NAMED = 6

_TYPES = {"i8": "INT8", "u8": "UINT8", "f32": "FP32", "f16": "FP16", "bf16": "BF16", "i64": "INT64",
          "i32": "INT32", "f64": "FP64"}  # fmt: skip


def show_engine(
    engine: PredictedEngine, estimates: Sequence[Estimate], console: Console, *, whole: bool
) -> None:
    """The summary, then the kernels, then the ledger."""
    for line in summary(engine, estimates):
        show(console, line, soft_wrap=True)
    limit = None if whole else SHOWN
    if engine.kernels:
        show(console, "\nkernels, in order")
        show(console, kernel_table(engine.kernels, limit))
        _rest(console, len(engine.kernels), limit, "kernels")
    if engine.ledger:
        show(console, "\nweighted operators: what a sparse INT8 kernel asks for")
        show(console, ledger_table(engine.ledger, limit))
        _rest(console, len(engine.ledger), limit, "operators")
        show_reasons(engine.ledger, console)


def _rest(console: Console, count: int, limit: int | None, what: str) -> None:
    if limit is not None and count > limit:
        show(console, f"... and {count - limit} more {what}: --verbose shows all of them")


# -- summary -----------------------------------------------------------------------------------


def summary(engine: PredictedEngine, estimates: Sequence[Estimate]) -> Iterator[str]:
    """The lines on top."""
    shapes = ", ".join(f"{name}: {_shape(shape)}" for name, shape in engine.shapes)
    yield f"the engine that {engine.target} is expected to build, for {shapes or 'no inputs'}"
    yield _row("kernels", kernel_counts(engine))
    yield _row("INT8", _coverage(engine))
    if engine.ledger:
        yield _row("2:4", _sparsity(engine))
    yield _row("traffic", _traffic(engine))
    yield _row("products", _products(engine))
    for estimate in estimates:
        yield _row("estimate", estimate_text(estimate))
        yield from (_row("note", f"{estimate.gpu.doc}: {note}") for note in estimate.notes)
    yield from (_row("witness", text) for text in _witnesses(estimates))
    if engine.values:
        groups = len({v.group for v in engine.values})
        quantized = f"{len(engine.values)} values in INT8 with {groups} scales, "
        yield _row("plan", f"{quantized}{len(engine.weights)} weights (--plan shows them)")
    for note in engine.notes:
        yield _row("note", note)


def _witnesses(estimates: Sequence[Estimate]) -> Iterator[str]:
    """What the constants of the estimates were fitted to, those of several GPUs once."""
    gpus: dict[str, list[str]] = {}
    for estimate in estimates:
        gpus.setdefault(estimate.rests_on, []).append(estimate.gpu.doc)
    return (f"{shortened(names)}: constants of {text}" for text, names in gpus.items())


def kernel_counts(engine: PredictedEngine) -> str:
    """`24: 21 INT8, 1 float, 1 Q, 1 DQ`."""
    counts = Counter(_class(k) for k in engine.kernels)
    listed = ", ".join(f"{count} {name}" for name, count in counts.most_common())
    return f"{len(engine.kernels)}: {listed}" if counts else "none"


def _class(kernel: PredictedKernel) -> str:
    if kernel.converts:
        return f"{kernel.converts} left over"
    return "INT8" if kernel.int8 else "float"


def _coverage(engine: PredictedEngine) -> str:
    if not engine.ledger:
        return "the model has no weighted operators"
    return f"{len(engine.int8_nodes)} of {len(engine.ledger)} weighted operators run in INT8"


def _sparsity(engine: PredictedEngine) -> str:
    stored = sum(r.two_four.holds for r in engine.ledger)
    possible = [r for r in engine.ledger if r.sparse and r.int8]
    likely = sum(not r.missing for r in possible)
    return f"{stored} weights are 2:4, {len(possible)} may run sparse, {likely} are likely to pay"


def _traffic(engine: PredictedEngine) -> str:
    least = "at least " if engine.unsized_tensors else ""
    text = f"{least}{size_text(engine.bytes_read)} of activations read, "
    text += (
        f"{size_text(engine.bytes_written)} written, {size_text(engine.weight_bytes)} of weights"
    )
    if engine.unsized_tensors:
        text += f" ({engine.unsized_tensors} tensors have a size that is not known)"
    return text


def _products(engine: PredictedEngine) -> str:
    text = f"{count_text(engine.macs)} multiply-adds, {count_text(engine.sparse_macs)} with 2:4"
    return f"at least {text} ({engine.uncounted} not counted)" if engine.uncounted else text


def estimate_text(estimate: Estimate) -> str:
    """`A40: about 0.42 ms dense, 0.31 ms with 2:4; at least 0.2 and 0.1 ms, 63 % ...`."""
    about, least = estimate.about, estimate.least
    share = round(100 * estimate.memory / least.dense) if least.dense else 0
    return (
        f"{estimate.gpu.doc}: about {_time(about.dense)} dense, {_time(about.sparse)} with 2:4; at "
        f"least {_time(least.dense)} and {_time(least.sparse)}, {share} % of it waiting for memory "
        "(roofline)"
    )


def _time(seconds: float) -> str:
    return f"{1e3 * seconds:.3g} ms" if seconds >= 1e-4 else f"{1e6 * seconds:.3g} us"


def _row(label: str, text: str) -> str:
    return f"  {label:<10} {text}"


def count_text(count: int) -> str:
    """`1.82 G`, `12.0 M`."""
    return f"{count / 1e9:.2f} G" if count >= 1e8 else f"{count / 1e6:.2f} M"


def _shape(shape: Sequence[int | str] | None) -> str:
    return "x".join(str(d) for d in shape) if shape is not None else "unknown rank"


# -- tables ------------------------------------------------------------------------------------


def kernel_table(kernels: Sequence[PredictedKernel], limit: int | None) -> RenderableType:
    """A row for each kernel."""
    table = plain_table("", "kernel", "operators", "reads", "writes", "bytes", "gives")
    for title in (0, 5):
        table.columns[title].justify = "right"
    for number, kernel in enumerate(islice(kernels, limit), start=1):
        table.add_row(
            str(number), _kind(kernel), operators_text(kernel), types_text(kernel.inputs),
            types_text(kernel.outputs), _bytes(kernel), kernel.title,
        )  # fmt: skip
    return table


def _kind(kernel: PredictedKernel) -> str:
    return kernel.converts or operator_text(kernel.kind).removeprefix("onnx.")


def operators_text(kernel: PredictedKernel) -> str:
    """`conv, add, relu`: the operators that compute, in order."""
    names = [o.rpartition(".")[2] for o in kernel.operators if not o.startswith("q.")]
    names = names or [o.rpartition(".")[2] for o in kernel.operators]
    return shortened(names, _NAMED)


def types_text(tensors: Iterable[Tensor]) -> str:
    """`INT8 + FP32`."""
    return " + ".join(dict.fromkeys(_TYPES.get(t.dtype, t.dtype) for t in tensors))


def _bytes(kernel: PredictedKernel) -> str:
    text = size_text(kernel.bytes_read + kernel.bytes_written)
    return f"> {text}" if kernel.unsized else text


def ledger_table(rows: Sequence[LedgerRow], limit: int | None) -> RenderableType:
    """A row for each weighted operator."""
    table = plain_table("layer", "operator", "weight", "INT8 in", "INT8 out", "2:4", "size", "pays")
    for row in islice(rows, limit):
        checks = (row.int8_in, row.int8_out, row.two_four, row.size_rule, row.pays)
        marks = ["yes" if c.holds else "no" for c in checks]
        table.add_row(row.title, operator_text(row.op), shape_text(_sizes(row)), *marks)
    return table


def _sizes(row: LedgerRow) -> Sequence[int]:
    return [d for d in row.shape if isinstance(d, int)]


_QUESTIONS = {
    "int8_in": "float", "int8_out": "no INT8 out", "two_four": "not 2:4", "size_rule": "size",
    "pays": "unlikely to pay", "remark": "INT8, though",
}  # fmt: skip


def show_reasons(rows: Sequence[LedgerRow], console: Console) -> None:
    """Each reason once, with the layers that it holds for, those of INT8 first."""
    lines = list(reason_lines(rows))
    if lines:
        show(console, "\nwhy not")
    for line in lines[:SHOWN]:
        show(console, f"  {line}", soft_wrap=True)
    if len(lines) > SHOWN:
        show(console, f"  ... and {len(lines) - SHOWN} more reasons: --json lists all of them")


def reason_lines(rows: Sequence[LedgerRow]) -> Iterator[str]:
    """`float: its weight is float (3: fc1, fc2, head)`."""
    for question, label in _QUESTIONS.items():
        groups: dict[str, list[str]] = {}
        for row in rows:
            answer = getattr(row, question)
            reason = answer if isinstance(answer, str) else answer.reason
            if reason and (row.int8 or question != "int8_out"):
                groups.setdefault(reason, []).append(row.title)
        for reason, names in sorted(groups.items(), key=lambda item: -len(item[1])):
            yield f"{label}: {reason} ({len(names)}: {shortened(names)})"


def show_plan(engine: PredictedEngine, console: Console, *, whole: bool) -> None:
    """Value -> quantizer -> group, and weight -> axis, mask."""
    limit = None if whole else SHOWN
    table = plain_table("group", "value", "scale", "Q", "read by")
    for value in islice(engine.values, limit):
        table.add_row(
            str(value.group), engine.called(value.value), f"{value.scale:.6g}",
            str(len(value.quantizers)), shortened([engine.called(name) for name in value.readers]),
        )  # fmt: skip
    show(console, "\nvalues in INT8; those of one group have one scale", table)
    _rest(console, len(engine.values), limit, "values")
    weights = plain_table("weight", "of", "scales along", "mask")
    for weight in islice(engine.weights, limit):
        axis = "one scale" if weight.axis is None else f"axis {weight.axis}"
        mask = "2:4" if weight.two_four else "dense"
        weights.add_row(weight.weight, engine.called(weight.layer), axis, mask)
    show(console, "\nweights in INT8", weights)
    _rest(console, len(engine.weights), limit, "weights")
