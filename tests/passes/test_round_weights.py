"""INT8 codes that are chosen together."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from sparqc.capture.capture import capture
from sparqc.declared.targets import default_profile
from sparqc.errors import SparqcError
from sparqc.ir.constants import constant_value
from sparqc.ir.graph import Array, Graph, Node
from sparqc.ir.levels.execute import open_runner
from sparqc.ir.vocabulary.table import default_table
from sparqc.ir.weighted import weighted
from sparqc.numerics.int8_codes import quantize_codes
from sparqc.numerics.two_four import is_two_four
from sparqc.passes.layerwise.repaired import Repaired
from sparqc.passes.masks.pruning import Pruning
from sparqc.passes.round_weights import RoundWeights, WeightRounding
from sparqc.pipeline.action import Action
from sparqc.pipeline.catalogue import make
from sparqc.pipeline.library import rulebook
from sparqc.rewrite.context import Batch, Context

TABLE = default_table()


class Net(nn.Module):
    """BatchNorm behind a strided convolution, a depthwise one, a grouped one, and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(8, 32, 3, stride=2, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(32)
        self.depthwise = nn.Conv2d(32, 32, 3, padding=1, groups=32)
        self.point = nn.Conv2d(32, 64, 1)
        self.grouped = nn.Conv2d(64, 64, 3, groups=4)
        self.head = nn.Linear(64, 16)
        nn.init.uniform_(self.norm.running_var, 0.5, 2)
        nn.init.normal_(self.norm.running_mean)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.norm(self.stem(x)))
        x = torch.relu(self.point(torch.relu(self.depthwise(x))))
        return self.head(torch.relu(self.grouped(x)).mean((2, 3)))


def images(count: int, seed: int = 1) -> Tensor:
    """Images whose neighbouring pixels and channels are alike."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(count, 3, 5, 5, generator=generator)
    x = nn.functional.interpolate(x, scale_factor=3.0, mode="bilinear")
    mixed = torch.randn(3, 8, generator=torch.Generator().manual_seed(0))
    noise = torch.randn(count, 8, 15, 15, generator=generator)
    return torch.einsum("bchw,cd->bdhw", x, mixed) + 0.1 * noise


def batches(x: Tensor, size: int = 16) -> list[Batch]:
    return [[part.numpy()] for part in x.split(size)]


def run(
    *steps: tuple[str, dict[str, object]],
    given: list[Batch] | None = None,
    bits: int = 8,
    net: nn.Module | None = None,
) -> tuple[Graph, Context]:
    """The graph after fold, place, calibrate and the steps; the model as read is kept."""
    torch.manual_seed(0)
    module = net or Net().eval()
    graph = capture(module, (images(2),)).graph
    calibration = batches(images(32)) if given is None else given
    context = Context(
        TABLE, rulebook(), default_profile(), Action(), calibration=lambda: calibration
    )
    context.reference = graph.clone()
    for name, options in [("fold", {}), ("place", {}), ("calibrate", {}), *steps]:
        if name == "calibrate" and bits < 8:
            coarsen(graph, bits)
        graph, _ = context.action.pass_(make(name, options), graph, context)
    graph.verify()
    return graph, context


def coarsen(graph: Graph, bits: int) -> None:
    """Fewer codes for weights, so that their rounding is what matters."""
    for quantizer in quantizers(graph).values():
        limit = 2 ** (bits - 1) - 1
        quantizer.attributes |= {"low": -limit, "high": limit}


def quantizers(graph: Graph) -> dict[str, Node]:
    """The quantizer of each layer's weight."""
    return {
        found.node.origin.module: found.weight.producer
        for found in weighted(graph, TABLE)
        if found.weight.producer is not None and found.weight.producer.op == "q.qdq"
    }


def stored(quantizer: Node) -> Array:
    return constant_value(quantizer.operands["x"], TABLE)


def error(graph: Graph, x: Tensor) -> float:
    torch.manual_seed(0)
    with torch.no_grad():
        wanted = Net().eval()(x).numpy()
    actual = open_runner(graph, TABLE).run([x.numpy()])[0][0]
    return float(np.square(actual - wanted).sum() / np.square(wanted).sum())


def rows(context: Context) -> dict[str, Repaired]:
    return {row.module: row for row in context.facts[WeightRounding].layers}


ROUND = ("round-weights", {})


