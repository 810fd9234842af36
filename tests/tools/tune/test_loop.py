"""The default loop: it learns, and what it ends with does not depend on where it was stopped."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sparqc.errors import SparqcError
from sparqc.ranks.ranks import ALONE
from sparqc.tools.model.user_code import UserCode
from sparqc.tools.tune.data import TrainingData
from sparqc.tools.tune.display import Display
from sparqc.tools.tune.identity import identity_of
from sparqc.tools.tune.interrupt import Interrupted
from sparqc.tools.tune.loop import Loop
from sparqc.tools.tune.loss import usual_loss
from sparqc.tools.tune.optimizer import make_optimizer
from sparqc.tools.tune.recipe import Recipe
from sparqc.tools.tune.state.store import Store

HERE = Path(__file__).parent
CODE = UserCode("model.py", HERE, HERE, first=False)
RECIPE = Recipe(epochs=3, lr=0.05)


class Net(nn.Module):
    """Dropout and BatchNorm: their random numbers and statistics are part of the state."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.drop = nn.Dropout(0.2)
        self.head = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.drop(torch.relu(self.norm(self.conv(x)))).mean((2, 3)))


def samples(count: int = 40) -> tuple[Tensor, Tensor]:
    """Four classes that differ in their mean."""
    generator = torch.Generator().manual_seed(1)
    y = torch.arange(count) % 4
    x = torch.randn(count, 2, 6, 6, generator=generator) / 2
    return x + torch.stack([y % 2, y // 2], 1)[..., None, None], y


def labelled() -> Iterator[tuple[Tensor, Tensor]]:
    x, y = samples()
    for rows in torch.randperm(len(x)).split(8):
        yield x[rows] + torch.rand(1) / 10, y[rows]


def unlabelled() -> Iterator[tuple[Tensor]]:
    for x, _ in labelled():
        yield (x,)


def network() -> nn.Module:
    torch.manual_seed(5)
    return Net()


def loop(
    folder: Path,
    function: Callable[[], Any] = labelled,
    recipe: Recipe = RECIPE,
    teacher: nn.Module | None = None,
    **more: Any,
) -> Loop:
    module = network()
    teacher = teacher or network()
    data = TrainingData(CODE, function, "training() of model.py", 1, recipe.seed)
    return Loop(
        stage="sparse",
        module=module,
        teacher=teacher.eval(),
        criterion=usual_loss,
        data=data,
        recipe=recipe,
        ranks=ALONE,
        device=torch.device("cpu"),
        store=Store(folder, identity_of(module, recipe.to_json())),
        display=Display(),
        batches=data.count(),
        **more,
    )


def weights(module: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return all(torch.equal(one[name], other[name]) for name in {**one, **other})


def trained(folder: Path, **more: Any) -> nn.Module:
    made = loop(folder, **more)
    made.run(made.store.begin(resume=False))
    return made.module


# -- learning ----------------------------------------------------------------------------------


def accuracy(module: nn.Module) -> float:
    x, y = samples()
    return (module.eval()(x).argmax(1) == y).float().mean().item()


def test_it_learns_from_labels(tmp_path: Path) -> None:
    recipe = replace(RECIPE, epochs=8, lr=0.2, distill=0.0)
    assert accuracy(network()) < 0.5
    assert accuracy(trained(tmp_path, recipe=recipe)) > 0.9


def test_it_learns_from_the_dense_model_alone(tmp_path: Path) -> None:
    teacher = trained(tmp_path / "teacher", recipe=replace(RECIPE, epochs=8, lr=0.2, distill=0.0))
    recipe = replace(RECIPE, epochs=8, lr=0.2)
    made = trained(tmp_path / "b", recipe=recipe, teacher=teacher, function=unlabelled)
    assert accuracy(made) > 0.9


def test_it_learns_in_bfloat16(tmp_path: Path) -> None:
    recipe = replace(RECIPE, epochs=8, lr=0.2, distill=0.0, autocast=True)
    module = trained(tmp_path, recipe=recipe)
    assert accuracy(module) > 0.9
    assert all(p.dtype == torch.float32 for p in module.parameters())


def test_each_epoch_has_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trained(tmp_path)
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(":")[0] for line in lines] == [f"sparse epoch {n}/3" for n in (1, 2, 3)]
    assert "loss " in lines[0] and "learning rate 0." in lines[0] and "samples/s" in lines[0]


def test_biases_norms_and_scales_do_not_decay() -> None:
    module = network()
    module.scale = nn.Parameter(torch.ones(()))
    decaying, other = make_optimizer(module, RECIPE).param_groups
    names = {id(p): n for n, p in module.named_parameters()}
    assert {names[id(p)] for p in decaying["params"]} == {"conv.weight", "head.weight"}
    assert decaying["weight_decay"] == RECIPE.weight_decay and other["weight_decay"] == 0
    assert len(other["params"]) == 5


# -- stopping and going on ---------------------------------------------------------------------


class Killed(BaseException):
    """Stands for SIGKILL: nothing in the loop sees it coming."""


def killed_at(step: int, folder: Path, **more: Any) -> None:
    """Run a loop that ends within a step, and leave its folder."""
    made = loop(folder, **more)
    forward, calls = made.module.forward, iter(range(step, -1, -1))

    def counted(x: Tensor) -> Tensor:
        if not next(calls):
            raise Killed
        return forward(x)

    made.module.forward = counted  # type: ignore[method-assign]
    with pytest.raises(Killed):
        made.run(made.store.begin(resume=False))


@pytest.mark.parametrize("step", [0, 1, 4, 5, 7, 14])
def test_a_run_that_was_killed_ends_with_the_same_bits(step: int, tmp_path: Path) -> None:
    whole = weights(trained(tmp_path / "whole"))
    killed_at(step, tmp_path / "killed", save_every=2)
    resumed = loop(tmp_path / "killed", save_every=2)
    resumed.run(resumed.store.begin(resume=True))
    assert same(weights(resumed.module), whole)


class Interrupting:
    """The batches of an epoch; Ctrl-C is pressed while the fourth is read."""

    def __len__(self) -> int:
        return 5  # so that nobody has to read them to know

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for index, batch in enumerate(labelled()):
            if index == 3:
                os.kill(os.getpid(), signal.SIGINT)
            yield batch


def test_ctrl_c_ends_the_step_and_keeps_the_state(tmp_path: Path) -> None:
    whole = weights(trained(tmp_path / "whole"))
    with pytest.raises(Interrupted, match="stopped behind step 3 of the stage sparse") as caught:
        trained(tmp_path / "stopped", function=Interrupting)
    assert caught.value.exit_code == 130 and "--resume" in str(caught.value)
    resumed = loop(tmp_path / "stopped")
    resumed.run(resumed.store.begin(resume=True))
    assert same(weights(resumed.module), whole)


def test_other_batches_than_before_are_noted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    killed_at(7, tmp_path, save_every=1)
    other = loop(tmp_path, lambda: [(x + 1, y) for x, y in labelled()])
    other.run(other.store.begin(resume=True))
    assert "gives other batches than in the run that is resumed" in capsys.readouterr().err


def test_another_number_of_batches_is_refused(tmp_path: Path) -> None:
    killed_at(7, tmp_path, save_every=1)
    other = loop(tmp_path, lambda: list(labelled())[:4])
    with pytest.raises(SparqcError, match="gives 4 batches an epoch, and gave 5 in the run"):
        other.run(other.store.begin(resume=True))


# -- what goes wrong ---------------------------------------------------------------------------


def test_a_loss_that_is_not_finite_stops_the_run_at_its_step(tmp_path: Path) -> None:
    def training() -> Iterator[tuple[Tensor, Tensor]]:
        for index, (x, y) in enumerate(labelled()):
            yield (x * float("nan") if index == 3 else x), y

    with pytest.raises(SparqcError) as caught:
        trained(tmp_path, function=training, save_every=1)
    assert "the loss is nan in step 4 of the stage sparse (epoch 1, batch 4)" in str(caught.value)
    assert "at a learning rate of 0.0" in str(caught.value)
    assert "its inputs hold numbers that are NaN or infinite" in str(caught.value)
    kept = loop(tmp_path).store.begin(resume=True)
    assert kept is not None and kept.state["position"]["step"] == 3
    assert all(t.isfinite().all() for t in kept.tensors.values())


class Broken(Net):
    """A dense model whose outputs are no numbers."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * float("inf")


def test_a_dense_model_that_gives_no_numbers_is_told(tmp_path: Path) -> None:
    with pytest.raises(SparqcError) as caught:
        trained(tmp_path, teacher=Broken())
    assert "the loss is nan in step 1" in str(caught.value)
    assert "the dense model gives NaN or infinite numbers for it" in str(caught.value)


def test_a_target_that_is_no_number_is_told(tmp_path: Path) -> None:
    def training() -> list[tuple[Tensor, Tensor]]:
        return [(x, torch.full((len(y), 4), float("nan"))) for x, y in labelled()]

    with pytest.raises(SparqcError, match="its target holds numbers that are NaN"):
        trained(tmp_path, function=training)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda y: y.float(), "class indices are integers, target.long()"),
        (lambda y: y.bool(), "class indices are integers, target.long()"),
        (lambda y: y.to(torch.complex64), "class indices are integers, target.long()"),
        (lambda y: y[:, None], "class indices have no axis of their own, target.squeeze(1)"),
        (lambda y: torch.eye(4)[y].long(), "give class indices, target.argmax(1)"),
        (lambda y: y[:-1], "and a target of int64[7]"),
        (lambda y: y.tolist(), "gave (Tensor, list) as batch 1"),
        (lambda y: None, "gave (Tensor, NoneType) as batch 1"),
    ],
)
def test_labels_of_another_type_are_refused(
    change: Callable[[Tensor], object], said: str, tmp_path: Path
) -> None:
    with pytest.raises(SparqcError) as caught:
        trained(tmp_path, function=lambda: [(x, change(y)) for x, y in labelled()])
    assert said in str(caught.value)


@pytest.mark.parametrize("dtype", [torch.int32, torch.uint8, torch.int16])
def test_labels_may_be_any_integers(dtype: torch.dtype, tmp_path: Path) -> None:
    recipe = replace(RECIPE, epochs=8, lr=0.2, distill=0.0)

    def training() -> Iterator[tuple[Tensor, Tensor]]:
        return ((x, y.to(dtype)) for x, y in labelled())

    assert accuracy(trained(tmp_path, function=training, recipe=recipe)) > 0.9


def test_a_loss_without_labels_needs_outputs_to_compare(tmp_path: Path) -> None:
    made = loop(tmp_path, unlabelled)
    made.module = nn.Sequential(nn.Flatten(), nn.Linear(72, 4))
    forward = made.module.forward
    made.module.forward = lambda x: forward(x).argmax(1)  # type: ignore[method-assign]
    with pytest.raises(SparqcError, match="gives no floating-point tensor"):
        made.teacher = made.module
        made.run()


def test_a_target_that_fits_no_usual_loss_asks_for_one(tmp_path: Path) -> None:
    made = loop(tmp_path, lambda: [(x, y.float()) for x, y in labelled()])
    with pytest.raises(SparqcError, match="add loss") as caught:
        made.run()
    assert "outputs of shape [8, 4] and a target of float32[8]" in str(caught.value)


def test_a_batch_that_the_model_does_not_take_is_named(tmp_path: Path) -> None:
    made = loop(tmp_path, lambda: [(x[:, :1], y) for x, y in labelled()])
    with pytest.raises(SparqcError) as caught:
        made.run()
    assert "the model fails in train mode on batch 1 of epoch 1" in str(caught.value)
    assert "(float32[8,1,6,6], target int64[8]): Given groups=1" in str(caught.value)


def test_a_class_that_the_model_does_not_know_is_named(tmp_path: Path) -> None:
    made = loop(tmp_path, lambda: [(x, y + 9) for x, y in labelled()])
    with pytest.raises(SparqcError, match=r"on batch 1 of epoch 1 .*: Target .* is out of bounds"):
        made.run()


class Auxiliary(Net):
    """Gives a second output in train mode only."""

    def forward(self, x: Tensor) -> Any:
        y = super().forward(x)
        return (y, 2 * y) if self.training else y


def test_outputs_of_train_mode_alone_cannot_be_held_against_the_dense_model(tmp_path: Path) -> None:
    made = loop(tmp_path, unlabelled, teacher=Auxiliary())
    made.module = Auxiliary()
    with pytest.raises(SparqcError, match=r"in train mode the model gives \[8, 4\], \[8, 4\], in"):
        made.run()


def test_state_that_is_no_tensor_is_refused() -> None:
    class Counting(Net):
        def get_extra_state(self) -> object:
            return {"steps": 3}

    with pytest.raises(SparqcError, match="keeps a dict in its state_dict"):
        identity_of(Counting(), {})


# -- how it steps ------------------------------------------------------------------------------


class Plain(nn.Module):
    """Neither dropout nor BatchNorm: nothing depends on how a batch is cut."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(5)
        self.conv = nn.Conv2d(2, 8, 3, padding=1)
        self.head = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.relu(self.conv(x)).mean((2, 3)))


@pytest.mark.parametrize("parts", [3, 8, 100])
def test_a_batch_in_parts_gives_the_step_of_the_whole(parts: int, tmp_path: Path) -> None:
    found = []
    for count in (1, parts):
        recipe = replace(RECIPE, accumulate=count, distill=0.0)
        made = loop(tmp_path / str(count), recipe=recipe)
        made.module = Plain()
        forward, sizes = made.module.forward, []
        made.module.forward = lambda x, f=forward, s=sizes: s.append(len(x)) or f(x)
        made.run(made.store.begin(resume=False))
        assert sum(sizes) == 3 * 40 and max(sizes) == -(-8 // count)
        found.append(weights(made.module))
    for name, tensor in found[0].items():
        torch.testing.assert_close(found[1][name], tensor, rtol=1e-5, atol=1e-6)


def test_adamw_learns(tmp_path: Path) -> None:
    recipe = replace(RECIPE, epochs=8, lr=0.02, optimizer="adamw", distill=0.0)
    assert accuracy(trained(tmp_path, recipe=recipe)) > 0.9


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_a_killed_run_goes_on_with_its_moments_and_its_average(
    optimizer: Any, tmp_path: Path
) -> None:
    recipe = replace(RECIPE, optimizer=optimizer, ema=0.8, accumulate=2)
    whole = weights(trained(tmp_path / "whole", recipe=recipe))
    killed_at(13, tmp_path / "killed", save_every=2, recipe=recipe)  # two parts a step
    resumed = loop(tmp_path / "killed", recipe=recipe, save_every=2)
    resumed.run(resumed.store.begin(resume=True))
    assert same(weights(resumed.module), whole)


def test_a_stage_ends_with_the_moving_average(tmp_path: Path) -> None:
    seen: list[dict[str, Tensor]] = []
    made = loop(tmp_path, recipe=replace(RECIPE, epochs=1, ema=0.75))
    made.module.register_forward_pre_hook(lambda module, _: seen.append(weights(module)))
    made.run()
    last = weights(trained(tmp_path / "last", recipe=replace(RECIPE, epochs=1)))
    states = [*seen[1:], last]  # behind each step
    for name, tensor in weights(made.module).items():
        if tensor.is_floating_point():
            expected = states[0][name]
            for state in states[1:]:
                expected = 0.75 * expected + 0.25 * state[name]
            torch.testing.assert_close(tensor, expected)
    assert not same(weights(made.module), last)


@pytest.mark.parametrize(("count", "said"), [(4, "gave 4 batches"), (6, "gave more batches")])
def test_a_schedule_of_another_length_is_refused(count: int, said: str, tmp_path: Path) -> None:
    class Lying:
        def __len__(self) -> int:
            return 5

        def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
            return iter([*labelled(), *labelled()][:count])

    with pytest.raises(SparqcError) as caught:
        trained(tmp_path, function=Lying)
    assert f"{said} in epoch 1, where 5 were announced: the learning rate" in str(caught.value)
