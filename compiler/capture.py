"""Capture a PyTorch module as a graph, through torch.export."""

from __future__ import annotations

import contextlib
import inspect
import io
import logging
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.utils import _pytree as pytree

from sparqc.errors import SparqcError, UsageError, did_you_mean
from sparqc.ir.fx import InPlaceError, read_fx
from sparqc.ir.fx_origin import source_of
from sparqc.ir.fx_tensor import array_of
from sparqc.ir.graph import Array, Graph
from sparqc.ir.table import OperatorTable, default_table

#: Tells a model that cannot be captured from one that does not run at all.
_SUBMODULE = "capture the part that matters alone: --submodule NAME, such as --submodule backbone"


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
    was_training = module.training
    module.eval()
    try:
        with _quiet(), torch.no_grad():
            return _capture(module, tuple(args), dict(kwargs or {}), dynamic_batch, submodule,
                            name, table or default_table())  # fmt: skip
    finally:
        module.train(was_training)


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
    _check_weights(module)
    notes: list[str] = []
    program, dynamic = _export(module, args, kwargs, dynamic_batch, notes)
    graph = _read(program, table, name)
    _check_batch_norm(graph)
    tensors = [leaf for leaf in pytree.tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
    return Capture(graph, dynamic, tuple(array_of(t) for t in tensors), tuple(notes))


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
    return module


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without torch's warnings about itself, and without its fused attention for inference.

    The fused kernels of nn.TransformerEncoder are one opaque call each, which nothing can match.
    What torch logs and prints of a model that it cannot export, the error says in a sentence.
    """
    fused = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
        torch.backends.mha.set_fastpath_enabled(fused)


# -- export -------------------------------------------------------------------------------------


def _export(
    module: nn.Module,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    dynamic_batch: bool,
    notes: list[str],
) -> tuple[torch.export.ExportedProgram, bool]:
    """The exported program, and whether its batch is dynamic."""
    if dynamic_batch:
        # torch takes a size of 1 for a constant: two samples stand for any number.
        pair = _batch_of_two(args), _batch_of_two(kwargs)
        shapes = _dynamic_shapes(module, *pair)
        try:
            return torch.export.export(
                module, pair[0], pair[1], dynamic_shapes=shapes, strict=False
            ), True
        except Exception as error:  # noqa: BLE001  (told apart below, by exporting without)
            reason = _why_not_dynamic(error)
        program = _static(module, args, kwargs)
        notes.append(f"captured with the batch of the example, a dynamic one fails: {reason}")
        return program, False
    return _static(module, args, kwargs), False


def _static(
    module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> torch.export.ExportedProgram:
    try:
        return torch.export.export(module, args, kwargs, strict=False)
    except Exception as error:
        _check_runs(module, args, kwargs)
        where = _user_line(error)
        raise SparqcError(
            f"{where}torch.export cannot capture {type(module).__name__}: {_first_line(error)}",
            hint=_SUBMODULE,
        ) from error


def _check_runs(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """UsageError where the module does not even run on the example inputs."""
    try:
        module(*args, **kwargs)
    except Exception as error:
        given = ", ".join(_describe(leaf) for leaf in pytree.tree_leaves((args, kwargs)))
        raise UsageError(
            f"{_user_line(error)}{type(module).__name__} does not run on the example inputs "
            f"({given}): {_first_line(error)}",
            hint="check the number, the shapes and the types of the example inputs",
        ) from error


def _describe(leaf: Any) -> str:
    if not isinstance(leaf, Tensor):
        return repr(leaf)
    return f"{str(leaf.dtype).removeprefix('torch.')}{list(leaf.shape)}"


def _batch_of_two(tree: Any) -> Any:
    """Every tensor of one sample doubled, the others as they are."""

    def double(tensor: Tensor) -> Tensor:
        if tensor.dim() == 0 or tensor.shape[0] != 1:
            return tensor
        return torch.cat([tensor, tensor])

    return pytree.tree_map_only(Tensor, double, tree)


def _dynamic_shapes(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """One dynamic first dimension, shared by all inputs that have the size of the first one."""
    tensors = [t for t in pytree.tree_leaves((args, kwargs)) if isinstance(t, Tensor) and t.dim()]
    size = tensors[0].shape[0] if tensors else 0
    batch = torch.export.Dim("batch", min=1)

    def shape(leaf: Any) -> Any:
        if not isinstance(leaf, Tensor):
            return None
        return {0: batch} if leaf.dim() and leaf.shape[0] == size else {}

    try:
        arguments = inspect.signature(module.forward).bind(*args, **kwargs).arguments
    except TypeError:
        return None  # the wrong number of inputs, which running the module tells
    return tuple(pytree.tree_map(shape, argument) for argument in arguments.values())


def _first_line(error: BaseException) -> str:
    text = str(error).strip() or type(error).__name__
    line = re.sub(r"\s+", " ", text.splitlines()[0])
    return line.removesuffix(' For more information, run with TORCH_LOGS="+dynamic".')[:300]


def _why_not_dynamic(error: BaseException) -> str:
    """What torch says of the batch, with its first finding where it lists several."""
    findings = re.findall(r"^\s*- (.+)", str(error), re.MULTILINE)
    return " ".join([_first_line(error), *(f[:300] for f in findings[:1])])


def _user_line(error: BaseException) -> str:
    """ "model.py:12: ", the innermost line outside torch that an error came through."""
    frames = []
    trace = error.__traceback__
    while trace is not None:
        frames.append(f'File "{trace.tb_frame.f_code.co_filename}", line {trace.tb_lineno}')
        trace = trace.tb_next
    own = [f for f in frames if f'"{__file__}"' not in f]
    source = source_of("\n".join(own))
    return f"{source}: " if source else ""


# -- checks -------------------------------------------------------------------------------------


def _check_weights(module: nn.Module) -> None:
    """SparqcError naming the first weight that is NaN or infinite (a mask may be -inf)."""
    for name, tensor in module.named_parameters():
        # The sum is not finite if one number is not, and takes no memory.
        if tensor.is_floating_point() and not torch.isfinite(tensor.sum(dtype=torch.float64)):
            raise _bad_weight("parameter", name, tensor)
    for name, buffer in module.named_buffers():
        if buffer.is_floating_point() and torch.isnan(buffer).any():
            raise _bad_weight("buffer", name, buffer)


def _bad_weight(kind: str, name: str, tensor: Tensor) -> SparqcError:
    bad = int((~torch.isfinite(tensor)).sum())
    return SparqcError(
        f"{kind} {name} has {bad} numbers of {tensor.numel()} that are NaN or infinite",
        hint="the training diverged or the checkpoint is broken; load one that is sound",
    )


def _check_batch_norm(graph: Graph) -> None:
    """A BatchNorm that normalizes with the batch's own statistics is nothing to compile."""
    for node in graph.nodes:
        batch_norm = node.op.startswith("aten.") and "batch_norm" in node.op
        if batch_norm and node.attributes.get("training", True) is not False:
            raise SparqcError(
                f"BatchNorm {node.origin.module or node.output.name!r} uses the statistics of the "
                "batch, not the ones from training",
                hint="build it with track_running_stats=True, and do not call train() in forward",
            )


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
        _check_runs(module, args, kwargs)
    finally:
        handle.remove()
    if not seen:
        raise UsageError(f"submodule {path!r} is not called when the model runs")
    return parts[path], *seen[0]
