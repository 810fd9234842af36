"""What two processes do together, each check for itself; started by torchrun (test_two_ranks.py).

Writes what rank 0 found as JSON to the file that is named.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import sparqc
from sparqc.errors import SparqcError
from sparqc.ranks.process_group import add_up, share_tensors
from sparqc.ranks.ranks import ALONE, Ranks, together
from sparqc.tools.model.user_code import UserCode
from sparqc.tools.tune.data import TrainingData, batches_an_epoch
from sparqc.tools.tune.display import Display
from sparqc.tools.tune.identity import identity_of
from sparqc.tools.tune.loop import Loop
from sparqc.tools.tune.loss import usual_loss
from sparqc.tools.tune.processes.group import (
    joined,
    require_alike,
    require_same_weights,
    share_checkpoint,
    share_module,
)
from sparqc.tools.tune.processes.shared_norm import shared_batch_norms
from sparqc.tools.tune.recipe import Recipe
from sparqc.tools.tune.state.checkpoint import Checkpoint
from sparqc.tools.tune.state.store import Store

HERE = Path(__file__).parent
CODE = UserCode("model.py", HERE, HERE, first=False)


class Net(nn.Module):
    """Without dropout, whose random numbers a rank has for itself."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(16, 16, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(16)
        self.conv2 = nn.Conv2d(16, 16, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(16)
        self.head = nn.Linear(16, 16)
        self.unused = nn.Linear(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.norm1(self.conv1(x)))
        return self.head(torch.relu(self.norm2(self.conv2(y))).mean((2, 3)))


def network(seed: int = 0) -> Net:
    torch.manual_seed(seed)
    return Net()


def batches(size: int = 10, count: int = 3) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches of which the second has an odd number of samples, and the last a single one."""
    for index in range(count):
        rows = (size, size - 1, 1)[index % 3]
        yield torch.randn(rows, 16, 6, 6), torch.randint(0, 16, (rows,))


def calibration() -> Iterator[tuple[Tensor]]:
    torch.manual_seed(7)
    for index in range(3):
        yield (torch.randn(5 + index, 16, 6, 6) * (1 + index),)


def gap(one: nn.Module, other: nn.Module) -> float:
    """The largest difference of a parameter or buffer, in shares of its largest element."""
    theirs = dict(other.state_dict())
    return max(
        float((t.double() - theirs[n].double()).abs().max() / t.double().abs().max().clamp_min(1))
        for n, t in one.state_dict().items()
    )


def refused(work: Callable[[], Any]) -> str:
    """What the error says; every rank has to have one."""
    try:
        work()
    except SparqcError as error:
        return str(error)
    return ""


# -- the checks --------------------------------------------------------------------------------


def exchange(ranks: Ranks) -> dict[str, Any]:
    mine = np.full((ranks.index + 1, 2), ranks.index, np.float32)
    found = ranks.gather(mine)
    tensors = [
        torch.tensor(1.5 - ranks.index, dtype=torch.bfloat16),
        torch.tensor([ranks.index == 0]),
    ]
    share_tensors(tensors, ranks)
    checkpoint = Checkpoint({"x": torch.ones(2)}, {"step": 3}) if ranks.index == 0 else None
    shared = share_checkpoint(checkpoint, ranks)
    assert shared is not None
    return {
        "shapes": [list(a.shape) for a in found],
        "dtypes": [str(a.dtype) for a in found],
        "sums": add_up([1.0, float(ranks.index)], ranks),
        "tensors": [t.tolist() for t in tensors],
        "checkpoint": [shared.state, shared.tensors["x"].tolist()],
        "nothing": share_checkpoint(None, ranks) is None,
    }


def calibrated(ranks: Ranks) -> dict[str, Any]:
    """Scales and statistics that two ranks measure, and that one does."""
    x = next(calibration())
    wish = {"calibration": calibration, "passes": "all-sparse"}
    whole = sparqc.prepare(network(), x, **wish)
    both = sparqc.prepare(network(), x, ranks=ranks, **wish)
    dense = {**wish, "passes": "int8"}
    one, two = (sparqc.prepare(network(), x, ranks=r, **dense) for r in (ALONE, ranks))
    scales = [n for n, _ in one.named_buffers() if n.removeprefix("body.") in one.recipe.measured]
    return {
        "sparse": gap(whole, both),
        "dense": gap(one, two),
        "masks": all(torch.equal(m, both.masks[n]) for n, m in whole.masks.items()),
        "masked": len(whole.masks),
        "scales": len(scales),
    }


def normalised(ranks: Ranks) -> dict[str, Any]:
    """A BatchNorm and its gradients on two halves, and on the whole."""
    x = torch.randn(7, 4, 3, generator=torch.Generator().manual_seed(3)) * 3 + 1
    weight = torch.randn(7, 4, 3, generator=torch.Generator().manual_seed(4))
    part = ranks.part(7)
    assert part is not None
    one, two = nn.BatchNorm1d(4), nn.BatchNorm1d(4)
    whole, half = x.clone().requires_grad_(), x[part].clone().requires_grad_()
    (one(whole) * weight).sum().backward()
    with shared_batch_norms(two, ranks):
        y = two(half)
    (y * weight[part]).sum().backward()
    assert one.weight.grad is not None and two.weight.grad is not None
    assert whole.grad is not None and half.grad is not None
    slopes = add_up(two.weight.grad.tolist(), ranks)
    return {
        "output": float((y - one(x)[part]).abs().max()),
        "gradient": float((half.grad - whole.grad[part]).abs().max()),
        "weight": float((torch.tensor(slopes) - one.weight.grad).abs().max()),
        "forward_is_back": "forward" not in vars(two),
        "statistics": gap(nn.Sequential(two), nn.Sequential(_after(nn.BatchNorm1d(4), x))),
    }


def _after(norm: nn.BatchNorm1d, x: Tensor) -> nn.BatchNorm1d:
    norm(x)
    return norm


def trained(ranks: Ranks, folder: Path) -> dict[str, Any]:
    """Two epochs on two ranks, on one, and on two that are stopped and go on."""
    one, two = network(), network()
    _loop(one, ALONE, folder / f"alone{ranks.index}").run()
    share_module(two, ranks)
    _loop(two, ranks, folder / "both").run()
    require_same_weights(two, ranks)
    path = folder / "both"
    store = Store(path, identity_of(network(), {}))
    last = sorted(path.glob("*.safetensors"))[-1]
    with together(ranks):
        if ranks.index == 0:
            last.unlink()  # what a run leaves that is killed in the second epoch
    resumed = network()
    start = share_checkpoint(store.begin(resume=True) if ranks.index == 0 else None, ranks)
    assert start is not None
    _loop(resumed, ranks, path).run(start)
    return {
        "gap": gap(one, two),
        "step": start.state["position"]["step"],
        "resumed": gap(two, resumed),
        "moved": gap(two, network()),
        "unused": torch.equal(two.unused.weight, network().unused.weight),
    }


def in_ddp(ranks: Ranks) -> dict[str, Any]:
    """A prepared module in DistributedDataParallel, as a train() of one's own has it."""
    module = sparqc.prepare(
        network(), next(calibration()), calibration=calibration, ranks=ranks, passes="all-sparse"
    )
    before = module.body.conv1.weight.detach().clone()
    inner = nn.parallel.DistributedDataParallel(module)
    optimizer = torch.optim.SGD(inner.parameters(), lr=0.05)
    for x, y in list(batches())[:2]:
        part = ranks.part(len(x))
        usual_loss(inner(x[part]), y[part]).backward()
        optimizer.step()
        optimizer.zero_grad()
    require_same_weights(module, ranks)
    after, mask = module.body.conv1.weight.detach(), module.masks["conv1.weight"]
    return {
        "moved": float((after - before).abs().max()),
        "held": bool((after[~mask] == 0).all()),
        "file": len(sparqc.finish(module).model.graph.node),
    }


def _loop(module: nn.Module, ranks: Ranks, folder: Path, function: Any = batches) -> Loop:
    store = Store(folder, identity_of(network(), {}))
    if ranks.index == 0:
        folder.mkdir(exist_ok=True)
    return Loop(
        stage="sparse",
        module=module,
        teacher=network(9).eval(),
        criterion=usual_loss,
        data=TrainingData(CODE, function, "training() of model.py", 1, 0, ranks),
        recipe=Recipe(epochs=2, lr=0.05),
        ranks=ranks,
        device=torch.device("cpu"),
        store=store,
        display=Display(talks=False),
        batches=3,
        save_every=2,
    )


def refusals(ranks: Ranks, folder: Path) -> dict[str, str]:
    def uneven(rank: int, world: int) -> list[tuple[Tensor, Tensor]]:
        return list(batches())[: 3 - rank]

    def failing(rank: int) -> Iterator[tuple[Tensor, Tensor]]:
        yield from list(batches())[:1]
        if rank:
            raise ValueError("no such image")

    def not_a_number(rank: int) -> Iterator[tuple[Tensor, Tensor]]:
        for x, y in batches():
            yield x * (float("nan") if rank else 1), y

    def other_batches() -> Iterator[tuple[Tensor]]:
        yield from list(calibration())[: 3 - ranks.index]

    def loop(function: Any) -> Callable[[], None]:
        return lambda: _loop(network(), ranks, folder / function.__name__, function).run()

    x = next(calibration())
    data = TrainingData(CODE, uneven, "training() of model.py", 1, 0, ranks)
    other = identity_of(network(ranks.index), {"--lr": 0.1 + ranks.index})
    return {
        "identity": refused(lambda: require_alike(other, ranks)),
        "weights": refused(lambda: require_same_weights(network(ranks.index), ranks)),
        "count": refused(lambda: batches_an_epoch(data)),
        "uneven": refused(loop(uneven)),
        "failing": refused(loop(failing)),
        "nan": refused(loop(not_a_number)),
        "calibration": refused(
            lambda: sparqc.prepare(
                network(), x, calibration=other_batches, passes="int8", ranks=ranks
            )
        ),
    }


def main(path: Path) -> None:
    torch.set_num_threads(1)
    with joined(torch.device("cpu"), minutes=2) as ranks:
        found = {
            "exchange": exchange(ranks),
            "calibrated": calibrated(ranks),
            "normalised": normalised(ranks),
            "trained": trained(ranks, path.parent),
            "ddp": in_ddp(ranks),
            "refusals": refusals(ranks, path.parent),
        }
        texts = ranks.gather(np.frombuffer(json.dumps(found).encode(), np.uint8))
        if ranks.index == 0:
            path.write_text(json.dumps([json.loads(t.tobytes()) for t in texts]))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
