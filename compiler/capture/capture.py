"""Capture a PyTorch module as a graph, through torch.export."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.utils import _pytree as pytree

from sparqc.capture.checks import (
    check_batch_norm,
    check_example,
    check_groups,
    check_runs,
    check_sizes,
    check_weights,
    described,
    open_groups,
)
from sparqc.capture.composed import taken_apart
from sparqc.capture.export import export, export_static, quiet
from sparqc.capture.readable import readable
from sparqc.errors import UsageError, did_you_mean
from sparqc.ir.fx.adapter import InPlaceError, read_fx
from sparqc.ir.fx.tensor import array_of
from sparqc.ir.graph import Array, Graph
from sparqc.ir.vocabulary.table import OperatorTable, default_table


@dataclass(frozen=True)
class Capture:
    """A captured model."""

    graph: Graph
    #: Whether the graph takes batches of any size.
    dynamic: bool
    #: One array for each graph input: the example the graph was captured with.
    example: tuple[Array, ...]
    #: What a person should know, in sentences.
    notes: tuple[str, ...] = field(default=())


def capture(
    module: nn.Module,
    args: Sequence[Any],
    *,
    kwargs: Mapping[str, Any] | None = None,
    dynamic_batch: bool = True,
    submodule: str | None = None,
    name: str = "model",
    table: OperatorTable | None = None,
) -> Capture:
    """Capture a module, in eval mode, with example inputs whose first dimension is the batch.

    With `submodule`, the whole module runs once, and only that part of it is captured, with the
    inputs that it got.  A model that does not allow a dynamic batch is captured with the batch of
    the example, and a note says so.  The module's weights are shared, not copied.

    Raises UsageError where the inputs do not fit the module, SparqcError where it cannot be
    captured, naming the line of the model that is in the way.
    """
    table = table or default_table()
    with _evaluating(module), readable(module) as notes, quiet(), torch.no_grad():
        found = _capture(
            module, tuple(args), dict(kwargs or {}), dynamic_batch, submodule, name, table
        )
    return replace(found, notes=(*found.notes, *notes))


@contextlib.contextmanager
def _evaluating(module: nn.Module) -> Iterator[None]:
    """In eval mode, and afterwards every part in the mode it was in."""
    if isinstance(module, fx.GraphModule):
        yield  # an exported module has no modes any more
        return
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training


def _capture(
    module: nn.Module,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    dynamic_batch: bool,
    submodule: str | None,
    name: str,
    table: OperatorTable,
) -> Capture:
    if submodule:
        module, args, kwargs = _part(module, submodule, args, kwargs)
    check_weights(module)
    notes: tuple[str, ...] = ()
    graph = _exported_before(module, table, name) if isinstance(module, fx.GraphModule) else None
    if graph is None:
        program, notes = export(module, args, kwargs, dynamic_batch)
        graph = _read(program, table, name)
        conv = open_groups(graph)
        if conv is not None:
            graph = _read(export_static(module, args, kwargs), table, name)
            notes = (
                "captured with the batch of the example: the number of groups of "
                f"{described(conv)} depends on the batch, and is fixed in ONNX",
            )
    check_sizes(graph)
    check_groups(graph)
    check_batch_norm(graph)
    tensors = [leaf for leaf in pytree.tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
    check_example(graph, tensors)
    dynamic = any(isinstance(size, str) for v in graph.inputs for size in v.shape or ())
    return Capture(graph, dynamic, tuple(array_of(t) for t in tensors), notes)


def _exported_before(module: fx.GraphModule, table: OperatorTable, name: str) -> Graph | None:
    """The graph of a module that torch.export made, which need not be traced again.

    It still knows the modules and lines of the model, which a second trace would lose.
    """
    calls = [node for node in module.graph.nodes if node.op == "call_function"]
    if not all("val" in node.meta for node in calls):
        return None
    try:
        return read_fx(taken_apart(module), table, name=name)
    except InPlaceError:
        return None  # a second trace gives functional calls


def _read(program: torch.export.ExportedProgram, table: OperatorTable, name: str) -> Graph:
    try:
        return read_fx(_module_of(program), table, name=name)
    except InPlaceError as error:
        # Functional calls only; the same graph otherwise, at the price of a second trace.
        functional = _module_of(program.run_decompositions({}))
        try:
            return read_fx(functional, table, name=name)
        except InPlaceError:
            raise error from None  # the first one knows the line


def _module_of(program: torch.export.ExportedProgram) -> fx.GraphModule:
    module = program.module(check_guards=False)
    assert isinstance(module, fx.GraphModule)
    return taken_apart(module)


# -- a part of a model --------------------------------------------------------------------------


def _part(
    module: nn.Module, path: str, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[nn.Module, tuple[Any, ...], dict[str, Any]]:
    """A submodule, and the inputs that it gets when the whole module runs."""
    parts = dict(module.named_modules())
    if path not in parts or not path:
        raise UsageError(
            f"the model has no submodule {path!r}", hint=did_you_mean(path, filter(None, parts))
        )
    seen: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

    def note(_: nn.Module, given: tuple[Any, ...], named: dict[str, Any]) -> None:
        seen.append((given, named))

    handle = parts[path].register_forward_pre_hook(note, with_kwargs=True)
    try:
        check_runs(module, args, kwargs)
    finally:
        handle.remove()
    if not seen:
        raise UsageError(f"submodule {path!r} is not called when the model runs")
    return parts[path], *seen[0]
