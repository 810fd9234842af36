"""Gradients that several processes average; started by torchrun (test_gradients.py).

Writes what rank 0 found as JSON to the file that is named.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from sparqc.ranks.ranks import ALONE, Ranks, together
from sparqc.tools.model.user_code import UserCode
from sparqc.tools.tune.data import TrainingData
from sparqc.tools.tune.display import Display
from sparqc.tools.tune.identity import identity_of
from sparqc.tools.tune.loop import Loop
from sparqc.tools.tune.loss import usual_loss
from sparqc.tools.tune.processes.gradients import SharedGradients
from sparqc.tools.tune.processes.group import joined, share_checkpoint
from sparqc.tools.tune.recipe import Recipe
from sparqc.tools.tune.state.store import Store

HERE = Path(__file__).parent
#: Rows of each batch that each rank has, where it has them from the person.
UNEQUAL = [(5, 2, 1), (1, 4, 3)]


class Net(nn.Module):
    """Layers in another order than they are used in, one of them three times, one frozen, and one
    that is never reached."""

    def __init__(self, reentrant: bool | None = None) -> None:
        super().__init__()
        self.reentrant = reentrant
        self.head = nn.Linear(64, 8)
        self.stem = nn.Linear(16, 64)
        self.often = nn.Linear(64, 64)
        self.frozen = nn.Linear(64, 64).requires_grad_(False)
        self.unused = nn.Linear(3, 3)

    def block(self, x: Tensor) -> Tensor:
        return torch.relu(self.frozen(torch.relu(self.often(x))))

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for _ in range(3):
            if self.reentrant is None:
                x = x + self.block(x)
            else:
                x = x + checkpoint(self.block, x, use_reentrant=self.reentrant)
        return self.head(x)


def network(reentrant: bool | None = None) -> Net:
    torch.manual_seed(0)
    return Net(reentrant)


def rows(count: int, seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, 16, generator=generator), torch.arange(count) % 8


def gap(one: nn.Module, other: nn.Module) -> float:
    """The largest difference of a gradient, in shares of its largest element."""
    pairs = zip(one.parameters(), other.parameters(), strict=True)
    found = [(p.grad, q.grad) for p, q in pairs]
    assert all((g is None) == (h is None) for g, h in found)
    return max(float((g - h).abs().max() / g.abs().max()) for g, h in found if g is not None)


def gradients(ranks: Ranks, reentrant: bool | None, parts: int) -> float:
    """Two backward passes, on rows that the ranks share."""
    one, two = network(reentrant), network(reentrant)
    x, y = rows(12, 0)
    usual_loss(one(x), y).backward()
    with SharedGradients(two, ranks).active() as shared:
        for _ in range(2):
            two.zero_grad(set_to_none=True)
            mine = slice(ranks.index * 4, ranks.index * 4 + 4)
            pieces = list(zip(x[mine].chunk(parts), y[mine].chunk(parts), strict=True))
            for index, (a, b) in enumerate(pieces):
                outputs = shared(a, last=index == len(pieces) - 1)
                shared.backward(usual_loss(outputs, b) / len(pieces))
            shared.finish()
    return gap(one, two)


def _loop(module: nn.Module, ranks: Ranks, folder: Path, function: Any, **more: Any) -> Loop:
    folder.mkdir(exist_ok=True)
    code = UserCode("model.py", HERE, HERE, first=False)
    recipe = Recipe(epochs=3, lr=0.05, optimizer="adamw", ema=0.9, **more)
    return Loop(
        stage="sparse",
        module=module,
        teacher=network().eval(),
        criterion=usual_loss,
        data=TrainingData(code, function, "training() of model.py", 1, 0, ranks),
        recipe=recipe,
        ranks=ranks,
        device=torch.device("cpu"),
        store=Store(folder, identity_of(network(), {})),
        display=Display(talks=False),
        batches=2,
        save_every=1,
    )


def largest(one: nn.Module, other: nn.Module) -> float:
    theirs = other.state_dict()
    return max(float((t - theirs[n]).abs().max()) for n, t in one.state_dict().items())


def trained(ranks: Ranks, folder: Path, reentrant: bool) -> dict[str, float]:
    """Three epochs on data of which each rank has another number of rows, on one process and on
    all, and on all that stop and go on."""

    def whole() -> list[tuple[Tensor, Tensor]]:
        return [rows(sum(sizes), n) for n, sizes in enumerate(UNEQUAL)]

    def own(rank: int) -> list[tuple[Tensor, Tensor]]:
        found = []
        for sizes, (x, y) in zip(UNEQUAL, whole(), strict=True):
            part = slice(sum(sizes[:rank]), sum(sizes[: rank + 1]))
            found.append((x[part], y[part]))
        return found

    one, two, resumed = network(), network(reentrant), network(reentrant)
    _loop(one, ALONE, folder / f"alone{ranks.index}{reentrant}", whole).run()
    path = folder / f"together{reentrant}"
    with together(ranks):
        path.mkdir(exist_ok=True)
    through = _loop(two, ranks, path, own, accumulate=2)
    through.run()
    with together(ranks):
        if ranks.index == 0:
            sorted(path.glob("*.safetensors"))[-1].unlink()
    store = Store(path, identity_of(network(), {}))
    start = share_checkpoint(store.begin(resume=True) if ranks.index == 0 else None, ranks)
    assert start is not None and start.state["position"]["step"] == 5
    onward = _loop(resumed, ranks, path, own, accumulate=2)
    onward.run(start)
    return {
        "gap": largest(one, two),
        "moved": largest(two, network()),
        "resumed": largest(two, resumed),
        # A gradient that was added in another order shows here, however small the step.
        "moments": max(
            float((through.optimizer.state[p][key] - onward.optimizer.state[q][key]).abs().max())
            for p, q in zip(two.parameters(), resumed.parameters(), strict=True)
            for key in through.optimizer.state[p]
        ),
    }


def main(path: Path) -> None:
    torch.set_num_threads(1)
    with joined(torch.device("cpu"), minutes=2) as ranks:
        found: dict[str, Any] = {}
        for name, reentrant in (("plain", None), ("checkpointed", False), ("reentrant", True)):
            found[name] = gradients(ranks, reentrant, 1)
            found[f"{name} in parts"] = gradients(ranks, reentrant, 2)
        found["trained"] = [trained(ranks, path.parent, reentrant) for reentrant in (False, True)]
        if ranks.index == 0:
            path.write_text(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
