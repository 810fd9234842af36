"""What each layer loses alone: measured behind the layer only, and the sensitive ones are found."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sparqc.declared.gpus import gpu
from sparqc.errors import SparqcError, UsageError
from sparqc.ir.graph import Array, Graph
from sparqc.ir.levels.execute import open_runner
from sparqc.ir.weighted import weight_of
from sparqc.job.options import make_options
from sparqc.numerics.two_four import two_four_mask
from sparqc.tools.model.open_request import Opened, open_request
from sparqc.tools.model.request import Request
from sparqc.tools.sensitivity.judge import Judge, MetricChoice
from sparqc.tools.sensitivity.measure import LayerLoss, masked_weights, measure
from sparqc.tools.sensitivity.result import Result
from sparqc.tools.sensitivity.run import SensitivityOptions, sensitivity
from sparqc.tools.sensitivity.study import Study, study
from sparqc.tools.sensitivity.sweep import Sweep
from sparqc.tools.sensitivity.together import Together
from sparqc.tools.sensitivity.variant import Weights, variant, with_quantizers
from tests.sensitive_models import EVALUATE, model_file, onnx_file

CONVS = ["stem", "quiet", "loud", "full"]


def opened(path: Path, passes: str = "all-sparse", **wishes: object) -> Opened:
    return open_request(Request(str(path), make_options(passes=passes, **wishes)))


def run(path: Path, metric: MetricChoice | None = None, **wishes: object) -> Result:
    return sensitivity(
        opened(path, **wishes), SensitivityOptions(metric or MetricChoice(), gpu("a40"))
    )


@pytest.fixture(scope="module")
def studied(tmp_path_factory: pytest.TempPathFactory) -> tuple[Opened, Study]:
    found = opened(model_file(tmp_path_factory.mktemp("model")))
    return found, study(found.job)


@pytest.fixture(scope="module")
def rows(studied: tuple[Opened, Study]) -> dict[str, LayerLoss]:
    found, network = studied
    judge = Judge(network, found.loaded, MetricChoice())
    return {row.layer.module: row for row in measure(network, judge)}


def outputs(graph: Graph, network: Study) -> list[Array]:
    assert network.context.calibration is not None
    runner = open_runner(graph, network.context.table)
    return [y for batch in network.context.calibration() for y in runner.run(batch)[0]]


def test_every_layer_that_is_to_be_sparse_or_int8_has_a_row(rows: dict[str, LayerLoss]) -> None:
    assert list(rows) == [*CONVS, "head"]
    assert all(row.layer.keep == "sparse-int8" for row in rows.values())
    assert all(row.int8 and row.sparse and row.both for row in rows.values())


def test_an_outlier_channel_in_front_of_a_layer_is_found(rows: dict[str, LayerLoss]) -> None:
    snr = {name: row.int8.snr for name, row in rows.items() if row.int8}
    assert min(snr, key=snr.__getitem__) == "loud"
    assert sorted(snr.values())[1] > snr["loud"] + 10


def test_a_layer_whose_small_weights_matter_is_found(rows: dict[str, LayerLoss]) -> None:
    snr = {name: row.sparse.snr for name, row in rows.items() if row.sparse}
    assert min(snr, key=snr.__getitem__) == "full"
    assert sorted(snr.values())[1] > snr["full"] + 10


def test_both_together_lose_about_the_sum(rows: dict[str, LayerLoss]) -> None:
    for row in rows.values():
        assert row.int8 and row.sparse and row.both
        alone = row.int8.noise + row.sparse.noise
        assert 0.5 * alone < row.both.noise < 2 * alone


def test_without_quantizers_the_placed_network_is_the_float_one_to_the_bit(
    studied: tuple[Opened, Study],
) -> None:
    _, network = studied
    plain = outputs(with_quantizers(network.placed, ()), network)
    for a, b in zip(plain, outputs(network.plain, network), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("kind", ["torch", "onnx"])
def test_what_lies_behind_a_layer_gives_what_the_whole_variant_gives(
    kind: str, tmp_path: Path
) -> None:
    if kind == "torch":
        network = study(opened(model_file(tmp_path)).job)
    else:
        network = study(opened(onnx_file(tmp_path), random_calibration=True).job)
    sweep = Sweep(network.plain, network.context.table)
    whole = sweep.behind(network.plain)
    assert network.context.calibration is not None
    for batch in network.context.calibration():
        sweep.add(batch, whole.of(None, batch), keep=True)
    order = {v.name: i for i, node in enumerate(network.plain.nodes) for v in node.outputs}
    for layer in network.layers:
        sweep.move_to(min(order[name] for name in layer.nodes))
        weights = [Weights(m.node, m.weight) for m in layer.masked]
        for graph in (variant(network, layer, True), variant(network, layer, True, weights)):
            answer = sweep.behind(graph)
            behind = [y for call in sweep.states for y in answer.of(call)]
            assert np.abs(behind[0] - sweep.states[0].outputs[0]).max() > 0  # type: ignore[index]
            for a, b in zip(behind, outputs(graph, network), strict=True):
                np.testing.assert_array_equal(a, b)


def test_batches_that_find_no_room_run_through_all_layers_with_the_same_result(
    studied: tuple[Opened, Study], rows: dict[str, LayerLoss]
) -> None:
    found, network = studied
    judge = Judge(network, found.loaded, MetricChoice())
    judge.calibration.room = 0
    again = {row.layer.module: row for row in measure(network, judge)}
    assert all(call.known is None for call in judge.calibration.states)
    assert {n: r.both for n, r in again.items()} == {n: r.both for n, r in rows.items()}


def test_a_masked_layer_in_int8_has_2_4_codes_with_scales_of_its_own(
    studied: tuple[Opened, Study],
) -> None:
    _, network = studied
    layer = network.layers[3]
    table = network.context.table
    graph = variant(network, layer, True, [Weights(m.node, m.weight) for m in layer.masked])
    node = graph.value(layer.name).producer
    assert node is not None
    weight = open_runner(graph, table).run(next(iter(network.context.calibration())), [  # type: ignore[misc]
        node.operands["w"]])[1][0]  # type: ignore[list-item]  # fmt: skip
    found = weight_of(node, table)
    assert found is not None
    assert two_four_mask(weight, found.reduction_axis)[weight != 0].all()
    assert np.count_nonzero(weight) == weight.size // 2


def test_statistics_of_a_batch_norm_are_measured_again_behind_a_mask(
    studied: tuple[Opened, Study],
) -> None:
    found, network = studied
    judge = Judge(network, found.loaded, MetricChoice())
    stem = network.layers[0]
    assert [m.renormalized for layer in network.layers for m in layer.masked] == [True] + 4 * [
        False
    ]
    renewed = masked_weights(stem.masked[0], stem, network, judge)
    graph = variant(network, stem, False, [renewed])
    before = np.concatenate(list(judge.values(network.plain, stem.name)))
    after = np.concatenate(list(judge.values(graph, stem.name)))
    np.testing.assert_allclose(after.mean((0, 2, 3)), before.mean((0, 2, 3)), atol=1e-4)
    np.testing.assert_allclose(after.std((0, 2, 3)), before.std((0, 2, 3)), rtol=1e-3)


def test_an_onnx_model_is_measured_by_its_noise(tmp_path: Path) -> None:
    result = run(onnx_file(tmp_path), random_calibration=True)
    assert result.scale.name == "snr"
    assert [row.layer.name for row in result.rows] == ["c1", "c2"]
    assert all(20 < row.int8.snr < 60 for row in result.rows if row.int8)
    assert any("noise" in note for note in result.notes)


# -- the user's evaluation ---------------------------------------------------------------------


def test_evaluate_counts_where_the_model_offers_it(tmp_path: Path) -> None:
    path = model_file(tmp_path, evaluate=EVALUATE)
    result = run(path)
    assert result.scale.name == "agreement" and result.scale.baseline.metric == 100
    assert result.ranked[0].layer.module in ("loud", "full")
    assert any("--metric chooses another: error" in note for note in result.notes)
    error = run(path, MetricChoice("error", lower_is_better=True))
    losses = {r.layer.module: error.scale.loss(r.planned) for r in error.rows}
    assert all(loss > 0 for loss in losses.values())
    assert [r.layer.module for r in error.ranked] == sorted(losses, key=lambda n: -losses[n])


def test_snr_is_measured_where_it_is_asked_for(tmp_path: Path) -> None:
    result = run(model_file(tmp_path, evaluate=EVALUATE), MetricChoice("snr", batches=1))
    assert result.scale.is_noise and all(r.planned.metric is None for r in result.rows)


@pytest.mark.parametrize(
    ("evaluate", "metric", "error", "text"),
    [
        ("", "top-1", UsageError, "the model offers no evaluate()"),
        (EVALUATE, "agreemnt", UsageError, "did you mean 'agreement'"),
        ("def evaluate(run):\n    return {}\n", None, SparqcError, "gave no figures"),
        ("def evaluate(run):\n    return {'a': 'good'}\n", None, SparqcError, "'a': str"),
        ("def evaluate(run):\n    return {'a': float('nan')}\n", None, SparqcError, "gave nan"),
        ("def evaluate(run):\n    return {'a': 1 / 0}\n", None, SparqcError, "ZeroDivisionError"),
        ("def evaluate(run):\n    run()\n    return {}\n", None, SparqcError, "takes 1: x"),
    ],
)
def test_a_metric_that_is_no_figure_is_an_error(
    evaluate: str, metric: str | None, error: type[SparqcError], text: str, tmp_path: Path
) -> None:
    with pytest.raises(error) as raised:
        run(model_file(tmp_path, evaluate=evaluate), MetricChoice(metric))
    assert text in str(raised.value)


def test_a_metric_that_a_layer_turns_into_nan_names_the_layer(tmp_path: Path) -> None:
    broken = EVALUATE.replace(
        "100 * right / 64", "float('nan') if error > 1e-3 else 100 * right / 64"
    )
    with pytest.raises(SparqcError, match="gave nan as 'agreement' for conv_2 \\(loud\\) in INT8"):
        run(model_file(tmp_path, evaluate=broken))


def test_without_calibration_data_there_is_no_range(tmp_path: Path) -> None:
    with pytest.raises(SparqcError, match="there is no calibration data"):
        run(onnx_file(tmp_path))


def test_a_pipeline_that_changes_no_layer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="neither prunes nor quantizes"):
        run(model_file(tmp_path), passes="float")


def test_a_network_without_such_layers_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SparqcError, match="nothing to measure"):
        run(model_file(tmp_path), exclude=("nn.conv", "nn.linear"))


def test_pipelines_that_do_one_of_both(tmp_path: Path) -> None:
    path = model_file(tmp_path)
    int8 = run(path, passes="int8")
    assert all(r.layer.keep == "int8" and r.sparse is None for r in int8.rows)
    sparse = run(path, passes="sparse")
    assert all(r.layer.keep == "sparse" and r.int8 is None and r.sparse for r in sparse.rows)


def test_weights_that_pruning_repairs_lose_less(tmp_path: Path, rows: dict[str, LayerLoss]) -> None:
    found = run(model_file(tmp_path), passes="default,+prune{method=sparsegpt}@instead=prune")
    full = next(row for row in found.rows if row.layer.module == "full")
    assert full.layer.masked[0].repaired
    assert full.sparse and rows["full"].sparse
    assert full.sparse.snr > rows["full"].sparse.snr + 6


PRODUCTS = """
import torch
from torch import nn

