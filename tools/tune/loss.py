"""The losses of the default loop: the person's own, and the distance to the dense model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils import _pytree as pytree

from sparqc.errors import SparqcError
from sparqc.tools.tune.recipe import Recipe

#: Takes what the network gives and the target of the batch, gives a number.
Loss = Callable[[Any, Tensor], Tensor]


def floats(outputs: object) -> list[Tensor]:
    """The floating-point tensors among what a network gives, in float32 at least."""
    leaves = pytree.tree_leaves(outputs)
    found = [x for x in leaves if isinstance(x, Tensor) and x.is_floating_point()]
    return [x.float() if x.itemsize < 4 else x for x in found]


def usual_loss(outputs: object, target: Tensor) -> Tensor:
    """Cross-entropy for class indices [N, ...] and outputs [N, C, ...], the mean squared error for
    a float target of the outputs' shape.

    Raises SparqcError where neither fits.
    """
    tensors = floats(outputs)
    advice = ""
    if len(tensors) == 1:
        output = tensors[0]
        if target.is_floating_point() and output.shape == target.shape:
            return functional.mse_loss(output, target)
        classes = (output.shape[0], *output.shape[2:]) if output.ndim > 1 else None
        if _are_indices(target, output) and tuple(target.shape) == classes:
            return functional.cross_entropy(output, target.long())
        advice = _advice(output, target, classes)
    raise SparqcError(
        f"there is no usual loss for outputs of shape {_shapes(tensors)} and a target of "
        f"{str(target.dtype).removeprefix('torch.')}{list(target.shape)}",
        hint=f"{advice}add loss(outputs, target) to model.py, which returns the mean over the "
        "batch",
    )


def _are_indices(target: Tensor, output: Tensor) -> bool:
    """Whether a target can be class indices: integers, or bool where there are two classes."""
    if target.dtype == torch.bool:
        return output.shape[1] == 2
    return not (target.is_floating_point() or target.is_complex())


def _advice(output: Tensor, target: Tensor, classes: tuple[int, ...] | None) -> str:
    """What a person probably meant, in front of the general way out."""
    shape = tuple(target.shape)
    if shape == classes and not _are_indices(target, output):
        return "class indices are integers, target.long(); or "
    if classes is not None and shape == (classes[0], 1, *classes[1:]):
        return "class indices have no axis of their own, target.squeeze(1); or "
    if shape == tuple(output.shape):
        return "give class indices, target.argmax(1), or wanted outputs, target.float(); or "
    return ""


def distance(outputs: object, wanted: object, recipe: Recipe) -> Tensor:
    """How far outputs are from the dense model's: a mean over the batch.

    As logits: the Kullback-Leibler divergence of softmax(outputs / T) from softmax(wanted / T),
    times T^2 (Hinton, Vinyals and Dean, 2015).  Else the squared error in shares of the mean square
    of what is wanted, so that it does not depend on the outputs' unit.
    """
    mine, theirs = floats(outputs), floats(wanted)
    if [x.shape for x in mine] != [x.shape for x in theirs]:
        raise SparqcError(
            f"in train mode the model gives {_shapes(mine)}, in eval mode {_shapes(theirs)}: they "
            "cannot be held against each other",
            hint="train on targets alone: loss(outputs, target) in model.py, and --distill 0",
        )
    pairs = list(zip(mine, theirs, strict=True))
    if not pairs:
        raise SparqcError(
            "the model gives no floating-point tensor that could be held against the dense model's",
            hint="train on targets: training() with a target behind the inputs, and --distill 0",
        )
    return torch.stack([_distance(x, y, recipe) for x, y in pairs]).mean()


def _shapes(tensors: Sequence[Tensor]) -> str:
    return ", ".join(str(list(x.shape)) for x in tensors) or "no float tensor"


def _distance(output: Tensor, wanted: Tensor, recipe: Recipe) -> Tensor:
    logits = output.ndim == 2 and output.shape[1] > 1
    if recipe.distance == "kl" or (recipe.distance == "auto" and logits):
        heat = recipe.temperature
        log_p, log_q = (functional.log_softmax(x / heat, 1) for x in (wanted, output))
        divergence = functional.kl_div(log_q, log_p, reduction="none", log_target=True)
        return divergence.sum(1).mean() * heat**2
    return functional.mse_loss(output, wanted) / wanted.square().mean().clamp_min(1e-12)
