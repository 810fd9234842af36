"""How long a predicted engine takes, and what is said beside it."""

import pytest

from sparqc.declared.gpus import gpu
from sparqc.predict.engine import PredictedEngine
from sparqc.predict.roofline import estimate
from tests.predict.kernels import SIMPLE, kernel


def engine(*kernels, target="any"):
    return PredictedEngine(target, kernels, ())


def notes(name, target="tensorrt-10"):
    return estimate(engine(kernel(), target=target), gpu(name)).notes


def test_kernels_add_up_in_the_bound_and_in_the_estimate_beside_it():
    one, two = (estimate(engine(*[kernel()] * n), SIMPLE) for n in (1, 2))
    assert (one.least.dense, one.least.sparse) == pytest.approx((3e-3, 2.625e-3))
    assert (one.about.dense, one.about.sparse) == pytest.approx((6e-3, 5.25e-3))
    assert one.memory == pytest.approx(3e-3)
    assert two.about.dense == pytest.approx(2 * one.about.dense)
    assert two.least.sparse == pytest.approx(2 * one.least.sparse)


def test_nothing_waits_for_memory_where_there_is_more_to_multiply():
    assert estimate(engine(kernel(macs=16 * 10**9)), SIMPLE).memory == 0


def test_an_engine_without_layers_that_pay_gains_nothing():
    found = estimate(engine(kernel(sparse_pays=False)), SIMPLE)
    assert found.about.dense == found.about.sparse and found.least.dense == found.least.sparse


def test_the_estimate_lies_above_the_bound():
    found = estimate(engine(kernel()), gpu("a40"))
    assert found.least.dense < found.about.dense and found.least.sparse < found.about.sparse


def test_it_says_whose_constants_these_are():
    assert notes("a40") == ()
    assert notes("l4") == ("constants of Ampere GA102; no witness for Ada",)


def test_it_says_that_a_jetson_needs_another_target():
    said = "it runs JetPack, which TensorRT 11 does not support: take tensorrt-10 or tensorrt-8.6"
    for name in ("orin-agx-64gb", "orin-nano-8gb", "thor-t5000"):
        assert said in notes(name, "tensorrt-11")
        assert not any("JetPack" in note for note in notes(name))
    assert not any("JetPack" in note for note in notes("l4", "tensorrt-11"))


def test_it_says_where_int8_loses_to_fp8_if_anything_runs_in_int8():
    floats = engine(kernel(int8=False))
    assert any("FP8" in note for note in notes("b300"))
    assert not any("FP8" in note for note in estimate(floats, gpu("b300")).notes)


def test_as_data_the_bound_stands_beside_the_estimate():
    data = estimate(engine(kernel()), gpu("a40")).to_json()
    assert data["dense_seconds"] > data["bound"]["dense_seconds"]
    assert data["sparse_seconds"] > data["bound"]["sparse_seconds"]
    assert data["gpu"] == "a40" and data["witness"] and data["notes"] == []