class Products(nn.Module):
    def __init__(self):
        super().__init__()
        self.v, self.w = (nn.Parameter(torch.randn(64, 64) / 8) for _ in range(2))

    def forward(self, x):
        return torch.relu(x @ self.v) @ self.w

def model():
    torch.manual_seed(0)
    return Products().eval()

def example_inputs():
    return (torch.randn(16, 64),)

def calibration():
    yield (torch.randn(512, 64),)
"""


def test_a_repaired_product_has_no_bias_to_move(tmp_path: Path) -> None:
    """Its second operand is the weight."""
    path = tmp_path / "model.py"
    path.write_text(PRODUCTS)
    found = run(path, passes="default,+prune{method=sparsegpt}@instead=prune")
    assert [row.layer.masked[0].repaired for row in found.rows] == [True, True]
    assert all(row.sparse and row.sparse.snr > 8 for row in found.rows)


def test_channels_are_permuted_before_layers_are_compared(tmp_path: Path) -> None:
    found = run(model_file(tmp_path), passes="default,+prune{method=permuted}@instead=prune")
    assert not any(mask.repaired for row in found.rows for mask in row.layer.masked)
    assert all(row.sparse and row.sparse.snr > 20 for row in found.rows)


PAIR = """
import torch
from torch import nn

def model():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(32, 32, 3, padding=1), nn.ReLU(),
        nn.Conv2d(32, 32, 3, padding=1, groups=32), nn.ReLU(),
        nn.Conv2d(32, 32, 1), nn.ReLU(),
        nn.Conv2d(32, 32, 3), nn.ReLU(),
    ).eval()

def example_inputs():
    return (torch.randn(2, 32, 8, 8),)

def calibration():
    yield (torch.randn(4, 32, 8, 8),)
"""


def test_what_a_layer_in_float_takes_with_it_stays_dense_too(tmp_path: Path) -> None:
    path = tmp_path / "model.py"
    path.write_text(PAIR)
    found = opened(path)
    network = study(found.job)
    assert [x.keep for x in network.layers] == ["sparse-int8", "int8", *2 * ["sparse-int8"]]
    together = Together(network, found.job, Judge(network, found.loaded, MetricChoice()))
    depthwise, pointwise = network.layers[1].name, network.layers[2].name
    keeps, score = together.measure({depthwise: "float"}, "the choice")
    assert keeps == {
        network.layers[0].name: "sparse-int8",
        depthwise: "float",
        pointwise: "float",
        network.layers[3].name: "sparse-int8",
    }
    whole = dict.fromkeys(keeps, "float")
    assert together.measure(whole, "the float network")[1].noise < 1e-12 < score.noise  # type: ignore[arg-type]
