"""How much nearer one graph is than another, sample by sample, and how sure that is."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparqc.ir.graph import Graph, TensorType
from sparqc.ir.vocabulary.table import default_table
from sparqc.passes.on_data.judge import Gain, Judge, decibels, gain
from tests.calibration_models import Residual, images


@pytest.fixture(params=["fx", "onnx"])
def residual(request: pytest.FixtureRequest) -> Residual:
    return Residual(request.param)


def test_the_noise_of_each_sample(residual: Residual) -> None:
    batches = images(3, 4)
    judge = Judge(residual.graph, batches, default_table())
    assert judge.noise(residual.graph).tolist() == [0.0] * 12
    worse = residual.graph.clone()
    weight = worse.value("conv2.weight")
    assert weight.data is not None
    weight.data = weight.data * np.float32(1.1)
    noise = judge.noise(worse)
    assert noise.shape == (12,)
    assert len(set(noise.tolist())) == 12
    assert 10 < decibels(noise) < 40
    weight.data = np.full_like(weight.data, np.nan)
    assert np.isinf(judge.noise(worse)).all()


def test_both_levels_measure_the_same() -> None:
    found = []
    for level in ("fx", "onnx"):
        residual = Residual(level)
        judge = Judge(residual.graph.clone(), images(2), default_table())
        weight = residual.values["conv1.weight"]
        assert weight.data is not None
        weight.data = np.rint(weight.data * 8) / np.float32(8)
        found.append(judge.noise(residual.graph))
    np.testing.assert_allclose(*found, rtol=1e-3)


@pytest.mark.parametrize("level", ["fx", "onnx"])
def test_each_output_counts_alike_and_integers_not(level: str) -> None:
    graph = Graph(level)  # type: ignore[arg-type]
    x = graph.add_input("x", TensorType("f32", ("batch", 4)))
    outputs = []
    for name, factor in (("large", 100.0), ("small", 0.01)):
        constant = graph.constant(np.array(factor, np.float32), f"{name}.factor")
        node = graph.create(
            "nn.mul", {"a": x, "b": constant}, types=[TensorType("f32", ("batch", 4))], names=[name]
        )
        outputs.append(node.output)
    graph.set_outputs(outputs)
    judge = Judge(graph.clone(), [[np.ones((8, 4), np.float32)]], default_table())
    factor = graph.value("small.factor")
    factor.data = np.array(0.02, np.float32)
    assert judge.noise(graph) == pytest.approx(np.full(8, 0.5))  # one output's noise is its signal


def test_a_gain_in_decibels_and_its_error() -> None:
    before = np.array([1.0, 2.0, 3.0, 4.0])
    same = gain(before, before / 10)
    assert same.decibels == pytest.approx(10)
    assert same.error == pytest.approx(0, abs=1e-9)
    mixed = gain(before, np.array([4.0, 3.0, 2.0, 1.0]))
    assert mixed.decibels == pytest.approx(0)
    assert mixed.error > 1


@given(st.integers(0, 10_000))
def test_the_error_is_that_of_the_gain(seed: int) -> None:
    """Three standard errors hold what is true of all samples, of which a few are seen."""
    rng = np.random.default_rng(seed)
    noise = rng.lognormal(0, 0.5, (2, 64))
    found = gain(noise[0], noise[1])  # truly none
    assert abs(found.decibels) < 5 * found.error


def test_what_is_not_finite_never_gains() -> None:
    assert gain(np.ones(4), np.array([0, 0, 0, np.inf])) == Gain(-math.inf, math.inf)
    assert gain(np.array([np.inf, 1]), np.ones(2)).exceeds(2)
    assert not gain(np.zeros(4), np.zeros(4)).exceeds(1)
    assert not gain(np.zeros(4), np.ones(4)).exceeds(1)
    assert gain(np.ones(4), np.zeros(4)).exceeds(2)


def test_one_sample_proves_nothing() -> None:
    assert not gain(np.ones(1), np.full(1, 0.1)).exceeds(1)
