"""Trains a prepared network on one half of each batch, as one of two processes.

python two_processes.py RANK RENDEZVOUS RESULT
"""

import sys

import torch
import torch.distributed as dist
from safetensors.torch import save_file
from torch import nn
from torch.nn.functional import cross_entropy
from torch.nn.parallel import DistributedDataParallel

import sparqc
from tests.networks_of_training import batch, calibration, example, network

STEPS = 4


def prepared(learned: bool = True) -> sparqc.Prepared:
    return sparqc.prepare(
        network(),
        example(),
        calibration=calibration,
        batch_norm="folded",
        learned_scales=learned,
        passes="all-sparse",
    )


def train(module: nn.Module, rank: int, count: int) -> None:
    """Each of `count` processes takes every so manieth sample."""
    optimizer = torch.optim.SGD(module.parameters(), lr=0.02, momentum=0.9)
    for step in range(STEPS):
        images, labels = batch(step)
        loss = cross_entropy(module(images[rank::count]), labels[rank::count])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def main() -> None:
    rank, rendezvous, result = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=2)
    module = prepared()
    train(DistributedDataParallel(module), rank, 2)
    save_file(module.state_dict(), f"{result}.{rank}")
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
