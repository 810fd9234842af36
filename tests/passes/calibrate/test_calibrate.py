"""Calibration: scales from weights and from what activations were on the calibration data."""

from collections.abc import Iterator

import numpy as np
import pytest

from sparqc.errors import FAILED, MISUSED, SparqcError
from sparqc.ir.graph import TensorType, Value
from sparqc.ir.levels.execute import open_runner
from sparqc.ir.vocabulary.table import default_table
from sparqc.numerics.int8_codes import DEAD_SCALE
from sparqc.passes.calibrate.calibrate import Calibrate, CalibratedRanges, Range
from sparqc.passes.calibrate.calibrators import calibrator
from sparqc.passes.calibrate.histogram import Histogram
from sparqc.passes.on_data import observe
from sparqc.rewrite.context import Batch, Context
from tests.calibration_models import IMAGE, Residual, activations, context, images


@pytest.fixture(params=["fx", "onnx"])
def residual(request: pytest.FixtureRequest) -> Residual:
    return Residual(request.param)


def ranges(found: Context) -> dict[str, Range]:
    return {r.value: r for r in found.facts[CalibratedRanges].ranges}


def data(scale: Value) -> np.ndarray:
    assert scale.data is not None
    assert scale.type == TensorType("f32", scale.data.shape)
    return scale.data


def test_every_scale_is_set(residual: Residual) -> None:
    scales = residual.quantize_all()
    batches = images(3)
    found = context(batches)

    assert Calibrate(method="max").run(residual.graph, found) == 5

    for name in ("x", "relu1", "relu2"):
        largest = max(np.abs(a[name]).max() for a in activations(batches, residual))
        np.testing.assert_allclose(data(scales[name]), largest / 127, rtol=1e-6)
        assert ranges(found)[name].amax == pytest.approx(largest, rel=1e-6)
    for name in ("conv1.weight", "conv2.weight"):
        weight = residual.values[name].data
        assert data(scales[name]) == pytest.approx(np.abs(weight).max((1, 2, 3)) / 127)
        assert (ranges(found)[name].method, ranges(found)[name].channels) == ("weight", 4)
    assert ranges(found)["relu1"].module == "block.relu1"
    assert ranges(found)["x"].module == "block.conv1"  # nobody made the input: its reader
    residual.graph.verify()


def test_nothing_is_left_to_calibrate(residual: Residual) -> None:
    scales = residual.quantize_all()
    Calibrate().run(residual.graph, context(images(1)))
    before = {name: data(scale) for name, scale in scales.items()}
    assert Calibrate().run(residual.graph, context()) == 0  # and no data is asked for
    assert all(data(scale) is before[name] for name, scale in scales.items())


@pytest.mark.parametrize("method", ["max", "percentile", "entropy", "mse"])
def test_each_method_is_that_of_its_calibrator(residual: Residual, method: str) -> None:
    scales = residual.quantize_all()
    batches = images(2)
    found = context(batches)
    Calibrate(method=method, percentile=99.0).run(residual.graph, found)  # type: ignore[arg-type]

    seen = Histogram()
    for values in activations(batches, residual):
        seen.add(values["relu1"])
    expected = calibrator(method, 99.0).amax(seen)  # type: ignore[arg-type]
    assert data(scales["relu1"]) == pytest.approx(expected / 127, rel=1e-3)
    assert ranges(found)["relu1"].clipped == pytest.approx(seen.share_above(expected), abs=2e-3)


def test_the_calibrated_graph_is_close_to_the_float_one(residual: Residual) -> None:
    (batch,) = images(1, seed=7)
    runner = open_runner(residual.graph, default_table())
    (expected,), _ = runner.run(batch)
    residual.quantize_all()
    Calibrate().run(residual.graph, context(images(4)))
    (actual,), _ = open_runner(residual.graph, default_table()).run(batch)
    noise = ((actual - expected) ** 2).sum() / (expected**2).sum()
    assert 0 < noise < 10 ** (-30 / 10)


def test_both_levels_agree() -> None:
    found = {}
    for level in ("fx", "onnx"):
        residual = Residual(level)
        residual.quantize_all()
        found[level] = context(images(2))
        Calibrate().run(residual.graph, found[level])
    for name, row in ranges(found["fx"]).items():
        assert ranges(found["onnx"])[name].step == pytest.approx(row.step, rel=2e-3)


def test_a_scale_group_has_the_statistics_of_all_its_values(residual: Residual) -> None:
    scale = residual.scale("shared")
    residual.quantize("relu1", scale, [("conv2", "x")])
    residual.quantize("relu2", scale, [("add", "b")])
    batches = images(2)
    found = context(batches)

    assert Calibrate(method="max").run(residual.graph, found) == 1

    largest = {
        name: max(np.abs(a[name]).max() for a in activations(batches, residual))
        for name in ("relu1", "relu2")
    }
    assert data(scale) == pytest.approx(max(largest.values()) / 127)
    for name, value in largest.items():
        assert ranges(found)[name].largest == pytest.approx(value)
        assert ranges(found)[name].scale == "shared"


