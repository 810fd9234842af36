"""What a person asks of a run."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from sparqc.base.option_fields import option_fields
from sparqc.pipeline.run import Pipeline, parse
from sparqc.pipeline.steps import Item, Step
from sparqc.tools.model.request import Request
from sparqc.tools.tune.recipe import Recipe

#: What is trained: the masked original, the quantized module, or first the one and then the other.
StageChoice = Literal["both", "sparse", "qat"]


@dataclass(frozen=True)
class Order:
    """A run of `sparqc tune`."""

    request: Request
    output: Path
    #: How the masked original is trained, and how the quantized module.
    sparse: Recipe
    qat: Recipe
    stage: StageChoice = "both"
    checkpoint: Path = field(default=Path())
    resume: bool = False
    save_every: int = 500
    batch_norm: Literal["live", "folded"] = "live"
    learned_scales: bool = False
    device: str = "auto"
    deterministic: bool = False
    #: Minutes in which a rank has to answer.
    timeout: float = 30.0
    quiet: bool = False

    def has(self, stage: str) -> bool:
        """Whether a stage is part of the run."""
        return self.stage in ("both", stage)

    def settings(self) -> dict[str, Any]:
        """Everything that decides the result, by name."""
        # Without the model: its weights say what it is, however its path is written.
        asked: dict[str, Any] = {
            name: _plain(getattr(asking, name))
            for asking in (self.request.options, self.request)
            for name in option_fields(type(asking))
        }
        asked |= {name: getattr(self, name) for name in ("stage", "batch_norm", "learned_scales")}
        recipes = {"sparse": self.sparse, "qat": self.qat}
        for stage, recipe in recipes.items():
            if self.has(stage):
                asked |= {f"{stage}.{name}": v for name, v in recipe.to_json().items()}
        return asked


def _plain(value: object) -> object:
    """What JSON gives back for it."""
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def with_masks_held(passes: str) -> str:
    """The pipeline for a module that was pruned and trained: `prune` keeps the zeros that it finds.

    Any method but the magnitude would choose, permute or repair once more; what was left dense
    stays so.  What training has reached, `distill` would not improve.
    """
    items = [item for item in parse(passes).items if not _is_training(item)]
    return str(Pipeline(tuple(map(_held, items))))


def _is_training(item: Item) -> bool:
    return isinstance(item, Step) and item.name == "distill"


def _held(item: Item) -> Item:
    if not isinstance(item, Step) or item.name != "prune":
        return item
    return Step(item.name, tuple(o for o in item.options if o.name == "dense"))
