"""evaluate(run) on a module and on the ONNX file that was made of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import sparqc
from sparqc.errors import SparqcError
from sparqc.tools.model.evaluation import compare


class Net(nn.Module):
    """Two inputs, and a result of a certain structure."""

    def __init__(self, shape: Callable[[Tensor], object]) -> None:
        super().__init__()
        self.linear, self.shape = nn.Linear(8, 4), shape

    def forward(self, x: Tensor, factor: Tensor) -> object:
        return self.shape(self.linear(x) * factor)


def compiled(net: nn.Module, path: Path, **wishes: object) -> Path:
    inputs = (torch.randn(4, 8), torch.ones(4, 1))
    sparqc.compile(net, inputs, passes="float", **wishes).save(path)
    return path


def gap(net: nn.Module, path: Path, read: Callable[[object], Tensor], batch: int = 3) -> float:
    """The largest difference between the module and the file, both read alike."""
    x, factor = torch.randn(batch, 8), torch.rand(batch, 1)
    seen: list[Tensor] = []

    def evaluate(run: Callable[..., object]) -> dict[str, float]:
        seen.append(read(run(x, factor)))
        return {"sum": seen[-1].sum().item()}

    (metric,) = compare(evaluate, net, path)
    assert metric.name == "sum" and metric.original == pytest.approx(metric.compiled, abs=1e-5)
    return (seen[0] - seen[1]).abs().max().item()


@pytest.mark.parametrize(
    ("shape", "read"),
    [
        (lambda y: y, lambda result: result),
        (lambda y: (y, y + 1), lambda result: result[1]),
        (lambda y: {"logits": y, "count": 3}, lambda result: result["logits"] + result["count"]),
        (lambda y: [{"a": y}, (y * 2,)], lambda result: result[1][0]),
    ],
)
def test_the_file_is_called_like_the_module(
    tmp_path: Path, shape: Callable[[Tensor], object], read: Callable[[object], Tensor]
) -> None:
    net = Net(shape)
    assert gap(net, compiled(net, tmp_path / "net.onnx"), read) < 1e-5


def test_the_module_is_evaluated_as_it_was_before_the_compile(tmp_path: Path) -> None:
    net = nn.Sequential(nn.Conv2d(16, 16, 1), nn.BatchNorm2d(16), nn.Dropout()).eval()
    x = torch.randn(2, 16, 4, 4)
    before = net(x)
    made = sparqc.compile(net, (x,), calibration=lambda: [(x,)])
    made.save(tmp_path / "net.onnx")

    def evaluate(run: Callable[..., Tensor]) -> dict[str, float]:
        return {"moved": (run(x) - before).abs().max().item()}

    (metric,) = compare(evaluate, net, tmp_path / "net.onnx")
    assert metric.original == 0.0
    assert metric.compiled > 0.0  # half of the weights are gone


def test_a_fixed_batch_is_named(tmp_path: Path) -> None:
    net = Net(lambda y: y)
    path = compiled(net, tmp_path / "net.onnx", dynamic_batch=False)
    with pytest.raises(
        SparqcError, match=r"shape \[3, 8\]; the compiled model takes \[4, 8\]"
    ) as e:
        gap(net, path, lambda result: result)
    assert "batches of 4" in e.value.hint
    assert gap(net, path, lambda result: result, batch=4) < 1e-5


def test_a_wrong_number_of_inputs_is_named(tmp_path: Path) -> None:
    net = Net(lambda y: y)
    path = compiled(net, tmp_path / "net.onnx")
    ones = {"original": (torch.ones(1, 8), torch.ones(1, 1)), "compiled": (torch.ones(1, 8),)}
    turn = iter(ones.values())
    with pytest.raises(SparqcError, match="gave 1 inputs; the compiled model takes 2: x, factor"):
        compare(lambda run: {"sum": run(*next(turn)).sum().item()}, net, path)


def test_both_models_have_to_give_the_same_figures(tmp_path: Path) -> None:
    net = Net(lambda y: y)
    path = compiled(net, tmp_path / "net.onnx")
    names = iter("ab")
    with pytest.raises(SparqcError, match=r"gave \['a'\] once and \['b'\] later"):
        compare(lambda run: {next(names): 0.0}, net, path)
