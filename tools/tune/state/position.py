"""Where a training run is, and the whole of its state as tensors and plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from sparqc.errors import SparqcError
from sparqc.tools.tune.state.checkpoint import Checkpoint

_MODULE, _OPTIMIZER, _AVERAGE = "module/", "optimizer/", "average/"


@dataclass(frozen=True)
class Position:
    """Where the training of a stage is: in front of batch `index` of `epoch`, both from 0."""

    epoch: int = 0
    index: int = 0
    #: Optimizer steps so far.
    step: int = 0
    #: Over the samples of this epoch so far: the sum of their losses, and how many they are.
    loss: float = 0.0
    samples: int = 0
    #: The number of ranks and the hash of rank 0's last batch, to tell whether the data come in the
    #: same order again.
    batch: str = ""

    def after(self, loss: float, samples: int) -> Position:
        """Behind one more step on so many samples, whose mean loss is given."""
        return replace(
            self,
            index=self.index + 1,
            step=self.step + 1,
            loss=self.loss + loss * samples,
            samples=self.samples + samples,
            batch="",
        )

    def next_epoch(self) -> Position:
        """In front of the next epoch."""
        return Position(epoch=self.epoch + 1, step=self.step)


def pack(
    module: nn.Module,
    optimizer: Optimizer,
    position: Position,
    extra: Mapping[str, Any],
    average: Mapping[str, Tensor],
) -> Checkpoint:
    """The state of a run.  The random numbers of a step follow from the seed and its number."""
    tensors = {_MODULE + name: tensor for name, tensor in module.state_dict().items()}
    tensors |= {_AVERAGE + name: tensor for name, tensor in average.items()}
    plain: dict[str, Any] = {}
    for name, parameter in module.named_parameters():
        for key, value in optimizer.state.get(parameter, {}).items():
            where = tensors if isinstance(value, Tensor) else plain
            where[f"{_OPTIMIZER}{name}/{key}"] = value
    return Checkpoint(tensors, {**extra, "position": asdict(position), "optimizer": plain})


def unpack(checkpoint: Checkpoint, module: nn.Module, optimizer: Optimizer) -> Position:
    """Give the module and its optimizer the state that `pack` took.

    Raises SparqcError where the checkpoint's tensors are not those of the module.
    """
    load_module(checkpoint, module)
    parameters = dict(module.named_parameters())
    for name, value in {**checkpoint.tensors, **checkpoint.state["optimizer"]}.items():
        if not name.startswith(_OPTIMIZER):
            continue
        owner, _, key = name.removeprefix(_OPTIMIZER).rpartition("/")
        if isinstance(value, Tensor):  # torch counts an optimizer's steps on the CPU
            device = "cpu" if key == "step" else parameters[owner].device
            value = value.to(device, copy=True)
        optimizer.state[parameters[owner]][key] = value
    return Position(**checkpoint.state["position"])


def averages(checkpoint: Checkpoint) -> dict[str, Tensor]:
    """The moving average of the weights that a checkpoint holds, by name."""
    start = len(_AVERAGE)
    return {n[start:]: t for n, t in checkpoint.tensors.items() if n.startswith(_AVERAGE)}


def module_checkpoint(module: nn.Module, extra: Mapping[str, Any]) -> Checkpoint:
    """The parameters and buffers of a module alone: the result of a stage."""
    tensors = {_MODULE + name: tensor for name, tensor in module.state_dict().items()}
    return Checkpoint(tensors, dict(extra))


def load_module(checkpoint: Checkpoint, module: nn.Module) -> None:
    """Give a module the parameters and buffers of a checkpoint."""
    start = len(_MODULE)
    found = {n[start:]: t for n, t in checkpoint.tensors.items() if n.startswith(_MODULE)}
    own = module.state_dict()
    for name in {**own, **found}:
        if name not in own or name not in found or own[name].shape != found[name].shape:
            raise SparqcError(
                f"the checkpoint does not fit the model: {name} is "
                f"{_size(found.get(name))} there, {_size(own.get(name))} here",
                hint="it was written by another version; start anew in another folder",
            )
    with torch.no_grad():
        module.load_state_dict(found)


def _size(tensor: Tensor | None) -> str:
    return "missing" if tensor is None else str(list(tensor.shape))
