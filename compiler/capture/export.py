"""Exporting a module with a dynamic batch, or with the batch of the example."""

from __future__ import annotations

import contextlib
import inspect
import io
import logging
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.utils import _pytree as pytree

from sparqc.capture.checks import check_runs, first_line, user_line
from sparqc.errors import SparqcError

#: The range of the batch that torch suggests.
_SUGGESTION = re.compile(
    r"^\s*batch = Dim\('batch'(?:, min=(?P<least>\d+))?(?:, max=(?P<most>\d+))?\)\s*$", re.MULTILINE
)
_SUBMODULE = "capture the part that matters alone: --submodule NAME, such as --submodule backbone"


def export(
    module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], dynamic_batch: bool
) -> tuple[torch.export.ExportedProgram, tuple[str, ...]]:
    """The exported program, and notes for a person.

    A model whose code branches on the batch is exported for the batches that take the example's
    branch.

    Raises UsageError where the module does not run on the inputs, SparqcError with the line that
    is in the way where torch cannot export it.
    """
    if not dynamic_batch:
        return export_static(module, args, kwargs), ()
    # torch takes a size of 1 for a constant: two samples stand for any number.
    pair = _batch_of_two(args), _batch_of_two(kwargs)
    program, reason, limits = _dynamic(module, *pair, Limits())
    if program is None and limits != Limits():
        program, _, _ = _dynamic(module, *pair, limits)
        if program is not None:
            return program, (f"captured for {limits}: with others the model runs other code",)
    if program is not None:
        return program, ()
    program = export_static(module, args, kwargs)
    return program, (f"captured with the batch of the example, a dynamic one fails: {reason}",)


@dataclass(frozen=True)
class Limits:
    """The batches that one trace of a model stands for, where its code branches on their size."""

    least: int = 1
    most: int | None = None

    def __str__(self) -> str:
        if self.most is None:
            return f"batches of {self.least} or more"
        return f"batches of {self.least} to {self.most}"


def _dynamic(
    module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], limits: Limits
) -> tuple[torch.export.ExportedProgram | None, str, Limits]:
    """The program for batches within limits; else why not, and the limits that torch suggests."""
    shapes = _dynamic_shapes(module, args, kwargs, limits)
    try:
        program = torch.export.export(module, args, kwargs, dynamic_shapes=shapes, strict=False)
    except Exception as error:  # noqa: BLE001  (whatever is wrong, exporting without tells more)
        return None, _why_not_dynamic(error), _suggested(error)
    return program, "", limits


def _suggested(error: BaseException) -> Limits:
    """From "Suggested fixes: batch = Dim('batch', min=2, max=63)"."""
    found = _SUGGESTION.search(str(error))
    if found is None:
        return Limits()
    return Limits(int(found["least"] or 1), int(found["most"]) if found["most"] else None)


def export_static(
    module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> torch.export.ExportedProgram:
    """The program for the batch of the example; raises as `export`."""
    try:
        return torch.export.export(module, args, kwargs, strict=False)
    except Exception as error:
        if not isinstance(module, fx.GraphModule):  # a program may be a stranger's: it is not run
            check_runs(module, args, kwargs)
        where = user_line(error)
        raise SparqcError(
            f"{where}torch.export cannot capture {type(module).__name__}: {first_line(error)}",
            hint=_SUBMODULE,
        ) from error


@contextlib.contextmanager
def quiet() -> Iterator[None]:
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


def _batch_of_two(tree: Any) -> Any:
    """Every tensor of one sample doubled, the others as they are."""

    def double(tensor: Tensor) -> Tensor:
        if tensor.dim() == 0 or tensor.shape[0] != 1:
            return tensor
        return torch.cat([tensor, tensor])

    return pytree.tree_map_only(Tensor, double, tree)


def _dynamic_shapes(
    module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], limits: Limits
) -> Any:
    """One dynamic first dimension, shared by all inputs that have the size of the first one."""
    tensors = [t for t in pytree.tree_leaves((args, kwargs)) if isinstance(t, Tensor) and t.dim()]
    size = tensors[0].shape[0] if tensors else 0
    batch = torch.export.Dim("batch", min=limits.least, max=limits.most)

    def shape(leaf: Any) -> Any:
        if not isinstance(leaf, Tensor):
            return None
        return {0: batch} if leaf.dim() and leaf.shape[0] == size else {}

    try:
        arguments = inspect.signature(module.forward).bind(*args, **kwargs).arguments
    except TypeError:
        return None  # the wrong number of inputs, which running the module tells
    return tuple(pytree.tree_map(shape, argument) for argument in arguments.values())


def _why_not_dynamic(error: BaseException) -> str:
    """What torch says of the batch, with its first finding where it lists several."""
    findings = re.findall(r"^\s*- (.+)", str(error), re.MULTILINE)
    return " ".join([first_line(error), *(f[:300] for f in findings[:1])])
