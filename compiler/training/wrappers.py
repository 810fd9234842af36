"""The module that a person means inside of what data parallelism puts around it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn
from torch.nn.parallel import DataParallel, DistributedDataParallel

from sparqc.errors import UsageError

#: What to do with a module whose parameters are shards.
GATHERED = (
    "gather them: state = get_model_state_dict(module, options=StateDictOptions("
    "full_state_dict=True, cpu_offload=True)) of torch.distributed.checkpoint.state_dict on every "
    "rank, and sparqc.load_state(copy, state) into a copy that was made before fully_shard"
)


def unwrapped(module: nn.Module) -> nn.Module:
    """The module inside of DistributedDataParallel, DataParallel and torch.compile."""
    while True:
        inner = module._modules.get("_orig_mod")
        if isinstance(module, (DataParallel, DistributedDataParallel)):
            inner = module.module
        if inner is None:
            return module
        module = inner


@contextmanager
def as_written(module: nn.Module) -> Iterator[None]:
    """Inside, a module computes what its class does: Accelerate puts autocast around `forward`, and
    keeps the original beside it.  Captured, its casts would stand between layers and weights."""
    around, original = vars(module).get("forward"), vars(module).get("_original_forward")
    if around is None or original is None:
        yield
        return
    module.forward = original
    try:
        yield
    finally:
        module.forward = around


def require_whole(module: nn.Module, function: str, advice: str) -> None:
    """UsageError where `fully_shard` has cut the parameters of a module among processes."""
    for name, parameter in module.named_parameters():
        if hasattr(parameter, "full_tensor"):
            raise UsageError(
                f"sparqc.{function} takes a module that is whole, and {name} is cut among the "
                "processes (fully_shard)",
                hint=advice,
            )
