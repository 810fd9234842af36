"""The mean error of pruning and quantization goes into the biases."""

import numpy as np
import pytest

from sparqc.errors import SparqcError
from sparqc.ir.graph import Array, Graph, Value
from sparqc.ir.levels.execute import open_runner
from sparqc.ir.vocabulary.table import default_table
from sparqc.passes.calibrate.calibrate import Calibrate
from sparqc.passes.correct_bias.correct_bias import BiasCorrection, CorrectBias, Correction
from sparqc.passes.correct_bias.mean_error import MeanError
from sparqc.rewrite.context import Context
from tests.calibration_models import Residual, context, images


@pytest.fixture(params=["fx", "onnx"])
def residual(request: pytest.FixtureRequest) -> Residual:
    return Residual(request.param)


def coarse(residual: Residual, count: int = 4) -> Context:
    """Masks that move the means, quantizers with their scales, and the graph without them."""
    found = context(images(count), reference=residual.graph.clone())
    for name in ("conv1", "conv2"):
        weight = residual.values[f"{name}.weight"]
        assert weight.data is not None
        mask = weight.data < 0.8
        masked = residual.graph.create(
            "sparse.mask",
            {"w": weight, "mask": residual.graph.constant(mask, f"{name}.mask")},
            types=[weight.type],
            names=[f"{name}.masked"],
            before=residual.node(name),
        )
        residual.graph.set_operand(residual.node(name), "w", masked.output)
    scale = residual.scale("x.scale")
    residual.quantize("x", scale, [("conv1", "x")])
    Calibrate().run(residual.graph, found)
    return found


def rows(found: Context) -> dict[str, Correction]:
    return {row.layer: row for row in found.facts[BiasCorrection].layers}


def value(graph: Graph, name: str, count: int = 4) -> Array:
    """A value on all calibration images."""
    runner = open_runner(graph, default_table())
    return np.concatenate([runner.run(b, [graph.value(name)])[1][0] for b in images(count)])


def lacks(residual: Residual, found: Context, name: str, count: int = 4) -> Array:
    """What the mean of each channel lacks behind a ReLU."""
    assert found.reference is not None
    values = (value(graph, name, count) for graph in (found.reference, residual.graph))
    expected, actual = (np.maximum(x, 0).mean((0, 2, 3)) for x in values)
    return expected - actual


def test_the_mean_behind_a_relu_is_right(residual: Residual) -> None:
    found = coarse(residual)
    before = lacks(residual, found, "conv1")
    assert CorrectBias(always=True).run(residual.graph, found) == 2
    residual.graph.verify()
    after = lacks(residual, found, "conv1")
    assert np.abs(before).min() > 0.1
    assert np.abs(after).max() < 0.1 * np.abs(before).max()
    assert rows(found)["conv1"].shift > np.sqrt(np.mean(before**2))


def test_a_residual_sum_is_corrected_in_the_layer_that_writes_it(residual: Residual) -> None:
    found = coarse(residual)
    before = lacks(residual, found, "add")
    CorrectBias(always=True).run(residual.graph, found)
    assert np.abs(lacks(residual, found, "add")).max() < 0.1 * np.abs(before).max()


def test_the_output_comes_nearer(residual: Residual) -> None:
    found = coarse(residual)
    assert found.reference is not None
    expected, before = value(found.reference, "relu3"), value(residual.graph, "relu3")
    CorrectBias(always=True).run(residual.graph, found)
    after = value(residual.graph, "relu3")
    assert ((after - expected) ** 2).sum() < 0.9 * ((before - expected) ** 2).sum()


def test_both_levels_find_the_same() -> None:
    biases = {}
    for level in ("fx", "onnx"):
        residual = Residual(level)
        found = coarse(residual)
        CorrectBias(always=True).run(residual.graph, found)
        biases[level] = residual.node("conv2").operands["b"]
    assert isinstance(biases["fx"], Value)
    assert isinstance(biases["onnx"], Value)
    np.testing.assert_allclose(biases["fx"].data, biases["onnx"].data, atol=2e-2)


