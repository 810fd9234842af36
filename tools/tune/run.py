"""A run of `sparqc tune`: the dense model, the sparse one, the quantized one, the file."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from sparqc import apply_masks, bake, finish, masks, prepare, sparsify
from sparqc.errors import SparqcError
from sparqc.job.open import new_job
from sparqc.job.options import Options
from sparqc.job.result import Result
from sparqc.job.run import run_job
from sparqc.pipeline.events import Listener
from sparqc.ranks.ranks import Ranks, together
from sparqc.tools.model.loading import LoadedModel
from sparqc.tools.tune.data import TrainingData
from sparqc.tools.tune.display import Display
from sparqc.tools.tune.loop import Loop
from sparqc.tools.tune.loss import Loss
from sparqc.tools.tune.measured import Row, measure
from sparqc.tools.tune.order import Order, with_masks_held
from sparqc.tools.tune.processes.group import require_same_weights, share_checkpoint, share_module
from sparqc.tools.tune.recipe import Recipe
from sparqc.tools.tune.state.checkpoint import Checkpoint
from sparqc.tools.tune.state.position import load_module, module_checkpoint
from sparqc.tools.tune.state.store import Store
from sparqc.tools.tune.trainer import run_trainer

#: How the checkpoint of a masked module names its masks.
_MASK = (".parametrizations.", ".0.mask")


@dataclass
class Run:
    """One run on one rank; every rank does the same, and rank 0 alone measures and writes."""

    order: Order
    loaded: LoadedModel
    calibration: Callable[[], Iterable[Sequence[Any]]] | None
    #: None where train() is the person's own.
    data: TrainingData | None
    criterion: Loss
    ranks: Ranks
    device: torch.device
    store: Store
    display: Display
    #: How many batches an epoch has.
    batches: int = 0
    listeners: tuple[Listener, ...] = ()
    #: What evaluate() has said so far.
    rows: list[Row] = field(default_factory=list)

    def run(self, start: Checkpoint | None) -> Result | None:
        """Train every stage, or what is left of it behind a checkpoint, and compile the result;
        None on every rank but the first."""
        if start is not None:
            self.rows += [Row.of(row) for row in start.state["rows"]]
        self._measure("dense", self.dense)
        module = copy.deepcopy(self.dense)
        if self.order.has("sparse"):
            self._sparse(module, start)
        if self.order.has("qat"):
            return self._quantized(module, start)
        return self._compiled(module)

    @property
    def dense(self) -> nn.Module:
        """The model as it was loaded."""
        assert self.loaded.module is not None
        return self.loaded.module

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """The example inputs."""
        assert self.loaded.inputs is not None
        return self.loaded.inputs

    # -- the stages -----------------------------------------------------------------------------

    def _sparse(self, module: nn.Module, start: Checkpoint | None) -> None:
        """Mask the module by the rules, train it, and leave the zeros in its weights."""
        if result := self._result("sparse"):
            load_module(result, module)
            return
        if start is None:
            self._sparsify(module)
            share_module(module, self.ranks)
            self._measure("2:4, not trained", module)
        else:
            apply_masks(module, masks_in(start))
        self._train("sparse", module, self.order.sparse, start)
        bake(module)
        self._end("sparse", module, "2:4, trained")

    def _sparsify(self, module: nn.Module) -> None:
        with self.display.bar() as progress:
            sparsify(
                module,
                self.inputs,
                calibration=self.calibration,
                options=self.order.request.options,
                progress=progress,
                ranks=self.ranks,
            )

    def _quantized(self, module: nn.Module, start: Checkpoint | None) -> Result | None:
        """Put quantizers in, train with them, and finish the ONNX graph."""
        held = {name: tensor.clone() for name, tensor in module.state_dict().items()}
        prepared = self._prepare(module)
        if self.order.has("sparse"):
            require_held(masks(prepared), held)
        if result := self._result("qat"):
            load_module(result, prepared)
        else:
            share_module(prepared, self.ranks)
            here = start if start is not None and start.state["stage"] == "qat" else None
            if here is None:
                self._measure(f"{self._kind}, calibrated", prepared)
            self._train("qat", prepared, self.order.qat, here)
            self._end("qat", prepared, f"{self._kind}, trained")
        if self.ranks.index:
            return None
        with self.display.bar():
            return finish(prepared)

    def _prepare(self, module: nn.Module) -> nn.Module:
        with self.display.bar() as progress:
            return prepare(
                module,
                self.inputs,
                calibration=self.calibration,
                batch_norm=self.order.batch_norm,
                learned_scales=self.order.learned_scales,
                options=self._held(),
                progress=progress,
                listeners=self.listeners,
                ranks=self.ranks,
            )

    def _compiled(self, module: nn.Module) -> Result | None:
        """The rest of the pipeline without training: quantized by calibration alone."""
        if self.ranks.index:
            return None
        with self.display.bar() as progress:
            job = new_job(
                module,
                self.inputs,
                calibration=self.calibration,
                options=self._held(),
                progress=progress,
                listeners=self.listeners,
            )
            return run_job(job)

    def _held(self) -> Options:
        """The options, where masks that were trained stay what they are."""
        options = self.order.request.options
        if not self.order.has("sparse"):
            return options
        return replace(options, passes=with_masks_held(options.passes))

    @property
    def _kind(self) -> str:
        return "2:4 INT8" if self.order.has("sparse") else "INT8"

    # -- training -------------------------------------------------------------------------------

    def _train(
        self, stage: str, module: nn.Module, recipe: Recipe, start: Checkpoint | None
    ) -> None:
        module.to(self.device)
        if self.data is None:
            self._train_by_owner(stage, module, start)
        else:
            self._loop(stage, module, recipe, self.data).run(start)
        require_same_weights(module, self.ranks)
        module.to("cpu")

    def _loop(self, stage: str, module: nn.Module, recipe: Recipe, data: TrainingData) -> Loop:
        return Loop(
            stage=stage,
            module=module,
            teacher=copy.deepcopy(self.dense).to(self.device).eval(),
            criterion=self.criterion,
            data=data,
            recipe=recipe,
            ranks=self.ranks,
            device=self.device,
            store=self.store,
            display=self.display,
            batches=self.batches,
            save_every=self.order.save_every,
            extra=self._extra(),
        )

    def _train_by_owner(self, stage: str, module: nn.Module, start: Checkpoint | None) -> None:
        if start is not None:
            load_module(start, module)
        elif self.ranks.index == 0:
            self.store.save(stage, 0, module_checkpoint(module, self._extra()))
        assert self.loaded.functions is not None
        self.display.say(f"{stage}: train() of {self.loaded.functions.code.name}")
        run_trainer(self.loaded.functions, module, stage)

    # -- what is kept and measured --------------------------------------------------------------

    def _end(self, stage: str, module: nn.Module, name: str) -> None:
        self._measure(name, module)
        if self.ranks.index == 0:
            self.store.end(stage, module_checkpoint(module, self._extra()))

    def _result(self, stage: str) -> Checkpoint | None:
        """The result of a stage that ended in an earlier run, on every rank."""
        with together(self.ranks):
            found = None if self.ranks.index else self.store.result(stage)
        return share_checkpoint(found, self.ranks)

    def _extra(self) -> Mapping[str, Any]:
        return {"rows": [row.to_json() for row in self.rows]}

    def _measure(self, name: str, module: nn.Module) -> None:
        """Add a row, unless an earlier run has."""
        evaluate = self.loaded.evaluate
        if evaluate is None or any(row.name == name for row in self.rows):
            return
        found: Mapping[str, float] = {}
        with together(self.ranks):
            if self.ranks.index == 0:
                found = _on_device(measure, evaluate, module, self.device)
                self.display.say(f"{name}: " + ", ".join(f"{k} {v:.4g}" for k, v in found.items()))
        self.rows.append(Row(name, found))


def _on_device(
    work: Callable[..., Mapping[str, float]], evaluate: Any, module: nn.Module, device: torch.device
) -> Mapping[str, float]:
    module.to(device)
    try:
        return work(evaluate, module, device)
    finally:
        module.to("cpu")


def masks_in(checkpoint: Checkpoint) -> dict[str, Tensor]:
    """The masks in a checkpoint of the sparse stage, by the names of the weights."""
    infix, suffix = _MASK
    return {
        name.removeprefix("module/").removesuffix(suffix).replace(infix, "."): tensor
        for name, tensor in checkpoint.tensors.items()
        if infix in name and name.endswith(suffix)
    }


def require_held(found: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> None:
    """SparqcError where a mask would take a weight that another stage has trained."""
    for name, mask in found.items():
        own = weights.get(name)
        if own is not None and own.shape == mask.shape and bool((own[~mask.cpu()] != 0).any()):
            raise SparqcError(
                f"the passes choose another mask for {name} than the one that it was trained with",
                hint="tune each stage by itself: --stage sparse, then --stage qat",
            )
