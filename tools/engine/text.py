"""The short summary of an `EngineReport` that a person reads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from sparqc.tools.engine.report import EngineReport

#: More lines than this of one kind are counted instead of shown.
_SHOWN = 12


def render_report(report: EngineReport, console: Console) -> None:
    """Print the summary; names go out as they are, without markup, wrapping or colours."""
    for line in summary(report):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def summary(report: EngineReport) -> Iterator[str]:
    """The lines of the summary."""
    yield _headline(report)
    yield from (f"  error: {m}" for m in report.errors)
    if report.accepted:
        yield from _body(report)
    yield from (f"  warning: {m}" for m in report.warnings)


def _headline(report: EngineReport) -> str:
    verdict = "accepted by" if report.accepted else "refused by"
    where = f" for SM{report.compute_capability}" if report.compute_capability else ""
    return f"{verdict} {report.compiler}{where} in {report.build_seconds:.1f} s"


def _body(report: EngineReport) -> Iterator[str]:
    yield _row("shapes", ", ".join(f"{n}: {'x'.join(map(str, d))}" for n, d in report.shapes))
    yield _row("kernels", str(len(report.kernels)))
    yield _row("INT8", _coverage(report))
    yield from _limited(
        "in float",
        (
            f"{o.title}: {o.op_type} with {o.weight}: {o.reason}"
            for o in report.operators
            if o.precision == "float"
        ),
    )
    unknown = (o.title for o in report.operators if o.precision == "unknown")
    yield from _limited("not found", unknown)
    yield _row("traffic", _traffic(report))
    yield _row(
        "weights",
        f"{size_text(report.weight_bytes)} of constants, {size_text(report.plan_bytes)} plan",
    )
    yield _row("sparsity", _sparsity(report))


def _row(label: str, text: str) -> str:
    return f"  {label:<10} {text}"


def _limited(label: str, items: Iterable[str]) -> Iterator[str]:
    lines = list(items)
    yield from (_row(label, line) for line in lines[:_SHOWN])
    if len(lines) > _SHOWN:
        yield _row(label, f"... and {len(lines) - _SHOWN} more (--json lists all)")


def _coverage(report: EngineReport) -> str:
    done, total = len(report.int8_nodes), len(report.operators)
    if not total:
        return "the model has no weighted operators"
    return f"{done} of {total} weighted operators run in INT8"


def _traffic(report: EngineReport) -> str:
    least = "at least " if report.unsized_tensors else ""
    batch = f" at batch {report.batch}" if report.batch is not None else ""
    text = f"{least}{size_text(report.bytes_read)} of activations read, "
    text += f"{size_text(report.bytes_written)} written{batch}"
    if report.unsized_tensors:
        text += f" ({report.unsized_tensors} tensors have a size that only the data decide)"
    return text


def _sparsity(report: EngineReport) -> str:
    if not report.sparsity_enabled:
        return "not enabled"
    if report.sparse_kernels is None:
        return "enabled; sparse tactics are picked at run time and not seen here"
    return f"enabled; {report.sparse_kernels} kernels use a sparse tactic"


def size_text(size: int) -> str:
    """`1.2 MB`, `12.0 kB`."""
    return f"{size / 1e6:.1f} MB" if size >= 1e5 else f"{size / 1e3:.1f} kB"