def test_a_bias_that_others_read_stays_theirs(residual: Residual) -> None:
    shared = residual.graph.constant(np.ones(4, np.float32), "shared")
    for name in ("conv1", "conv2"):
        residual.graph.set_operand(residual.node(name), "b", shared)
    CorrectBias(always=True).run(residual.graph, coarse(residual))
    first, second = (residual.node(name).operands["b"] for name in ("conv1", "conv2"))
    assert isinstance(first, Value)
    assert isinstance(second, Value)
    assert first is not second
    assert not np.allclose(first.data, second.data)
    residual.graph.verify()


def test_nothing_to_correct(residual: Residual) -> None:
    found = context(images(2), reference=residual.graph.clone())
    assert CorrectBias(always=True).run(residual.graph, found) == 0
    assert {r.reason for r in rows(found).values()} == {"its mean error is no larger than chance"}


def test_a_layer_that_the_reference_has_not(residual: Residual) -> None:
    found = coarse(residual)
    residual.graph.rename(residual.values["conv1"], "another")
    CorrectBias(always=True).run(residual.graph, found)
    assert rows(found)["another"].reason == "the model as it was read has no such value"
    assert not rows(found)["conv2"].reason


def test_without_scales_there_is_nothing_to_measure(residual: Residual) -> None:
    found = context(images(1), reference=residual.graph.clone())
    residual.quantize_all()
    with pytest.raises(SparqcError, match=r"'x.q.*' has no scale yet"):
        CorrectBias(always=True).run(residual.graph, found)


def test_behind_the_export(residual: Residual) -> None:
    other = Residual("onnx" if residual.level == "fx" else "fx")
    with pytest.raises(SparqcError, match="of another level"):
        CorrectBias(always=True).run(residual.graph, context(images(1), reference=other.graph))


def test_a_batch_with_nan(residual: Residual) -> None:
    found = coarse(residual)
    bad = images(2)
    bad[1][0][0, 0, 0, 0] = np.nan
    with pytest.raises(SparqcError, match="NaN or infinite in calibration batch 2"):
        CorrectBias(always=True).run(residual.graph, context(bad, reference=found.reference))


# -- the mean ------------------------------------------------------------------------------------


def measured(wanted: Array, found: Array, **how: object) -> MeanError:
    error = MeanError(1, how.get("bounds", (-np.inf, np.inf)))  # type: ignore[arg-type]
    error.expect(wanted)
    error.correct(found)
    return error


def test_chance_is_no_error() -> None:
    rng = np.random.default_rng(0)
    wanted = np.zeros((400, 2, 3), np.float32)
    noise = rng.standard_normal(wanted.shape).astype(np.float32)
    noise[:, 1] += 1
    shift = measured(wanted, noise).shift
    assert abs(shift[0]) < 0.03
    assert shift[1] == pytest.approx(-1, abs=0.06)


def test_one_image_alone_proves_nothing_against_itself() -> None:
    wanted, found = np.zeros((1, 1, 4), np.float32), np.full((1, 1, 4), 2, np.float32)
    assert measured(wanted, found).shift == pytest.approx([-2])


def test_what_the_activation_cuts_off_does_not_count() -> None:
    wanted = np.array([[[-5.0, 1.0, 9.0]]], np.float32)
    found = np.array([[[5.0, 1.5, 0.0]]], np.float32)
    # 0 + 1 + 6 = 5 1/6 + 1 4/6 + 1/6
    assert measured(wanted, found, bounds=(0.0, 6.0)).shift == pytest.approx([1 / 6])
    assert measured(-abs(wanted), -found - 1, bounds=(0.0, 6.0)).shift.tolist() == [0.0]


@pytest.mark.parametrize("batches", [0, -1])
def test_options_that_make_no_sense(batches: int) -> None:
    with pytest.raises(ValueError, match="batches must be at least 1"):
        CorrectBias(batches=batches)
