"""A module with masks and fake quantizers inside."""

from __future__ import annotations

import copy
import inspect
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, fx, nn

from sparqc.errors import SparqcError, UsageError
from sparqc.ir.graph import Graph
from sparqc.pipeline.run import Item, Pipeline
from sparqc.rewrite.context import Context
from sparqc.rewrite.facts import Facts
from sparqc.training.wrappers import GATHERED, require_whole
from sparqc.training.writing import Written


@dataclass(frozen=True)
class Recipe:
    """What `finish` needs beside the weights: never changed, and shared by copies of a module."""

    graph: Graph
    context: Context
    #: The passes from the export on.
    rest: Pipeline
    #: The places of the constants in the module; see `Written`.
    written: Written
    #: Whether BatchNorms were put back, to be folded again at the end.
    unfolded: bool
    #: The measured scales of activations, with the pass that measured them.
    measured: Mapping[str, Item] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __deepcopy__(self, _: object) -> Recipe:
        return self

    def __reduce__(self) -> Any:
        raise SparqcError(
            "a prepared module cannot be pickled: it knows the compile that it belongs to",
            hint="keep its state_dict(), call prepare again where it is needed, and load_state",
        )


class Prepared(nn.Module):
    """What `sparqc.prepare` gives: takes and gives what the user's module does, and trains.

    Its parameters are the trainable weights; masks, and scales that are not learned, are buffers.
    Parameters and buffers have the names of the user's module behind `body.`.
    """

    #: The Trainer of transformers asks: no, although `forward` has keywords.
    accepts_loss_kwargs = False

    def __init__(self, body: fx.GraphModule, recipe: Recipe) -> None:
        super().__init__()
        self.body = body
        self.recipe = recipe
        self._takes = frozenset(inspect.signature(body.forward).parameters)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """As the user's module, for the arguments that the example inputs had; UsageError for
        others."""
        if unknown := sorted(set(kwargs) - self._takes):
            raise UsageError(
                f"the model was captured without {', '.join(unknown)}: a prepared module takes "
                "what the example inputs were",
                hint="compute the loss from its outputs and the labels; a Trainer of transformers "
                "does with compute_loss_func=…",
            )
        return self.body(*args, **kwargs)

    @property
    def masks(self) -> dict[str, Tensor]:
        """The 2:4 masks (bool) by the name of the weight in the user's module."""
        found = self.recipe.written.masks
        return {weight: self.body.get_buffer(mask) for weight, mask in found.items()}

    @property
    def facts(self) -> Facts:
        """What the passes in front of the training found out: see `Context.facts`."""
        return self.recipe.context.facts

    def __deepcopy__(self, memo: dict[int, Any]) -> Prepared:
        """A module with tensors of its own, on the same recipe."""
        made = Prepared.__new__(Prepared)
        memo[id(self)] = made
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # torch's own pytrees warn of themselves
            made.__dict__.update(copy.deepcopy(self.__dict__, memo))
        return made

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Prepared:
        """Scales move with the module, and stay float32: in half precision they lose codes."""
        scales = {
            p: t for p in self.recipe.written.scales if (t := _find(self.body, p)) is not None
        }
        kept = {place: tensor.detach().clone() for place, tensor in scales.items()}
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        for place, before in kept.items():
            now = _find(self.body, place)
            if now is not None and now.dtype != before.dtype:
                now.data = before.to(now.device)
        _move_calls(self.body)
        return self


def _find(module: nn.Module, place: str) -> Tensor | None:
    path, _, leaf = place.rpartition(".")
    found = getattr(module.get_submodule(path), leaf, None)
    return found if isinstance(found, Tensor) else None


def _move_calls(body: fx.GraphModule) -> None:
    """Let the calls that make tensors make them where the weights are."""
    device = next((t.device for t in body.parameters()), None)
    changed = False
    for node in body.graph.nodes:
        given = node.kwargs.get("device")
        if isinstance(given, torch.device) and device is not None and given != device:
            node.kwargs = {**node.kwargs, "device": device}
            changed = True
    if changed:
        body.recompile()


def prepared_of(module: nn.Module, function: str) -> Prepared:
    """The prepared module, also inside of DistributedDataParallel and torch.compile.

    UsageError, naming the function that was called, for any other, and for one that is cut among
    processes.
    """
    for name in ("_orig_mod", "module"):
        inner = getattr(module, name, None)
        if isinstance(inner, nn.Module) and not isinstance(module, Prepared):
            return prepared_of(inner, function)
    if not isinstance(module, Prepared):
        raise UsageError(
            f"{function} takes what sparqc.prepare gave, not {type(module).__name__}",
            hint="prepared = sparqc.prepare(module, inputs, calibration=…)",
        )
    require_whole(module, function, GATHERED)
    return module