def test_a_constant_among_activations_is_part_of_their_range(residual: Residual) -> None:
    table = residual.graph.constant(np.full((1, 4, 6, 6), -50, np.float32), "table")
    residual.values["table"] = table
    residual.graph.set_operand(residual.node("add"), "b", table)
    scale = residual.scale("shared")
    residual.quantize("relu1", scale, [("conv2", "x")])
    residual.quantize("table", scale, [("add", "b")])
    Calibrate(method="max").run(residual.graph, context(images(1)))
    assert data(scale) == pytest.approx(50 / 127)


def test_the_scale_of_a_masked_weight_is_that_of_what_is_left(residual: Residual) -> None:
    weight = residual.values["conv1.weight"]
    assert weight.data is not None
    mask = np.abs(weight.data) < 0.5
    masked = residual.graph.create(
        "sparse.mask",
        {"w": weight, "mask": residual.graph.constant(mask, "mask")},
        types=[weight.type],
        names=["masked"],
        before=residual.node("conv1"),
    )
    residual.values["masked"] = masked.output
    residual.graph.set_operand(residual.node("conv1"), "w", masked.output)
    scale = residual.scale("scale", (4,))
    residual.quantize("masked", scale, [("conv1", "w")], axis=0)
    assert Calibrate().run(residual.graph, context()) == 1
    assert data(scale) == pytest.approx(np.abs(weight.data * mask).max((1, 2, 3)) / 127)


def test_dead_channels_are_noted(residual: Residual) -> None:
    weight = residual.values["conv1.weight"].data
    assert weight is not None
    weight[[1, 3]] = 0
    scales = residual.quantize_all()
    found = context(images(1))
    Calibrate().run(residual.graph, found)
    assert ranges(found)["conv1.weight"].dead == (1, 3)
    assert data(scales["conv1.weight"])[[1, 3]].tolist() == [DEAD_SCALE] * 2
    assert ranges(found)["conv2.weight"].dead == ()


@pytest.mark.parametrize("method", ["max", "percentile", "entropy", "mse"])
def test_an_activation_that_is_always_zero_is_noted(residual: Residual, method: str) -> None:
    scales = residual.quantize_all()
    found = context([[-np.ones((2, 4, 6, 6), np.float32)]])
    Calibrate(method=method).run(residual.graph, found)  # type: ignore[arg-type]
    assert ranges(found)["relu2"].dead == (0,)
    assert data(scales["relu2"]) == DEAD_SCALE


# -- the data ------------------------------------------------------------------------------------


def test_the_batches_may_be_cut_in_any_way(residual: Residual) -> None:
    whole, parts = Residual(residual.level), Residual(residual.level)
    (x,) = images(1, size=6)[0]
    steps = []
    for model, batches in ((whole, [[x]]), (parts, [[x[:1]], [x[1:3]], [x[3:]]])):
        scales = model.quantize_all()
        Calibrate(method="mse").run(model.graph, context(batches))
        steps.append([data(scale) for scale in scales.values()])
    for a, b in zip(*steps, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-3)


