"""The processes of a run: how they find each other, and what they make sure of."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn

from sparqc.errors import SparqcError
from sparqc.ranks.process_group import current_ranks, share_tensors
from sparqc.ranks.ranks import ALONE, Ranks
from sparqc.tools.tune.identity import Identity, differences
from sparqc.tools.tune.state.checkpoint import Checkpoint, tensor_hash


@contextmanager
def joined(device: torch.device, minutes: float) -> Iterator[Ranks]:
    """The ranks that `torchrun` has started, this one among them; alone without it.

    A rank that does not answer within so many minutes is an error on the others.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) < 2:
        yield ALONE
        return
    # What is not a gradient lies on the CPU, and goes through gloo on GPUs too.
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    try:
        dist.init_process_group(backend, timeout=timedelta(minutes=minutes))
    except (RuntimeError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise SparqcError(
            f"the processes do not find each other: {reason}",
            hint="start them with torchrun, with the same rendezvous on every machine",
        ) from error
    yield current_ranks()
    # Not where something has failed: that could wait for ranks that are gone.  And nobody waits for
    # rank 0 here, which may still evaluate when the others have no more to do.
    dist.destroy_process_group()


def local_device(wish: str) -> torch.device:
    """The device of this process: "auto" takes the GPU of its local rank where there is one.

    Raises SparqcError for a device that torch does not know or does not have.
    """
    if wish == "auto":
        wish = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(wish)
        if device.type == "cuda" and not torch.cuda.is_available():
            raise RuntimeError("torch finds no GPU, or was built without CUDA")
        if device.type == "cuda" and device.index is None:
            device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
            torch.cuda.set_device(device)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise SparqcError(f"--device {wish} cannot be used: {reason}") from error
    return device


def require_alike(identity: Identity, ranks: Ranks) -> None:
    """SparqcError on every rank, which says what differs, unless all ranks start the same run."""
    mine = identity.to_json()
    texts = _texts(json.dumps(mine, sort_keys=True), ranks)
    for rank, text in enumerate(texts):
        here, there = json.loads(texts[0]), json.loads(text)
        if found := differences(here, there):
            raise SparqcError(
                f"rank 0 and rank {rank} do not start the same run; on rank 0, and on rank {rank} "
                "there:\n    " + "\n    ".join(found),
                hint="start every process with the same command, model file and weights",
            )


def require_same_weights(module: nn.Module, ranks: Ranks) -> None:
    """SparqcError where training has left the ranks with different parameters or masks.

    Buffers that are not masks become those of rank 0: running statistics may differ.
    """
    if ranks.count == 1:
        return
    masks = {n: b for n, b in module.named_buffers() if b.dtype == torch.bool}
    hashes = _texts(json.dumps(_hashes({**dict(module.named_parameters()), **masks})), ranks)
    for rank, text in enumerate(hashes):
        if text != hashes[0]:
            here, there = json.loads(hashes[0]), json.loads(text)
            names = [name for name in here if here[name] != there.get(name)]
            raise SparqcError(
                f"ranks 0 and {rank} have different weights behind the training: {names[0]} and "
                f"{len(names) - 1} more",
                hint="a train() of your own has to average the gradients: wrap the module in "
                "torch.nn.parallel.DistributedDataParallel inside it",
            )
    share_module(module, ranks)


def share_module(module: nn.Module, ranks: Ranks) -> None:
    """Give every rank the parameters, buffers and masks of rank 0."""
    share_tensors(module.state_dict().values(), ranks)


def share_checkpoint(checkpoint: Checkpoint | None, ranks: Ranks) -> Checkpoint | None:
    """What rank 0 has read, on every rank: the others may lie on machines without its files."""
    if ranks.count == 1:
        return checkpoint
    head: Any = None
    if checkpoint is not None:
        shapes = {n: [str(t.dtype), list(t.shape)] for n, t in checkpoint.tensors.items()}
        head = {"state": checkpoint.state, "tensors": shapes}
    head = json.loads(_texts(json.dumps(head), ranks)[0])
    if head is None:
        return None
    tensors = dict(checkpoint.tensors) if checkpoint else _empty(head["tensors"])
    share_tensors([tensors[name] for name in head["tensors"]], ranks)
    return Checkpoint(tensors, head["state"])


def _empty(shapes: Mapping[str, Any]) -> dict[str, Tensor]:
    return {
        name: torch.zeros(shape, dtype=getattr(torch, dtype.removeprefix("torch.")))
        for name, (dtype, shape) in shapes.items()
    }


def _hashes(tensors: Mapping[str, Tensor]) -> dict[str, str]:
    return {name: tensor_hash(tensor) for name, tensor in tensors.items()}


def _texts(text: str, ranks: Ranks) -> list[str]:
    """The texts of all ranks."""
    found = ranks.gather(np.frombuffer(text.encode(), np.uint8))
    return [array.tobytes().decode() for array in found]
