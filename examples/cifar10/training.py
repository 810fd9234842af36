"""A training loop that can be killed at any moment and goes on where it was.

SGD with Nesterov momentum, a learning rate that rises and falls to zero, label smoothing.  What is
random in an epoch follows from the seed and the epoch's number alone, hence a resumed run sees
the images that an unbroken run sees.
"""

import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from images import Split, augment, normalize
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.functional import cross_entropy


@dataclass(frozen=True)
class Recipe:
    """How a network is trained."""

    epochs: int
    learning_rate: float = 0.1
    batch: int = 128
    momentum: float = 0.9
    weight_decay: float = 5e-4
    label_smoothing: float = 0.1
    #: The share of the steps in which the learning rate rises.
    warm_up: float = 0.2
    seed: int = 0


def fit(net: nn.Module, data: Split, recipe: Recipe, checkpoint: Path) -> None:
    """Train in place.  A checkpoint of the same recipe is gone on from."""
    steps = -(-len(data) // recipe.batch)
    optimizer = torch.optim.SGD(
        net.parameters(),
        recipe.learning_rate,
        recipe.momentum,
        weight_decay=recipe.weight_decay,
        nesterov=True,
    )
    first = _resume(net, optimizer, recipe, checkpoint)
    device = next(net.parameters()).device
    for epoch in range(first, recipe.epochs):
        net.train()
        start, total = time.perf_counter(), 0.0
        for step, (images, labels) in enumerate(batches(data, recipe, epoch)):
            for group in optimizer.param_groups:
                group["lr"] = _learning_rate(recipe, (epoch * steps + step) / steps)
            with torch.autocast(device.type, torch.bfloat16):
                outputs = net(normalize(images.to(device)))
            loss = cross_entropy(
                outputs.float(), labels.to(device), label_smoothing=recipe.label_smoothing
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item()
        seconds = time.perf_counter() - start
        _save(net, optimizer, recipe, epoch + 1, checkpoint)
        line = f"{checkpoint.stem}: epoch {epoch + 1}/{recipe.epochs}, loss {total / steps:.4f}"
        print(f"{line}, {seconds:.0f} s", flush=True)


def batches(data: Split, recipe: Recipe, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
    """The images of an epoch, augmented, uint8, with their labels."""
    generator = torch.Generator().manual_seed(1000 * recipe.seed + epoch)
    order = torch.randperm(len(data), generator=generator)
    for index in order.split(recipe.batch):
        yield augment(data.images[index], generator), data.labels[index]


@torch.no_grad()
def accuracy(net: nn.Module, data: Split) -> float:
    """Top-1 accuracy in percent, in inference mode and float32."""
    net.eval()
    device = next(net.parameters()).device
    parts = (net(normalize(part.to(device))).argmax(1).cpu() for part in data.images.split(500))
    return 100.0 * (torch.cat(list(parts)) == data.labels).float().mean().item()


def _learning_rate(recipe: Recipe, epoch: float) -> float:
    """The learning rate at a moment: up in a line, and down to zero in a line."""
    peak = recipe.warm_up * recipe.epochs
    share = epoch / peak if epoch < peak else (recipe.epochs - epoch) / (recipe.epochs - peak)
    return recipe.learning_rate * share


def _save(
    net: nn.Module, optimizer: torch.optim.Optimizer, recipe: Recipe, epoch: int, path: Path
) -> None:
    """Everything that the next epoch needs, all of it or nothing."""
    momenta = optimizer.state_dict()["state"]
    tensors = {f"net.{name}": value for name, value in net.state_dict().items()}
    tensors |= {f"momentum.{i}": momenta[i]["momentum_buffer"] for i in momenta}
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = path.with_suffix(".part")
    save_file({k: v.contiguous() for k, v in tensors.items()}, whole, _words(recipe, epoch))
    whole.replace(path)


def _words(recipe: Recipe, epoch: int) -> dict[str, str]:
    return {"recipe": json.dumps(asdict(recipe)), "epoch": str(epoch)}


def _resume(net: nn.Module, optimizer: torch.optim.Optimizer, recipe: Recipe, path: Path) -> int:
    """Take over a checkpoint; returns the epoch to begin with."""
    if not path.exists():
        return 0
    with safe_open(path, "pt") as file:
        words = file.metadata()
        if words["recipe"] != _words(recipe, 0)["recipe"]:
            raise SystemExit(f"{path} was trained otherwise: {words['recipe']}; move it away")
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    net.load_state_dict(
        {name[4:]: value for name, value in tensors.items() if name.startswith("net.")}
    )
    state = optimizer.state_dict()
    state["state"] = {
        int(name[9:]): {"momentum_buffer": value}
        for name, value in tensors.items()
        if name.startswith("momentum.")
    }
    optimizer.load_state_dict(state)
    return int(words["epoch"])