@pytest.mark.parametrize("bits", [4, 8])
def test_layers_give_more_of_what_they_gave_than_rounded_to_nearest(bits: int) -> None:
    _, found = run(ROUND, bits=bits)
    assert set(rows(found)) == {"stem", "depthwise", "point", "grouped", "head"}
    for row in rows(found).values():
        assert row.after <= 1.001 * row.plain, row
    if bits == 4:
        assert sum(r.after for r in rows(found).values()) < 0.6 * sum(
            r.plain for r in rows(found).values()
        )


def test_the_whole_network_is_nearer_to_the_float_model() -> None:
    unseen = images(64, seed=2)
    nearest, _ = run(bits=4)
    together, _ = run(ROUND, bits=4)
    assert error(together, unseen) < 0.5 * error(nearest, unseen)


@pytest.mark.parametrize("ranges", [True, False])
def test_weights_are_codes_times_scale(ranges: bool) -> None:
    graph, _ = run(("round-weights", {"ranges": ranges}))
    before, _ = run()
    for module, quantizer in quantizers(graph).items():
        scale, weight = quantizer.operands["scale"].data, stored(quantizer)
        codes = quantize_codes(weight, scale, quantizer.attributes["axis"], -127, 127)
        wide = scale.reshape(-1, *[1] * (weight.ndim - 1))
        np.testing.assert_array_equal(weight, codes * wide)
        assert np.abs(codes).max() <= 127
        if not ranges:
            old = quantizers(before)[module].operands["scale"].data
            np.testing.assert_array_equal(scale, old)


@pytest.mark.parametrize("method", ["magnitude", "sparsegpt"])
def test_zeros_of_masks_are_held(method: str) -> None:
    torch.manual_seed(0)
    graph = capture(Net().eval(), (images(2),)).graph
    context = Context(
        TABLE, rulebook(), default_profile(), Action(), calibration=lambda: batches(images(32))
    )
    context.reference = graph.clone()
    steps = [("prune", {"method": method}), ("fold", {}), ("place", {}), ("calibrate", {}), ROUND]
    for name, options in steps:
        graph, _ = context.action.pass_(make(name, options), graph, context)
    sparse = {mask.module for mask in context.facts[Pruning].masks.values()}
    assert sparse == {"point", "head"}
    for module, quantizer in quantizers(graph).items():
        weight, axis = stored(quantizer), quantizer.attributes["axis"]
        codes = quantize_codes(weight, quantizer.operands["scale"].data, axis, -127, 127)
        assert is_two_four(codes, 1) == (module in sparse), module
        assert codes.any()
    for row in rows(context).values():
        assert row.after <= 1.001 * row.plain, row


def test_few_samples_are_no_harm() -> None:
    unseen = images(64, seed=2)
    graph, _ = run(ROUND, given=batches(images(2)))
    nearest, _ = run(given=batches(images(2)))
    assert error(graph, unseen) < 2 * error(nearest, unseen)


def test_a_channel_of_zeros_stays_zero() -> None:
    torch.manual_seed(0)
    net = Net().eval()
    net.point.weight.data[3] = 0
    net.point.bias.data[3] = 1
    graph, _ = run(ROUND, net=net)
    weight = stored(quantizers(graph)["point"])
    assert np.isfinite(weight).all()
    assert np.isfinite(quantizers(graph)["point"].operands["scale"].data).all()
    assert np.abs(weight[3]).max() < 1e-3


def test_without_quantizers_there_is_nothing_to_do() -> None:
    graph = capture(Net().eval(), (images(2),)).graph
    context = Context(TABLE, rulebook(), default_profile(), Action())
    assert RoundWeights(always=True).run(graph, context) == 0


def test_without_the_model_as_read_it_says_so() -> None:
    torch.manual_seed(0)
    graph, context = run()
    context.reference = None
    with pytest.raises(SparqcError, match="the model as it was read is not there"):
        RoundWeights(always=True).run(graph, context)


def test_values_of_another_meaning_are_no_targets() -> None:
    """Where what a name stands for was permuted, each layer aims at what it gives itself."""
    torch.manual_seed(0)
    graph, context = run()
    nearest = error(graph, images(32, seed=2))
    assert context.reference is not None
    for node in context.reference.nodes:
        if node.op == "nn.conv":
            weight = node.operands["w"]
            weight.data = -weight.data
    RoundWeights(always=True).run(graph, context)
    assert error(graph, images(32, seed=2)) < 2 * nearest


def test_the_options_are_checked() -> None:
    with pytest.raises(ValueError, match="damping must be above 0"):
        RoundWeights(always=True, damping=-1)
    with pytest.raises(ValueError, match="batches must be at least 1"):
        RoundWeights(batches=0)
