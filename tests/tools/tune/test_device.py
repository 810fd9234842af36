"""The device handling of a run, without the device.

What goes to a GPU goes to torch's `meta` device instead, where tensors have shapes and no numbers,
and where a step in which one of them meets a tensor of the CPU fails as it would on a GPU.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

import sparqc
from sparqc.errors import SparqcError
from sparqc.ranks.ranks import ALONE
from sparqc.tools.model.user_code import UserCode
from sparqc.tools.tune.data import TrainingData
from sparqc.tools.tune.display import Display
from sparqc.tools.tune.identity import identity_of
from sparqc.tools.tune.loop import Loop
from sparqc.tools.tune.loss import usual_loss
from sparqc.tools.tune.processes.group import local_device
from sparqc.tools.tune.recipe import Recipe
from sparqc.tools.tune.state.checkpoint import Checkpoint
from sparqc.tools.tune.state.position import Position, pack
from sparqc.tools.tune.state.store import Store
from tests.networks_of_training import batch, calibration, example, network

HERE = Path(__file__).parent
GPU = torch.device("cuda", 0)


class Pretend(TorchFunctionMode):
    """Puts on `meta` what is meant for a GPU, and reads ones from there."""

    def __torch_function__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), given: Any = None
    ) -> Any:
        given = {name: self._moved(value) for name, value in (given or {}).items()}
        first = args[0] if args else None
        if isinstance(first, Tensor) and first.is_meta and function is Tensor.tolist:
            return torch.ones(first.shape).tolist()
        if function is Tensor.to:
            args = tuple(map(self._moved, args))
        return function(*args, **given)

    def _moved(self, value: Any) -> Any:
        gpu = isinstance(value, torch.device) and value.type == "cuda"
        return torch.device("meta") if gpu else value


def batches() -> Iterator[tuple[Tensor, Tensor]]:
    yield from (batch(seed, 8) for seed in range(3))


def sparse() -> nn.Module:
    return sparqc.sparsify(network(), example(), passes="all-sparse")


def prepared(learned: bool = False) -> nn.Module:
    return sparqc.prepare(
        network(),
        example(),
        calibration=calibration,
        learned_scales=learned,
        passes="all-sparse",
    )


def loop(module: nn.Module, folder: Path, **wishes: Any) -> Loop:
    return Loop(
        stage="sparse",
        module=module.to(GPU),
        teacher=network().to(GPU),
        criterion=usual_loss,
        data=TrainingData(UserCode("model.py", HERE, HERE, first=False), batches, "training()", 1),
        recipe=Recipe(epochs=2, lr=0.01, ema=0.9, accumulate=2, **wishes),
        ranks=ALONE,
        device=GPU,
        store=Store(folder, identity_of(network(), {})),
        display=Display(talks=False),
        batches=3,
    )


def on_gpu(tensors: Any) -> bool:
    return all(t.is_meta for t in tensors)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("autocast", [False, True])
@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize("make", [sparse, prepared, lambda: prepared(learned=True)])
def test_a_step_on_a_gpu_is_on_the_gpu(
    make: Any, optimizer: Any, autocast: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, kept = make(), []
    monkeypatch.setattr(Store, "save", lambda *found: kept.append(found[-1]))
    start = pack(module, torch.optim.SGD(module.parameters()), Position(), {"batches": 3}, {})
    with Pretend():
        made = loop(module, tmp_path, optimizer=optimizer, autocast=autocast)
        made.run(start)
    assert kept and isinstance(kept[-1], Checkpoint)
    state = kept[-1].tensors
    assert on_gpu(tensor for name, tensor in state.items() if not name.endswith("/step"))
    assert {name.partition("/")[0] for name in state} == {"module", "optimizer", "average"}
    assert on_gpu(parameter.grad for parameter in module.parameters() if parameter.requires_grad)


@pytest.mark.filterwarnings("ignore")
def test_a_checkpoint_goes_on_on_the_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[Checkpoint] = []
    monkeypatch.setattr(Store, "save", lambda *found: kept.append(found[-1]))
    with Pretend():
        first = loop(sparse(), tmp_path, optimizer="adamw")
        first.run()
        # What a file gives lies on the CPU.
        tensors = {n: torch.zeros(t.shape, dtype=t.dtype) for n, t in kept[1].tensors.items()}
        again = loop(sparse(), tmp_path, optimizer="adamw")
        again.run(Checkpoint(tensors, kept[1].state))
    for state in again.optimizer.state.values():
        assert on_gpu([state["exp_avg"], state["exp_avg_sq"]])
        assert state["step"].device.type == "cpu"  # as torch counts them


def test_a_batch_that_stays_behind_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Store, "save", lambda *_: None)
    monkeypatch.setattr("sparqc.tools.tune.data.TrainingBatch.to", lambda self, _: self)
    with Pretend(), pytest.raises(SparqcError, match="the model fails in train mode"):
        loop(network(), tmp_path).run()


@pytest.mark.parametrize(("wish", "index"), [("auto", 3), ("cuda", 3), ("cuda:1", 1)])
def test_a_process_takes_the_gpu_of_its_local_rank(
    wish: str, index: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen: list[torch.device] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    monkeypatch.setenv("LOCAL_RANK", "3")
    with Pretend():
        assert local_device(wish) == torch.device("cuda", index)
    assert chosen == ([] if wish == "cuda:1" else [torch.device("cuda", 3)])


def test_without_a_gpu_it_is_the_cpu_or_an_error() -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    assert local_device("auto") == torch.device("cpu")
    with pytest.raises(SparqcError, match="--device cuda cannot be used: torch finds no GPU"):
        local_device("cuda")
