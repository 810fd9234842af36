"""The optimizer of a stage."""

from __future__ import annotations

from torch import nn
from torch.optim import SGD, AdamW, Optimizer

from sparqc.errors import SparqcError
from sparqc.tools.tune.recipe import Recipe


def make_optimizer(module: nn.Module, recipe: Recipe) -> Optimizer:
    """SGD with Nesterov momentum, or AdamW; the weight decay spares vectors and numbers: biases,
    BatchNorm's scales and offsets, the scales of quantizers.

    Raises SparqcError where nothing trains.
    """
    trained = [p for p in module.parameters() if p.requires_grad]
    if not trained:
        raise SparqcError("the model has no parameter that requires a gradient")
    groups = [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    if recipe.optimizer == "adamw":
        return AdamW(groups, lr=recipe.lr, foreach=True)
    momentum = recipe.momentum
    return SGD(groups, lr=recipe.lr, momentum=momentum, nesterov=momentum > 0, foreach=True)
