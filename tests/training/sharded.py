"""Modules that `fully_shard` cuts among two processes; started by torchrun (test_sharded.py).

Writes what rank 0 found as JSON to the file that is named.
"""

import copy
import json
import sys
from pathlib import Path

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.nn.functional import cross_entropy

import sparqc
from sparqc.errors import UsageError
from tests.networks_of_training import Net, batch, calibration, example, network
from tests.processes import leave
from tests.training.two_processes import prepared

WHOLE = StateDictOptions(full_state_dict=True, cpu_offload=True)


def without_norms() -> nn.Module:
    """Whose batches may be cut: BatchNorms stay as they are."""
    net = network()
    for part in net.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.train = lambda mode=True, part=part: nn.Module.train(part, False)
    return net


def train(module: nn.Module, rank: int, count: int) -> None:
    optimizer = torch.optim.SGD(module.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-3)
    module.train()
    for step in range(3):
        images, labels = batch(step)
        optimizer.zero_grad()
        cross_entropy(module(images[rank::count]), labels[rank::count]).backward()
        optimizer.step()


def sparse() -> Net:
    return sparqc.sparsify(without_norms(), example(), passes="all-sparse")


def gap(one: nn.Module, other: nn.Module) -> float:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return max(float((a - b).abs().max()) for a, b in pairs if a.is_floating_point())


def refused(work, *arguments, **given) -> str:
    try:
        work(*arguments, **given)
    except UsageError as error:
        return str(error)
    return ""


def gathered(module: nn.Module, whole: nn.Module, rank: int) -> nn.Module:
    """What the page says: the state of all into a copy from before."""
    state = get_model_state_dict(module, options=WHOLE)
    return sparqc.load_state(whole, state) if rank == 0 else whole


def fine_tuned(mesh, rank: int) -> dict:
    module, whole, alone = sparse(), sparse(), sparse()
    train(alone, 0, 1)
    fully_shard(module.block, mesh=mesh)
    fully_shard(module, mesh=mesh)
    train(module, rank, 2)
    calls = {
        "sparsify": refused(sparqc.sparsify, module, example()),
        "prepare": refused(sparqc.prepare, module, example(), calibration=calibration),
        "apply_masks": refused(sparqc.apply_masks, module, sparqc.masks(whole)),
        "bake": refused(sparqc.bake, module),
        "save_state": refused(sparqc.save_state, module, "state.safetensors"),
        "load_state": refused(sparqc.load_state, module, whole.state_dict()),
    }
    whole = gathered(module, whole, rank)
    found = {"gap": gap(alone, whole), "calls": calls}
    if rank == 0:
        weight = sparqc.bake(whole).block.conv1.weight
        found["zeros"] = float((weight == 0).float().mean())
    return found


def quantized(mesh, rank: int, learned: bool) -> dict:
    module, alone = prepared(learned), prepared(learned)
    whole = copy.deepcopy(module)
    train(alone, 0, 1)
    train(fully_shard(module, mesh=mesh), rank, 2)
    calls = {
        "finish": refused(sparqc.finish, module),
        "recalibrate": refused(sparqc.recalibrate, module, calibration),
    }
    whole = gathered(module, whole, rank)
    found = {"gap": gap(alone, whole), "calls": calls}
    if rank == 0:
        found["snr"] = sparqc.finish(whole).difference.snr_db
    return found


def main(path: Path) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    rank = dist.get_rank()
    mesh = init_device_mesh("cpu", (2,))
    found = {
        "sparse": fine_tuned(mesh, rank),
        "quantized": quantized(mesh, rank, learned=False),
        "learned": quantized(mesh, rank, learned=True),
    }
    if rank == 0:
        path.write_text(json.dumps(found))
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
    leave()
