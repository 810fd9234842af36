"""BatchNorm's statistics, measured again."""

from collections.abc import Iterator, Sequence

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from sparqc.capture.capture import capture
from sparqc.errors import SparqcError
from sparqc.ir.graph import Graph
from sparqc.ir.levels.execute import open_runner
from sparqc.ir.vocabulary.table import default_table
from sparqc.passes.masks.pruning import Mask, Pruning
from sparqc.passes.on_data.batch_statistics import Moments
from sparqc.passes.on_data.transaction import Judgement, Judgements
from sparqc.passes.reestimate import Reestimate, Reestimation, Statistics
from sparqc.rewrite.context import Batch, Context
from tests.calibration_models import context


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(4, 8, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(8)
        self.conv2 = nn.Conv2d(8, 4, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(4)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x))))))


class Net(nn.Module):
    """Two residual blocks, with statistics that do not fit."""

    def __init__(self) -> None:
        super().__init__()
        self.block1, self.block2 = Block(), Block()
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                nn.init.uniform_(module.weight, 0.5, 1.5)
                nn.init.normal_(module.bias)
                nn.init.normal_(module.running_mean)
                nn.init.uniform_(module.running_var, 0.1, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.block2(self.block1(x))


def graph_of(net: nn.Module) -> Graph:
    return capture(net, (torch.randn(2, 4, 8, 8),)).graph


def inputs(count: int) -> Tensor:
    return torch.randn(count, 4, 8, 8, generator=torch.Generator().manual_seed(1)) + 1


def batches(x: Tensor, size: int) -> list[Batch]:
    return [[part.numpy()] for part in x.split(size)]


def rows(found: Context) -> dict[str, Statistics]:
    return {row.module: row for row in found.facts[Reestimation].norms}


def mask(removed: float) -> Mask:
    return Mask("conv2d", "conv", "conv.weight", (4, 4, 3, 3), 1, True, "", removed)


def constants(graph: Graph) -> dict[str, np.ndarray]:
    return {c.name: c.data.copy() for c in graph.constants if c.data is not None}


@settings(max_examples=50)
@given(st.lists(st.integers(1, 4), min_size=1, max_size=6), st.integers(0, 2**32 - 1))
def test_moments_are_those_of_all_batches_at_once(sizes: list[int], seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(sum(sizes), 3, 5, 2, generator=generator) * 3 + 100
    moments = Moments()
    for part in x.split(sizes):
        moments.add(part)
    variance, mean = torch.var_mean(x.double(), (0, 2, 3))
    torch.testing.assert_close(moments.mean, mean, rtol=1e-6, atol=0)
    torch.testing.assert_close(moments.unbiased_variance, variance, rtol=1e-4, atol=0)
    assert moments.count == 10 * sum(sizes)


def test_one_batch_gives_what_torch_gives_in_training() -> None:
    net, x = Net(), inputs(16)
    graph = graph_of(net)
    assert Reestimate(always=True).run(graph, context(batches(x, 16))) == 4

    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # cumulative
            module.reset_running_stats()
    net.train()(x)
    for name, buffer in net.named_buffers():
        if "running" in name:
            np.testing.assert_allclose(
                graph.value(name).data, buffer.numpy(), rtol=1e-4, atol=1e-5, err_msg=name
            )


@pytest.mark.parametrize("size", [1, 3, 16, 64])
def test_afterwards_every_batch_norm_normalises(size: int) -> None:
    """Whatever the batches: a fresh look at the inputs finds nearly the recorded statistics."""
    graph, x = graph_of(Net()), inputs(64)
    Reestimate(always=True).run(graph, context(batches(x, size)))

    norms = [node for node in graph.nodes if node.op == "nn.batch_norm"]
    _, seen = open_runner(graph, default_table()).run(
        [x.numpy()], [node.operands["x"] for node in norms]
    )
    for node, array in zip(norms, seen, strict=True):
        deviation = array.std((0, 2, 3))
        np.testing.assert_allclose(
            node.operands["mean"].data / deviation, array.mean((0, 2, 3)) / deviation, atol=0.05
        )
        np.testing.assert_allclose(node.operands["var"].data, array.var((0, 2, 3)), rtol=0.1)


def test_the_first_layer_does_not_depend_on_the_batches() -> None:
    x, found = inputs(24), []
    net = Net()
    for size in (1, 5, 24):
        graph = graph_of(net)
        Reestimate(always=True).run(graph, context(batches(x, size)))
        found.append(constants(graph)["block1.bn1.running_var"])
    np.testing.assert_allclose(found[0], found[2], rtol=1e-5)
    np.testing.assert_allclose(found[1], found[2], rtol=1e-5)


def test_only_the_statistics_change_and_the_users_module_does_not() -> None:
    net = Net()
    graph = graph_of(net)
    before, weights = constants(graph), {k: v.clone() for k, v in net.state_dict().items()}
    Reestimate(always=True).run(graph, context(batches(inputs(8), 4)))
    after = constants(graph)
    changed = {name for name in after if (after[name] != before[name]).any()}
    assert changed == {name for name in after if "running" in name}
    assert after.keys() == before.keys()
    assert all((net.state_dict()[name] == old).all() for name, old in weights.items())
    graph.verify()


def test_the_report_says_how_far_off_the_statistics_were() -> None:
    net = Net()
    graph, found = graph_of(net), context(batches(inputs(8), 4))
    Reestimate(always=True).run(graph, found)
    assert list(rows(found)) == ["block1.bn1", "block1.bn2", "block2.bn1", "block2.bn2"]
    row = rows(found)["block1.bn1"]
    mean, var = (graph.value(f"block1.bn1.running_{name}").data for name in ("mean", "var"))
    old_mean, old_var = net.block1.bn1.running_mean.numpy(), net.block1.bn1.running_var.numpy()
    assert row.elements == 8 * 64
    assert row.shift == pytest.approx((np.abs(mean - old_mean) / np.sqrt(old_var)).max(), rel=1e-5)
    assert row.spread == pytest.approx(np.median(var / old_var), rel=1e-5)


# -- when there is nothing to do -----------------------------------------------------------------


def test_without_a_masked_weight_nothing_is_done() -> None:
    graph, found = graph_of(Net()), context()
    assert Reestimate().run(graph, found) == 0
    assert found.facts[Reestimation].norms == ()


def test_behind_a_mask_it_is() -> None:
    found = context(batches(inputs(4), 4))
    found.facts.put(Pruning({"conv2d": mask(removed=0.5)}))
    assert Reestimate().run(graph_of(Net()), found) == 4


def test_behind_a_weight_that_was_sparse_already_it_is_not() -> None:
    found = context()
    found.facts.put(Pruning({"conv2d": mask(removed=0.0)}))
    assert Reestimate().run(graph_of(Net()), found) == 0


def test_a_model_without_batch_norm_needs_no_data() -> None:
    graph = graph_of(nn.Conv2d(4, 4, 1))
    assert Reestimate(always=True).run(graph, context()) == 0


# -- shared statistics ---------------------------------------------------------------------------


class Twice(nn.Module):
    """One BatchNorm behind two convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 1)
        self.bn = nn.BatchNorm2d(4)

    def forward(self, x: Tensor) -> Tensor:
        return self.bn(self.a(x)) + self.bn(self.b(x) + 5)


def test_a_batch_norm_that_is_called_twice_sees_both() -> None:
    net, x = Twice(), inputs(8)
    graph = graph_of(net)
    assert Reestimate(always=True).run(graph, context(batches(x, 3))) == 2
    with torch.no_grad():
        both = torch.cat([net.a(x), net.b(x) + 5])
    np.testing.assert_allclose(
        graph.value("bn.running_mean").data, both.mean((0, 2, 3)), rtol=1e-4, atol=1e-5
    )
    np.testing.assert_allclose(graph.value("bn.running_var").data, both.var((0, 2, 3)), rtol=1e-4)


def test_a_constant_that_someone_else_reads_too_stays() -> None:
    graph = graph_of(nn.Sequential(nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)))
    mean = graph.value("1.running_mean")
    (output,) = graph.outputs
    shown = graph.create("nn.neg", {"x": mean}, types=[mean.type])
    graph.set_outputs([output, shown.output])
    before = constants(graph)["1.running_mean"]

    Reestimate(always=True).run(graph, context(batches(inputs(8), 8)))

    assert (mean.data == before).all()
    norm = output.producer
    assert norm is not None
    assert norm.operands["mean"] is graph.value("1.running_mean_1")
    assert norm.operands["var"] is graph.value("1.running_var")
    graph.verify()


# -- mistakes ------------------------------------------------------------------------------------


def failure(given: Sequence[Batch] | None, net: nn.Module | None = None) -> str:
    with pytest.raises(SparqcError) as error:
        Reestimate(always=True).run(graph_of(net or Net()), context(given))
    return str(error.value)


def test_without_calibration_data() -> None:
    assert failure(None).startswith("there is no calibration data")


def test_a_batch_that_is_no_number() -> None:
    x = inputs(4)
    x[3, 0, 0, 0] = float("nan")
    message = failure(batches(x, 2))
    assert "(block1.bn1)' is NaN or infinite in calibration batch 2" in message


def test_one_value_a_channel_has_no_variance() -> None:
    net = nn.Sequential(nn.Conv2d(4, 4, 8), nn.BatchNorm2d(4))
    assert "(1)' saw 1 value a channel" in failure(batches(inputs(1), 1), net)


def test_batches_are_limited() -> None:
    def endless() -> Iterator[Batch]:
        while True:
            yield [inputs(2).numpy()]

    found = context(endless)
    Reestimate(always=True, batches=3).run(graph_of(Net()), found)
    assert rows(found)["block1.bn1"].elements == 3 * 2 * 64
    with pytest.raises(ValueError, match="batches must be at least 1"):
        Reestimate(batches=0)


# -- never worse ---------------------------------------------------------------------------------


def pruned(seed: int = 0) -> tuple[Graph, Graph]:
    """A network whose statistics fit, with most of its weights gone; and the network before."""
    torch.manual_seed(seed)
    net = Net()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # the mean of all batches
            module.reset_running_stats()
    net.train()
    with torch.no_grad():
        net(inputs(512))
    before = graph_of(net.eval())
    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, nn.Conv2d):
                small = module.weight.abs() < module.weight.abs().quantile(0.6)
                module.weight[small] = 0
    return graph_of(net), before


def distance(graph: Graph, reference: Graph) -> float:
    """Of the directions of the outputs, on images that nobody has seen."""
    x = [torch.randn(256, 4, 8, 8, generator=torch.Generator().manual_seed(7)).numpy() + 1]
    found, wanted = (open_runner(g, default_table()).run(x)[0][0] for g in (graph, reference))
    cosine = (found * wanted).sum() / np.sqrt(np.square(found).sum() * np.square(wanted).sum())
    return float(1 - cosine**2)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("count", [1, 2, 4, 8, 128])
def test_the_network_is_never_worse_than_before(count: int, seed: int) -> None:
    graph, reference = pruned(seed)
    before = distance(graph, reference)
    given = context(batches(inputs(count), 8), reference=reference)
    given.facts.put(Pruning({"conv2d": mask(0.6)}))
    Reestimate().run(graph, given)
    assert distance(graph, reference) <= before * 1.05
    share = given.facts[Reestimation].share
    assert share == 0 or count > 1


def test_statistics_that_do_not_fit_are_replaced() -> None:
    graph, reference = ruined()
    before = distance(graph, reference)
    given = context(batches(inputs(128), 8), reference=reference)
    given.facts.put(Pruning({"conv2d": mask(0.6)}))
    assert Reestimate().run(graph, given) == 4
    assert given.facts[Reestimation].share == 1
    assert distance(graph, reference) < before / 2


def ruined(seed: int = 3) -> tuple[Graph, Graph]:
    """A network whose statistics do not fit any more, and the network before."""
    graph, reference = pruned()
    rng = np.random.default_rng(seed)
    for constant in graph.constants:
        if "running" in constant.name:
            assert constant.data is not None
            constant.data = rng.uniform(0.1, 3, constant.data.shape).astype(np.float32)
    return graph, reference


def judged(graph: Graph, given: Context) -> Judgement:
    given.facts.put(Pruning({"conv2d": mask(0.6)}))
    Reestimate().run(graph, given)
    (found,) = given.facts[Judgements].passes
    return found


def test_what_the_judge_keeps_is_measured_on_its_samples_too() -> None:
    graph, reference = ruined()
    given = context(batches(inputs(64), 8), reference=reference)
    found = judged(graph, given)
    assert found.kept and not found.undone
    assert found.samples == 16 and found.after_db > found.before_db
    assert {row.elements for row in rows(given).values()} == {64 * 64}


def test_what_the_judge_refuses_leaves_no_byte() -> None:
    """The first three quarters of each batch are of another kind than what judges."""
    graph, reference = pruned()
    x = inputs(64)
    x.view(8, 8, *x.shape[1:])[:, :6] *= 20
    before = constants(graph)
    given = context(batches(x, 8), reference=reference)
    found = judged(graph, given)
    assert found.undone and not found.kept and found.trials > 1
    assert given.facts[Reestimation] == Reestimation(share=0.0)
    after = constants(graph)
    assert all(np.array_equal(before[name], after[name]) for name in before)


def test_few_samples_choose_without_a_judge() -> None:
    graph, reference = ruined()
    given = context(batches(inputs(16), 8), reference=reference)
    given.facts.put(Pruning({"conv2d": mask(0.6)}))
    before = distance(graph, reference)
    assert Reestimate().run(graph, given) == 4
    assert given.facts[Reestimation].few == 4 and Judgements not in given.facts
    assert distance(graph, reference) < before


def test_an_onnx_graph_gets_the_same_statistics() -> None:
    found = []
    for level in ("fx", "onnx"):
        graph, reference = ruined()
        graph, reference = (at_level(g, level) for g in (graph, reference))
        given = context(batches(inputs(64), 8), reference=reference)
        judged(graph, given)
        found.append(constants(graph))
    assert found[0].keys() == found[1].keys()
    for name, data in found[0].items():
        np.testing.assert_allclose(data, found[1][name], rtol=1e-5, atol=1e-6, err_msg=name)


def test_an_onnx_graph_that_does_not_run_in_torch_keeps_its_own() -> None:
    graph, reference = (at_level(g, "onnx") for g in ruined())
    (output,) = graph.outputs
    foreign = graph.create("onnx.Foreign", {"x": output}, types=[output.type])
    graph.set_outputs([foreign.output])
    before = constants(graph)
    given = context(batches(inputs(64), 8), reference=reference)
    given.facts.put(Pruning({"conv2d": mask(0.6)}))
    assert Reestimate().run(graph, given) == 0
    assert "is onnx.Foreign" in given.facts[Reestimation].reason
    assert all(np.array_equal(before[n], x) for n, x in constants(graph).items())


def at_level(graph: Graph, level: str) -> Graph:
    """The graph as it would have come from a file of the level."""
    if level == "onnx":
        graph = graph.clone()
        graph.level, graph.native = "onnx", None
    return graph


def test_always_takes_what_was_measured() -> None:
    graph, reference = pruned()
    given = context(batches(inputs(4), 4), reference=reference)
    Reestimate(always=True).run(graph, given)
    assert given.facts[Reestimation].share == 1
    assert given.facts[Reestimation].norms
