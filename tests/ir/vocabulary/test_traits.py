"""Each row has the traits that it declares, in both of its forms, and a false one is found out."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pytest

from sparqc.errors import UsageError
from sparqc.ir.graph import Array
from sparqc.ir.vocabulary.operator import Operator, Sample
from sparqc.ir.vocabulary.table import OperatorTable, default_table
from sparqc.ir.vocabulary.traits import DATA, TRAITS, Trait
from tests.ir.instances import graph_of, only_node, run

TABLE = default_table()
ROWS = [TABLE.require(name) for name in TABLE.names]
#: What is added to products.
ADDED = ("c", "mask")


class Instance:
    """A random instance of a row at one level, to run with other numbers."""

    def __init__(self, row: Operator, level: str, rng: np.random.Generator) -> None:
        assert row.sample is not None
        self.row, self.level, self.rng, self.sample = row, level, rng, row.sample(rng)
        self.table = OperatorTable([row])

    def __call__(self, changed: Mapping[str, Any] | None = None) -> list[Array]:
        operands = {**self.sample.operands, **(changed or {})}
        sample = dataclasses.replace(self.sample, operands=operands)
        graph, feeds = graph_of(self.row, sample, self.level, self.table)  # type: ignore[arg-type]
        return run(graph, feeds, self.table)

    def mapped(self, change: Callable[[Array], Array], slots: tuple[str, ...] = DATA) -> Any:
        """The operands of these names, each array of them changed."""

        def of(operand: Any) -> Any:
            if isinstance(operand, list):
                return [of(item) for item in operand]
            return operand if operand is None else change(operand).astype(operand.dtype)

        return {s: of(v) for s, v in self.sample.operands.items() if s in slots}

    @property
    def x(self) -> Array:
        """The first operand."""
        return next(iter(self.sample.operands.values()))  # type: ignore[return-value]

    @property
    def shifted(self) -> Callable[[Array], Array]:
        """Numbers of both signs at random, whichever the sample has."""
        return lambda a: a if a.dtype == bool else self.rng.normal(0, 3, a.shape)


def same(left: list[Array], right: list[Array], exact: bool = False) -> None:
    tolerance = {} if exact else {"rtol": 1e-4, "atol": 1e-5}
    for a, b in zip(left, right, strict=True):
        assert a.shape == b.shape
        (np.testing.assert_array_equal if exact else np.testing.assert_allclose)(a, b, **tolerance)


def commutes(at: Instance, g: Callable[[Array], Array]) -> None:
    same(at(at.mapped(g)), [g(y).astype(y.dtype) for y in at()], exact=True)


def contracts(at: Instance) -> None:
    """The sum of what ones give is the number of products, where none is padded, scaled, added."""
    plain = {"pads": 0, "output_padding": 0, "alpha": 1.0, "beta": 1.0}
    given = {**at.row.attributes, **at.sample.attributes}
    attributes = {
        k: (plain[k],) * len(v) if isinstance(v, tuple) else plain[k]
        for k, v in given.items()
        if k in plain
    }
    ones = at.mapped(np.ones_like, ("x", "xs", "a", "b", "w", "q", "k", "v"))
    added = {s: v if v is None else np.zeros_like(v) for s, v in at.mapped(np.copy, ADDED).items()}
    if "w" in ones:
        added["b"] = None
    at.sample = Sample(
        {**at.sample.operands, **ones, **added}, {**at.sample.attributes, **attributes}
    )
    graph, feeds = graph_of(at.row, at.sample, at.level, at.table)  # type: ignore[arg-type]
    assert at.row.macs is not None
    found = at.row.macs(only_node(graph))
    if at.row.name in (
        "nn.attention",
        "nn.attention_by_heads",
    ):  # a softmax lies between its two products
        q, k, v = (np.shape(at.sample.operands[slot]) for slot in "qkv")
        assert found == np.prod(q[:-1]) * k[-2] * (q[-1] + v[-1])
    else:
        assert found == sum(y.sum() for y in run(graph, feeds, at.table))


def weighted(at: Instance) -> None:
    """A channel of the weight changes a channel of the result, and no other."""
    assert at.row.weight is not None
    graph, _ = graph_of(at.row, at.sample, at.level, at.table)  # type: ignore[arg-type]
    axis, slot = at.row.weight.channel_axis(only_node(graph)), at.row.weight.operand
    weight = np.asarray(at.sample.operands[slot])
    changed = np.moveaxis(weight.copy(), axis, 0)
    changed[0] += 1
    before, after = at()[0], at({slot: np.moveaxis(changed, 0, axis)})[0]
    assert (before != after).any() and (before == after).any()


def elementwise(at: Instance) -> None:
    """All operands, stretched to the result and flattened, give it flattened."""
    (y,) = at()
    stretched = {
        slot: None if value is None or np.ndim(value) == 0 else np.broadcast_to(value, y.shape)
        for slot, value in at.sample.operands.items()
    }
    order = at.rng.permutation(y.size)
    flat = {s: v.reshape(-1)[order].copy() for s, v in stretched.items() if v is not None}
    (row,) = at(flat)
    np.testing.assert_allclose(row, y.reshape(-1)[order], rtol=1e-5, atol=1e-6)


def equivariant(at: Instance) -> None:
    (y,) = at()
    for back in range(1, y.ndim + 1):
        order = at.rng.permutation(y.shape[-back])
        moved = {
            s: v.take(order, -back) if np.ndim(v) >= back and np.shape(v)[-back] > 1 else v
            for s, v in at.sample.operands.items()
        }  # type: ignore[union-attr]
        same(at(moved), [y.take(order, -back)])


def view(at: Instance) -> None:
    same([y.reshape(-1) for y in at()], [at.x.reshape(-1)], exact=True)


def converts(at: Instance) -> None:
    same(at(), [at.x.astype(y.dtype) for y in at()], exact=True)


def spatial(at: Instance) -> None:
    n, c = (at.rng.permutation(size) for size in at.x.shape[:2])
    (y,) = at()
    same(at({"x": at.x[n][:, c]}), [y[n][:, c]])
    other = at.x.copy()
    other[0, 0] = at.shifted(other[0, 0])
    changed = at({"x": other})[0] != y
    changed[0, 0] = False
    assert not changed.any()


def reduces(at: Instance) -> None:
    axes, keepdims = at.sample.attributes["axes"], at.sample.attributes["keepdims"]
    kept = [a for a in range(at.x.ndim) if a not in axes]  # type: ignore[operator]
    flat = at.x.transpose([*kept, *axes]).reshape(*(at.x.shape[a] for a in kept), -1)  # type: ignore
    mixed = flat.take(at.rng.permutation(flat.shape[-1]), -1)
    shape = [at.x.shape[a] for a in (*kept, *axes)]  # type: ignore[misc]
    back = mixed.reshape(shape).transpose(np.argsort([*kept, *axes]))  # type: ignore[misc]
    same(at({"x": back.copy()}), at())
    sizes = [1 if a in axes else s for a, s in enumerate(at.x.shape) if keepdims or a in kept]  # type: ignore
    assert all(list(y.shape) == sizes for y in at())


def homogeneous(at: Instance) -> None:
    for factor in (0.25, 4.0):  # in binary no number is rounded
        same(at(at.mapped(lambda a, f=factor: a * f)), [y * factor for y in at()])  # type: ignore[misc]


def monotone(at: Instance) -> None:
    """Where some numbers grow, by a little or by much."""
    operands = at.sample.operands
    at.sample = dataclasses.replace(at.sample, operands={**operands, **at.mapped(lambda a: a * 3)})
    for step in (0.1, 1.0, 9.0):
        larger = at.mapped(lambda a, step=step: a + step * at.rng.integers(0, 2, a.shape))  # type: ignore[misc]
        for low, high in zip(at(), at(larger), strict=True):
            assert (high >= low - 1e-6).all()


def nonnegative(at: Instance) -> None:
    for y in at(at.mapped(at.shifted)):
        assert not (y < 0).any()


def keeps_type(at: Instance) -> None:
    for y in at():
        assert (y.dtype, y.shape) == (at.x.dtype, at.x.shape)


def random(at: Instance) -> None:
    assert any((a != b).any() for a, b in zip(at(), at(), strict=True))


PROPERTIES: dict[Trait, Callable[[Instance], None]] = {
    "contracts": contracts, "weighted": weighted, "elementwise": elementwise,
    "equivariant": equivariant, "view": view, "converts": converts, "spatial": spatial,
    "reduces": reduces, "homogeneous": homogeneous, "monotone": monotone,
    "nonnegative": nonnegative, "keeps_type": keeps_type, "random": random,
    "selects": lambda at: commutes(at, lambda a: np.where(a < 0.5, a / 2, a * 4) + 1),
    "moves": lambda at: commutes(at, lambda a: np.cos(5 * a) if a.dtype.kind == "f" else 1 - a),
}  # fmt: skip


def instances(row: Operator) -> Iterator[Instance]:
    for level in ("fx", "onnx"):
        for seed in range(6) if row.form(level) else ():  # type: ignore[arg-type]
            yield Instance(row, level, np.random.default_rng([seed, *row.name.encode()]))


def test_every_trait_has_a_property() -> None:
    assert set(PROPERTIES) == set(TRAITS)


@pytest.mark.parametrize("trait", TRAITS)
def test_rows_have_what_they_declare(trait: Trait) -> None:
    for row in (row for row in ROWS if trait in row.traits):
        for at in instances(row):
            try:
                PROPERTIES[trait](at)
            except AssertionError as error:
                raise AssertionError(f"{row.name} on {at.level} is not {trait}") from error


@pytest.mark.parametrize(
    ("name", "trait"),
    [
        ("nn.conv", "elementwise"), ("nn.softmax", "elementwise"), ("nn.max_pool", "equivariant"),
        ("nn.relu", "selects"), ("nn.average_pool", "selects"), ("nn.max_pool", "moves"),
        ("nn.reduce_max", "moves"), ("nn.transpose", "view"), ("nn.neg", "converts"),
        ("nn.cumsum", "spatial"), ("nn.var", "homogeneous"), ("nn.sigmoid", "homogeneous"),
        ("nn.neg", "monotone"), ("nn.hardswish", "monotone"), ("nn.elu", "nonnegative"),
        ("nn.cast", "keeps_type"), ("nn.reduce_sum", "keeps_type"), ("nn.relu", "random"),
    ],
)  # fmt: skip
def test_a_trait_that_a_row_has_not_is_found_out(name: str, trait: Trait) -> None:
    """Had the row declared it, the test above would fail."""
    with pytest.raises((AssertionError, ValueError, KeyError)):
        for at in instances(TABLE.require(name)):
            PROPERTIES[trait](at)


@pytest.mark.parametrize("wrong", [lambda n: 1, lambda n: 0])
def test_a_wrong_formula_is_found_out(wrong: Callable[..., int]) -> None:
    row = dataclasses.replace(TABLE.require("nn.conv"), macs=wrong)
    with pytest.raises(AssertionError):
        for at in instances(row):
            contracts(at)


def test_one_trait_brings_others() -> None:
    row = Operator("toy.turned", "x, upside down.", (), traits=("view",))
    assert row.traits == {"view", "moves", "selects", "homogeneous", "monotone"}
    assert TABLE.has("nn.conv", "weighted", "contracts")
    assert not TABLE.has("nn.conv", "weighted", "moves")
    assert not TABLE.has("onnx.Shape", "moves")


def test_a_word_that_is_no_trait_is_refused() -> None:
    with pytest.raises(UsageError, match=r"toy.turned.*'move'") as caught:
        Operator("toy.turned", "x.", (), traits=("move",))  # type: ignore[arg-type]
    assert "moves" in str(caught.value.hint)


def test_who_contracts_says_how_much() -> None:
    with pytest.raises(UsageError, match=r"toy.product.*formula"):
        Operator("toy.product", "x.", (), traits=("contracts",))
