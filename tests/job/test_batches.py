"""Example inputs and calibration batches, in all the forms in which a person has them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

import sparqc
from sparqc.errors import SparqcError, UsageError


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 16, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x).relu()


class Batches(Dataset[tuple[Tensor]]):
    """A dataset of whole batches that knows no end but its length."""

    def __len__(self) -> int:
        return len(BATCHES)

    def __getitem__(self, index: int) -> tuple[Tensor]:
        return BATCHES[index % len(BATCHES)]


X = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
BATCHES = [(X[:2],), (X[2:],)]


@pytest.fixture(scope="module")
def net() -> nn.Module:
    torch.manual_seed(0)
    return Net().eval()


def compiled(model: nn.Module, inputs: Any, calibration: Any, passes: str = "int8") -> bytes:
    made = sparqc.compile(model, inputs, calibration=calibration, passes=passes)
    return made.model.SerializeToString()  # type: ignore[no-any-return]


def fresh() -> Iterator[tuple[Tensor]]:
    yield from BATCHES


# -- calibration ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "calibration",
    [
        BATCHES,
        tuple(BATCHES),
        [X[:2], X[2:]],
        [{"x": X[:2]}, {"x": X[2:].numpy()}],
        DataLoader(TensorDataset(X), batch_size=2),
        Batches(),
        fresh,
        lambda: BATCHES,
        lambda: DataLoader(TensorDataset(X), batch_size=2),
    ],
    ids=["list", "tuple", "bare", "named", "loader", "dataset", "generator", "function", "loaders"],
)
def test_whatever_can_be_walked_again_is_calibration_data(net: nn.Module, calibration: Any) -> None:
    # Two passes of this preset need the data.
    expected = compiled(net, (X,), lambda: list(BATCHES), "int8-accurate")
    assert compiled(net, (X,), calibration, "int8-accurate") == expected


@pytest.mark.parametrize(
    ("calibration", "says"),
    [
        (fresh(), "calibration is a generator, which can be walked only once"),
        (iter(BATCHES), "calibration is a list_iterator, which can be walked only once"),
        (X, "calibration is no batches, but one Tensor"),
        (X.numpy(), "calibration is no batches, but one ndarray"),
        ({"x": X}, "calibration is no batches, but one dict"),
        ("images.npz", "calibration is no batches, but one str"),
        (3, "calibration takes batches, not a value of type int"),
    ],
)
def test_what_cannot_be_walked_again_is_refused_before_the_passes(
    net: nn.Module, calibration: Any, says: str
) -> None:
    with pytest.raises(UsageError) as caught:
        compiled(net, (X,), calibration)
    assert says.replace("only once", "once only") in str(caught.value)
    assert "calibration=lambda: (batch for batch in …)" in str(caught.value)


def test_a_function_that_gives_one_iterator_is_named(net: nn.Module) -> None:
    used = iter(BATCHES)
    with pytest.raises(UsageError, match="gives one list_iterator each time"):
        compiled(net, (X,), lambda: used, "int8-accurate")


@pytest.mark.parametrize(
    ("batch", "says"),
    [
        ({"images": X}, "a batch has tensors for images; the inputs of the model are x"),
        ({"x": X, "labels": X}, "for x, labels; the inputs of the model are x"),
        ((X, X), "has 2 arrays, the model takes 1: x"),
    ],
)
def test_batches_with_labels_are_refused(net: nn.Module, batch: Any, says: str) -> None:
    with pytest.raises(SparqcError, match=says):
        compiled(net, (X,), [batch])


def test_training_takes_the_same_forms() -> None:
    torch.manual_seed(0)
    wide = nn.Sequential(nn.Conv2d(3, 16, 3), nn.ReLU(), nn.Conv2d(16, 16, 3))
    sparqc.sparsify(wide, (X,), calibration=BATCHES, passes="all-sparse")
    prepared = sparqc.prepare(wide, (X,), calibration=DataLoader(TensorDataset(X), batch_size=2))
    sparqc.recalibrate(prepared, BATCHES)
    assert sparqc.finish(prepared, calibration=BATCHES).difference is not None
    with pytest.raises(UsageError, match="once only"):
        sparqc.recalibrate(prepared, fresh())  # type: ignore[arg-type]


# -- example inputs ---------------------------------------------------------------------------


class Keywords(nn.Module):
    """x by position or keyword, the others by keyword alone."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 16, 3)

    def forward(self, x: Tensor, *, mask: Tensor, shift: Tensor | None = None) -> Tensor:
        y: Tensor = self.conv(x * mask)
        return y if shift is None else y + shift


MASK = torch.ones(4, 1, 8, 8)


def names(made: sparqc.Compiled) -> list[str]:
    return [value.name for value in made.model.graph.input]


def test_inputs_by_keyword_have_their_names_in_the_file() -> None:
    for given in ({"mask": MASK, "x": X}, {"x": X, "mask": MASK}):
        batches = [(X, MASK), {"mask": MASK, "x": X}]
        made = sparqc.compile(Keywords(), given, calibration=batches, passes="int8")
        assert names(made) == ["x", "mask"] and made.difference is not None
        assert made.model.graph.input[1].type.tensor_type.shape.dim[0].dim_param


def test_by_keyword_or_by_position_the_same_file_comes_out(net: nn.Module) -> None:
    assert compiled(net, {"x": X}, BATCHES) == compiled(net, (X,), BATCHES)
    assert compiled(net, X, BATCHES) == compiled(net, (X,), BATCHES)


