"""How the stages are trained by the default loop."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from sparqc.errors import UsageError

#: How outputs are held against the dense model's: by their divergence as logits, by their squared
#: error, or as logits where they are [N, C].
Distance = Literal["auto", "kl", "mse"]
OptimizerName = Literal["sgd", "adamw"]

#: The learning rate and the weight decay of an optimizer where a person names none.
DEFAULTS: Mapping[OptimizerName, tuple[float, float]] = {
    "sgd": (0.01, 1e-4),
    "adamw": (5e-4, 0.01),
}


@dataclass(frozen=True)
class Recipe:
    """The settings of one stage.  All of them decide the result, and stand in its checkpoints."""

    epochs: int
    #: The largest learning rate.
    lr: float
    optimizer: OptimizerName = "sgd"
    #: Of sgd.
    momentum: float = 0.9
    #: On weights only: not on biases, BatchNorm's scales and offsets, and quantizers' scales.
    weight_decay: float = 1e-4
    #: Epochs in which the learning rate rises to `lr`.
    warmup: float = 0.1
    #: Parts that each batch is cut into, whose gradients are added up.
    accumulate: int = 1
    #: The decay of the moving average of the weights, which the stage ends with; 0: the last ones.
    ema: float = 0.0
    #: The largest norm of all gradients together; 0: any.
    clip: float = 5.0
    #: How much of the loss is the distance to the dense model's outputs, from 0 to 1.
    distill: float = 0.5
    distance: Distance = "auto"
    #: Logits are divided by it before they are compared.
    temperature: float = 1.0
    #: Whether to multiply in bfloat16, with the weights in float32.
    autocast: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        for name, bad, wanted in (
            ("epochs", self.epochs < 1, "at least 1"),
            ("lr", not self.lr > 0, "above 0"),
            ("momentum", not 0 <= self.momentum < 1, "from 0 to below 1"),
            ("weight_decay", not self.weight_decay >= 0, "at least 0"),
            (
                "warmup",
                not 0 <= self.warmup < self.epochs,
                f"at least 0, and below the {self.epochs} epochs that it is part of",
            ),
            ("accumulate", self.accumulate < 1, "at least 1"),
            ("ema", not 0 <= self.ema < 1, "from 0 to below 1"),
            ("clip", not self.clip >= 0, "at least 0"),
            ("distill", not 0 <= self.distill <= 1, "from 0 to 1"),
            ("temperature", not self.temperature > 0, "above 0"),
        ):
            if bad:
                raise UsageError(f"{name} is {getattr(self, name)}; it has to be {wanted}")

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


def recipes(
    *,
    epochs: int,
    optimizer: OptimizerName,
    warmup: float,
    lr: float | None = None,
    weight_decay: float | None = None,
    qat_epochs: int | None = None,
    qat_optimizer: OptimizerName | None = None,
    qat_lr: float | None = None,
    qat_warmup: float | None = None,
    **shared: Any,
) -> tuple[Recipe, Recipe]:
    """How the masked original is trained, and how the quantized module: what is None follows from
    the rest.  UsageError where one makes no sense."""
    sparse = Recipe(
        epochs=epochs,
        optimizer=optimizer,
        lr=DEFAULTS[optimizer][0] if lr is None else lr,
        weight_decay=DEFAULTS[optimizer][1] if weight_decay is None else weight_decay,
        warmup=warmup,
        **shared,
    )
    kind = qat_optimizer or optimizer
    fewer = max(1, round(epochs / 5)) if qat_epochs is None else qat_epochs
    peak = sparse.lr if kind == optimizer else DEFAULTS[kind][0]
    qat = replace(
        sparse,
        epochs=fewer,
        optimizer=kind,
        lr=peak / 10 if qat_lr is None else qat_lr,
        weight_decay=DEFAULTS[kind][1] if weight_decay is None else weight_decay,
        warmup=min(warmup, fewer / 2) if qat_warmup is None else qat_warmup,
    )
    return sparse, qat
