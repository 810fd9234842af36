"""`sparqc explain --node NAME`: one kernel, its neighbours, and why it is what it is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from sparqc.errors import UsageError, did_you_mean
from sparqc.ir.layer_names import is_meant
from sparqc.tools.engine.text import size_text
from sparqc.tools.explain.text import (
    count_text,
    operators_text,
    types_text,
)

if TYPE_CHECKING:
    from sparqc.predict.engine import LedgerRow, PredictedEngine, PredictedKernel, Tensor
    from sparqc.predict.likeness import Likeness


def find_kernels(engine: PredictedEngine, name: str) -> tuple[PredictedKernel, ...]:
    """The kernels that have a part in an ONNX node, in the node that gives a tensor, or in one
    that comes from a module (`sparqc.ir.layer_names`).

    Raises UsageError where no kernel has, with what is known of the name.
    """

    def means(found: str) -> bool:
        return is_meant(name, found, engine.modules.get(found, ""))

    found = [k for k in engine.kernels if any(map(means, (*k.nodes, *k.values)))]
    found = found or [k for k in engine.kernels if any(name == t.name for t in _tensors(k))]
    if found:
        return tuple(found)
    if any(map(means, engine.folded)):
        raise UsageError(
            f"no kernel runs for {name!r}: it is computed before the network runs, or on the host"
        )
    known = {n for k in engine.kernels for n in (*k.nodes, *k.values)} | {*engine.modules.values()}
    raise UsageError(
        f"no kernel has a part of {name!r}",
        hint=did_you_mean(name, known) or "a Reshape and its like need no kernel",
    )


def _tensors(kernel: PredictedKernel) -> tuple[Tensor, ...]:
    return (*kernel.inputs, *kernel.outputs, *kernel.weights)


def node_lines(engine: PredictedEngine, name: str, seen: Mapping[str, Likeness]) -> Iterator[str]:
    """What there is to say of a node, for a person; `seen` are the witnesses of each value."""
    for kernel in find_kernels(engine, name):
        yield from _kernel_lines(engine, kernel, seen)


def _kernel_lines(
    engine: PredictedEngine, kernel: PredictedKernel, seen: Mapping[str, Likeness]
) -> Iterator[str]:
    number = engine.kernels.index(kernel) + 1
    yield f"kernel {number} of {len(engine.kernels)}: {kernel.kind} ({operators_text(kernel)})"
    yield f"  nodes      {', '.join(map(engine.called, kernel.nodes or kernel.values))}"
    yield f"  computes   in {'INT8' if kernel.int8 else 'float'}{_note(kernel)}"
    for tensor in kernel.inputs:
        yield f"  reads      {_tensor(tensor)}, given by {_givers(engine, tensor)}"
    for tensor in kernel.outputs:
        yield f"  writes     {_tensor(tensor)}, read by {_readers(engine, tensor)}"
    for tensor in kernel.weights:
        yield f"  weights    {_tensor(tensor)}"
    macs = "not known" if kernel.macs is None else count_text(kernel.macs)
    yield f"  products   {macs} multiply-adds"
    for row in ledger_rows(engine, kernel):
        yield from _ledger_lines(row, seen.get(row.value))


def _note(kernel: PredictedKernel) -> str:
    return f"; {kernel.note}" if kernel.note else ""


def _tensor(tensor: Tensor) -> str:
    size = "size unknown" if tensor.bytes is None else size_text(tensor.bytes)
    shape = "?" if tensor.shape is None else "x".join(map(str, tensor.shape))
    return f"{tensor.name} {types_text([tensor])} {shape} ({size})"


def _givers(engine: PredictedEngine, tensor: Tensor) -> str:
    found = [k.title for k in engine.kernels if tensor in k.outputs]
    return ", ".join(f"the kernel of {name}" for name in found) or "the caller"


def _readers(engine: PredictedEngine, tensor: Tensor) -> str:
    found = [k.title for k in engine.kernels if tensor in k.inputs]
    return ", ".join(f"the kernel of {name}" for name in found) or "the caller"


def ledger_rows(engine: PredictedEngine, kernel: PredictedKernel) -> list[LedgerRow]:
    """The rows of the weighted operators in a kernel."""
    return [row for row in engine.ledger if row.value in kernel.values]


def _ledger_lines(row: LedgerRow, like: Likeness | None) -> Iterator[str]:
    shape = "x".join(map(str, row.shape))
    yield f"  {row.title} with the weight {row.weight} ({shape})"
    checks = {
        "INT8 in": row.int8_in, "INT8 out": row.int8_out, "2:4 codes": row.two_four,
        "size rule": row.size_rule, "pays": row.pays,
    }  # fmt: skip
    for label, verdict in checks.items():
        yield f"    {label:<10} {'yes' if verdict.holds else f'no: {verdict.reason}'}"
    yield f"    {'witness':<10} {like.text if like else 'none of such a layer'}"
    if row.remark:
        yield f"    {'remark':<10} INT8 as the file asks, though: {row.remark}"


def ledger_json(rows: Iterable[LedgerRow], seen: Mapping[str, Likeness]) -> list[dict[str, Any]]:
    """Rows of the ledger with their witnesses, as plain data."""
    likes = ((row, seen.get(row.value)) for row in rows)
    return [{**row.to_json(), "witness": like.to_json() if like else None} for row, like in likes]


def node_json(engine: PredictedEngine, name: str, seen: Mapping[str, Likeness]) -> dict[str, Any]:
    """The same as plain data."""
    kernels = find_kernels(engine, name)
    return {
        "name": name,
        "kernels": [k.to_json() for k in kernels],
        "ledger": ledger_json((r for k in kernels for r in ledger_rows(engine, k)), seen),
        "given_by": _names(engine, kernels, "inputs", "outputs"),
        "read_by": _names(engine, kernels, "outputs", "inputs"),
    }


def _names(
    engine: PredictedEngine, kernels: tuple[PredictedKernel, ...], ours: str, theirs: str
) -> list[str]:
    tensors = {t for k in kernels for t in getattr(k, ours)}
    return [k.name for k in engine.kernels if tensors & set(getattr(k, theirs))]