def test_keywords_of_a_module_that_takes_any() -> None:
    class AnyKeyword(nn.Module):
        def forward(self, **given: Tensor) -> Tensor:
            return given["left"] + given["right"]

    made = sparqc.compile(AnyKeyword(), {"left": X, "right": X}, passes="float")
    assert [name.rpartition("_")[2] for name in names(made)] == ["left", "right"]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"x": X}, "does not take the example inputs x by keyword: missing.*'mask'"),
        ({"x": X, "mask": MASK, "y": X}, "by keyword: got an unexpected keyword argument 'y'"),
        (3, "the example inputs are a value of type int"),
    ],
)
def test_inputs_that_forward_does_not_take_are_refused(given: Any, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        sparqc.compile(Keywords(), given, passes="float")


def test_an_argument_that_is_a_dict_itself() -> None:
    class Pair(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 16, 3)

        def forward(self, pair: dict[str, Tensor]) -> Tensor:
            return self.conv(pair["left"]) + pair["right"].mean()

    pair = {"left": X, "right": X}
    made = sparqc.compile(Pair(), (pair,), calibration=[(pair,)], passes="int8")
    assert len(names(made)) == 2
    with pytest.raises(UsageError, match="one argument that is a dict itself"):
        sparqc.compile(Pair(), pair, passes="float")


def test_training_by_keyword() -> None:
    torch.manual_seed(0)
    given = {"x": X, "mask": MASK}
    prepared = sparqc.prepare(Keywords(), given, calibration=[given], passes="int8", float="fp32")
    prepared(X, mask=MASK).square().mean().backward()
    finished = sparqc.finish(prepared)
    assert finished.difference is not None and finished.difference.max_relative < 1e-4
    assert names(finished) == ["x", "mask"]


def test_inputs_of_an_onnx_model_by_name(net: nn.Module) -> None:
    plain = sparqc.compile(net, (X,), passes="float").model
    made = sparqc.compile(plain, {"x": X}, calibration=BATCHES, passes="int8")
    assert made.difference is not None
    onnx.checker.check_model(made.model)
    with pytest.raises(SparqcError, match="tensors for y; the inputs of the model are x"):
        sparqc.compile(plain, {"y": X}, passes="float")


# -- random calibration -----------------------------------------------------------------------


class Pointers(nn.Module):
    """[N] indices into [N, 10] tables: an index of a row must lie below its own length."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(100, 16)
        self.linear = nn.Linear(16, 16)

    def forward(self, tokens: Tensor, length: Tensor, x: Tensor) -> Tensor:
        last = tokens.gather(1, (length - 5)[:, None])
        return self.linear(self.table(last - 50)).squeeze(1) + x


TOKENS = torch.arange(40).reshape(4, 10) + 50
LENGTH = torch.tensor([5, 7, 9, 14])


def test_random_integers_are_the_examples_own() -> None:
    given = (TOKENS, LENGTH, torch.randn(4, 16))
    made = sparqc.compile(Pointers(), given, passes="int8", random_calibration=True)
    (seen, *_) = list(made.context.calibration())  # type: ignore[misc]
    rows = {tuple(row): size for row, size in zip(TOKENS.tolist(), LENGTH.tolist(), strict=True)}
    assert all(rows[tuple(r)] == s for r, s in zip(seen[0].tolist(), seen[1], strict=True))
    assert not np.array_equal(seen[2], given[2].numpy())
    batches = list(made.context.calibration())  # type: ignore[misc]
    assert any(not np.array_equal(batch[0], TOKENS.numpy()) for batch in batches)


def test_random_integers_of_no_batch_stay_as_they_are() -> None:
    class Edges(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(16, 16)

        def forward(self, x: Tensor, edges: Tensor) -> Tensor:
            return self.linear(x[:, edges[0]] - x[:, edges[1]])

    edges = torch.tensor([[1, 2, 3], [0, 1, 2]])
    given = (torch.randn(4, 5, 16), edges)
    made = sparqc.compile(Edges(), given, passes="int8", random_calibration=True)
    assert all(np.array_equal(b[1], edges.numpy()) for b in made.context.calibration())  # type: ignore[misc]


def test_an_error_on_random_data_says_that_the_data_was_random(net: nn.Module) -> None:
    class Index(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(16, 16)

        def forward(self, x: Tensor) -> Tensor:
            return self.linear(x)[:, x[0, 0].abs().floor().long() * 0 + x[0, :1].long()]

    example = (torch.zeros(4, 16),)
    wishes = {"passes": "int8", "random_calibration": True}
    module = Index()
    with torch.no_grad():
        example[0][:, 1:] = 1

    def far() -> Iterator[tuple[Tensor]]:
        yield (torch.full((4, 16), 99.0),)

    with pytest.raises(SparqcError) as caught:
        sparqc.compile(module, example, calibration=far, passes="int8")
    assert "random calibration data" not in str(caught.value)
    scaled = nn.Sequential(Scale(1e3), module)
    with pytest.raises(SparqcError) as caught:
        sparqc.compile(scaled, example, **wishes)  # type: ignore[arg-type]
    assert "this was random calibration data (batch 1)" in str(caught.value)
    assert "--calibration FILE" in str(caught.value)


class Scale(nn.Module):
    """Zeros stay: random numbers become large indices."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        zero = (x - 1) * x  # of 0 and 1
        return x + zero * self.factor
