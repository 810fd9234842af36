"""Calibration data in two parts."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparqc.ir.graph import Graph, TensorType
from sparqc.passes.on_data.held_out import LEAST, MOST, Split
from tests.calibration_models import Residual, context, images


@pytest.fixture(params=["fx", "onnx"])
def residual(request: pytest.FixtureRequest) -> Residual:
    return Residual(request.param)


@given(st.lists(st.integers(1, 40), min_size=1, max_size=8))
def test_every_sample_is_fitted_to_or_held_back(sizes: list[int]) -> None:
    residual = Residual("onnx")
    batches = [images(1, size, seed)[0] for seed, size in enumerate(sizes)]
    split = Split(residual.graph, context(batches))
    fitted = [x for _, (x,) in split.fitted()]
    held = [x for (x,) in split.held]
    assert sum(map(len, fitted)) + sum(map(len, held)) == sum(sizes)
    assert split.samples == sum(map(len, held)) <= MOST
    for x in held:
        assert not any(np.array_equal(x[0], image) for part in fitted for image in part)


@pytest.mark.parametrize("shape", [(), (6,), (2, 4)])
def test_batches_that_cannot_be_cut_are_held_back_whole(shape: tuple[int, ...]) -> None:
    graph = Graph("onnx")
    x = graph.add_input("x", TensorType("f32", shape))
    graph.set_outputs([x])
    batches = [[np.full(shape, number, np.float32)] for number in range(1, 9)]
    split = Split(graph, context(batches))
    assert [number for number, _ in split.fitted()] == [1, 2, 3, 5, 6, 7]
    assert split.held == [batches[3], batches[7]]


def test_some_of_what_may_be_fitted_to_walks_no_further_than_needed(residual: Residual) -> None:
    given_ = []

    def batches():  # type: ignore[no-untyped-def]
        for batch in images(50, 16):
            given_.append(batch)
            yield batch

    found = context(batches)
    split = Split(residual.graph, found)
    assert sum(len(x) for (x,) in split.few(24)) == 24
    assert split.samples == MOST
    assert len(given_) == MOST // 4
    assert found.batch == 0


def test_parts_end_behind_so_many_samples_and_hold_some_of_them_back(residual: Residual) -> None:
    split = Split(residual.graph, context(images(10, 16)))
    parts = split.parts(64)
    assert [number for number, _ in parts] == [1, 2, 3, 4]
    assert sum(len(x) for _, (x,) in parts) == 48 and split.samples == 16
    assert split.context.batch == 0


def test_what_is_held_back_is_bounded_and_the_rest_may_be_fitted_to(residual: Residual) -> None:
    split = Split(residual.graph, context(images(20, 16)))
    assert sum(len(x) for _, (x,) in split.parts()) == 20 * 16 - MOST
    assert split.samples == MOST


def test_parts_of_few_samples_are_all_of_them(residual: Residual) -> None:
    given_ = images(LEAST - 1, 4)
    split = Split(residual.graph, context(given_))
    parts = split.parts()
    assert [number for number, _ in parts] == list(range(1, LEAST))
    assert all(np.array_equal(x, y) for (_, (x,)), (y,) in zip(parts, given_, strict=True))
    assert split.held == []
