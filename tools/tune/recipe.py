"""How a stage is trained by the default loop."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from sparqc.errors import UsageError

#: How outputs are held against the dense model's: by their divergence as logits, by their squared
#: error, or as logits where they are [N, C].
Distance = Literal["auto", "kl", "mse"]


@dataclass(frozen=True)
class Recipe:
    """The settings of one stage.  All of them decide the result, and stand in its checkpoints."""

    epochs: int
    #: The largest learning rate.
    lr: float
    momentum: float = 0.9
    #: On weights only: not on biases, BatchNorm's scales and offsets, and quantizers' scales.
    weight_decay: float = 1e-4
    #: Epochs in which the learning rate rises to `lr`.
    warmup: float = 0.1
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
            ("warmup", not self.warmup >= 0, "at least 0"),
            ("clip", not self.clip >= 0, "at least 0"),
            ("distill", not 0 <= self.distill <= 1, "from 0 to 1"),
            ("temperature", not self.temperature > 0, "above 0"),
        ):
            if bad:
                raise UsageError(f"{name} is {getattr(self, name)}; it has to be {wanted}")

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)