def test_large_batches_and_models_run_in_parts(
    residual: Residual, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[tuple[int, int]] = []
    original = observe._run

    def run(runner, pairs, batch, show):
        sizes.append((len(pairs), len(batch[0])))
        original(runner, pairs, batch, show)

    monkeypatch.setattr(observe, "_run", run)
    one = 4 * 6 * 6 * 4  # bytes of one value of one image
    monkeypatch.setattr(observe, "LIMIT", 4 * one)
    monkeypatch.setattr(observe, "RUN_LIMIT", 2 * one)
    scales = residual.quantize_all()
    batches = images(1, size=5)
    Calibrate(method="max").run(residual.graph, context(batches))
    in_parts = [(2, 2), (1, 2), (2, 2), (1, 2), (2, 1), (1, 1)]
    assert sizes == (in_parts if residual.level == "onnx" else [])  # FX shows value by value
    (values,) = activations(batches, residual)
    assert data(scales["relu1"]) == pytest.approx(np.abs(values["relu1"]).max() / 127)


def test_a_batch_of_fixed_size_is_run_as_it_is(residual: Residual) -> None:
    for node in residual.graph.nodes:
        node.output.type = TensorType("f32", (4, *IMAGE[1:]))
    residual.values["x"].type = TensorType("f32", (4, *IMAGE[1:]))
    residual.quantize_all()
    assert Calibrate().run(residual.graph, context(images(2, size=4))) == 5


def test_at_most_so_many_batches_are_taken_and_progress_is_told(residual: Residual) -> None:
    residual.quantize_all()
    told: list[tuple[int, int | None, str]] = []
    given: list[int] = []

    def batches() -> Iterator[Batch]:
        for number, batch in enumerate(images(5)):
            given.append(number)
            yield batch

    found = context(batches, progress=lambda *now: told.append(now))
    Calibrate(batches=2).run(residual.graph, found)
    assert given == [0, 1]
    assert told == [(1, 2, "calibration batches"), (2, 2, "calibration batches")]


# -- mistakes ------------------------------------------------------------------------------------


def failure(residual: Residual, found: Context, code: int = FAILED) -> str:
    residual.quantize_all()
    with pytest.raises(SparqcError) as error:
        Calibrate().run(residual.graph, found)
    assert error.value.exit_code == code and error.value.is_of_data == (code == FAILED)
    assert not any(np.isfinite(data(c)).all() for c in residual.graph.constants
                   if c.name in ("x.scale", "relu1.scale"))  # fmt: skip
    return str(error.value)


def test_without_calibration_data(residual: Residual) -> None:
    message = failure(residual, context(), MISUSED)
    assert message.startswith("there is no calibration data")
    assert "calibration() to model.py" in message
    assert "--random-calibration" in message


def test_calibration_data_without_a_batch(residual: Residual) -> None:
    assert failure(residual, context([])).startswith("calibration() gave no batches")


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        ([], "calibration batch 1 has 0 arrays, the model takes 1: x"),
        ([np.zeros((1, 4, 6, 6))], "calibration batch 1, input 'x': the elements are f64, the "
         "model takes f32"),
        ([np.zeros((1, 3, 6, 6), np.float32)], "input 'x': the shape is [1, 3, 6, 6], the model "
         "takes ['batch', 4, 6, 6]"),
        ([np.zeros((4, 6, 6), np.float32)], "input 'x': the shape is [4, 6, 6]"),
        ([np.zeros((0, 4, 6, 6), np.float32)], "input 'x': it is empty, of shape [0, 4, 6, 6]"),
    ],
)  # fmt: skip
def test_a_batch_that_does_not_fit(residual: Residual, batch: Batch, message: str) -> None:
    assert message in failure(residual, context([batch]))


def test_calibration_that_raises_midway(residual: Residual) -> None:
    def batches() -> Iterator[Batch]:
        yield from images(2)
        raise FileNotFoundError("no such image: cat.png")

    expected = "calibration() raised FileNotFoundError: no such image: cat.png (batch 3)"
    assert failure(residual, context(batches)) == expected


def test_calibration_that_is_no_generator(residual: Residual) -> None:
    message = failure(residual, context(lambda: None))  # type: ignore[arg-type,return-value]
    assert message == "calibration() raised TypeError: 'NoneType' object is not iterable (batch 1)"


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_activations_that_are_no_numbers(residual: Residual, bad: float) -> None:
    good, broken = images(2)
    broken[0][1, 2, 3, 4] = bad
    message = failure(residual, context([good, broken]))
    assert message.startswith("'x (block.conv1)' is NaN or infinite in calibration batch 2")


def test_an_overflow_inside_names_the_module(residual: Residual) -> None:
    weight = residual.values["conv1.weight"].data
    assert weight is not None
    weight[:] = 3e38
    message = failure(residual, context([[np.full((1, 4, 6, 6), 2, np.float32)]]))
    assert message.startswith("'relu1 (block.relu1)' is NaN or infinite in calibration ba")


def test_weights_that_are_no_numbers(residual: Residual) -> None:
    weight = residual.values["conv2.weight"].data
    assert weight is not None
    weight[0] = np.nan
    residual.quantize("conv2.weight", residual.scale("s", (4,)), [("conv2", "w")], axis=0)
    with pytest.raises(SparqcError, match=r"'conv2.weight \(block.conv2\)' has NaN"):
        Calibrate().run(residual.graph, context())


def test_a_quantizer_that_nothing_reads_saw_no_data(residual: Residual) -> None:
    value = residual.graph.create(
        "nn.relu", {"x": residual.values["x"]}, types=[residual.values["x"].type], names=["unread"]
    ).output
    residual.graph.create(
        "q.qdq" if residual.level == "fx" else "q.quantize",
        {"x": value, "scale": residual.scale("s"), "zero_point": None},
        {"axis": None, "low": -128, "high": 127},
        types=[value.type],
    )
    with pytest.raises(SparqcError, match="the quantizer of 'unread' saw no data"):
        Calibrate().run(residual.graph, context(images(1)))


def test_an_activation_with_a_scale_for_each_channel(residual: Residual) -> None:
    residual.quantize("relu1", residual.scale("s", (4,)), [("conv2", "x")], axis=1)
    with pytest.raises(SparqcError, match=r"relu1.* has a scale for each channel"):
        Calibrate().run(residual.graph, context(images(1)))


@pytest.mark.parametrize("wrong", [{"percentile": 0.0}, {"batches": 0}, {"method": "kl"}])
def test_options_that_make_no_sense(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"percentile|batches|method"):
        Calibrate(**wrong)  # type: ignore[arg-type]
