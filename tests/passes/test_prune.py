"""2:4 masks by magnitude, and with the weights that stay repaired."""

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import sparqc
from sparqc.capture.capture import capture
from sparqc.declared.targets import default_profile
from sparqc.errors import SparqcError
from sparqc.ir.constants import constant_value
from sparqc.ir.graph import Array, Graph
from sparqc.ir.levels.execute import open_runner
from sparqc.ir.onnx.adapter import read_onnx
from sparqc.ir.vocabulary.table import default_table
from sparqc.ir.weighted import weighted
from sparqc.numerics.two_four import two_four_mask, two_four_violations
from sparqc.passes.layerwise import states
from sparqc.passes.layerwise.damping import SHARES
from sparqc.passes.layerwise.repaired import Repaired
from sparqc.passes.masks.pruning import Pruning
from sparqc.passes.prune import Prune
from sparqc.passes.reestimate import Reestimate
from sparqc.pipeline.action import Action
from sparqc.pipeline.library import rulebook
from sparqc.rewrite.context import Batch, Context
from tests.match.sketches import book_of

TABLE = default_table()
REPAIR = Prune(method="sparsegpt")


class Net(nn.Module):
    """A stem that stays dense, a residual block with BatchNorm, a strided layer with a bias."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 32, 3, padding=1)
        self.conv1 = nn.Conv2d(32, 32, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(32)
        self.conv2 = nn.Conv2d(32, 32, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(32)
        self.down = nn.Conv2d(32, 64, 3, stride=2, padding=1)
        self.head = nn.Linear(64, 10)
        for norm in (self.bn1, self.bn2):
            nn.init.uniform_(norm.running_var, 0.5, 2)
            nn.init.normal_(norm.running_mean)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.stem(x))
        x = torch.relu(x + self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x))))))
        return self.head(torch.relu(self.down(x)).mean((2, 3)))


def images(count: int, seed: int = 1) -> Tensor:
    """Images whose neighbouring pixels are alike."""
    x = torch.randn(count, 3, 4, 4, generator=torch.Generator().manual_seed(seed))
    return nn.functional.interpolate(x, scale_factor=3.0, mode="bilinear")


def batches(x: Tensor, size: int) -> list[Batch]:
    return [[part.numpy()] for part in x.split(size)]


def context(
    given: Iterable[Batch] | Callable[[], Iterable[Batch]] | None, **wishes: object
) -> Context:
    calibration = given if given is None or callable(given) else lambda: given
    return Context(
        TABLE, rulebook(), default_profile(), Action(), calibration=calibration, **wishes
    )  # type: ignore[arg-type]


def pruned(how: Prune, given: object, net: nn.Module | None = None) -> tuple[Graph, Context]:
    torch.manual_seed(0)
    graph = capture((net or Net()).eval(), (images(2),)).graph
    found = context(given)  # type: ignore[arg-type]
    how.run(graph, found)
    graph.verify()
    return graph, found


def weights(graph: Graph) -> dict[str, tuple[Array, int]]:
    """The weight that each layer multiplies by, and its reduction axis."""
    return {
        w.node.origin.module: (constant_value(w.weight, TABLE), w.reduction_axis)
        for w in weighted(graph, TABLE)
    }


def output(graph: Graph, x: Tensor) -> Array:
    return open_runner(graph, TABLE).run([x.numpy()])[0][0]


def error(graph: Graph, x: Tensor) -> float:
    torch.manual_seed(0)
    with torch.no_grad():
        wanted = Net().eval()(x).numpy()
    return float(np.square(output(graph, x) - wanted).sum() / np.square(wanted).sum())


def rows(found: Context) -> dict[str, Repaired]:
    return {row.module: row for row in found.facts[Pruning].repaired}


def test_repaired_layers_keep_two_of_four_and_give_nearly_what_they_gave() -> None:
    given = batches(images(64), 16)
    magnitude, _ = pruned(Prune(), given)
    repaired, found = pruned(REPAIR, given)
    assert set(rows(found)) == {"conv1", "conv2", "down"}
    for module in rows(found):
        weight, axis = weights(repaired)[module]
        assert two_four_violations(weight, axis) == 0
        assert np.count_nonzero(weight) == weight.size / 2
    unseen = images(64, seed=2)
    assert error(repaired, unseen) < 0.1 * error(magnitude, unseen)


def test_no_layer_is_worse_than_by_magnitude_on_the_calibration_data() -> None:
    _, found = pruned(REPAIR, batches(images(8), 8))
    for row in rows(found).values():
        assert row.after <= row.plain
        assert row.seconds > 0
    assert rows(found)["conv1"].dense < 1e-6  # nothing in front of it was changed
    assert rows(found)["conv1"].columns == 288
    assert rows(found)["conv1"].samples == 8 * 144


def test_masks_are_operators_and_weights_keep_their_names() -> None:
    graph, found = pruned(REPAIR, batches(images(8), 8))
    masks = [node for node in graph.nodes if node.op == "sparse.mask"]
    assert [m.operands["w"].name for m in masks] == ["conv1.weight", "conv2.weight", "down.weight"]
    assert [m.module for m in found.facts[Pruning].masks.values()] == ["conv1", "conv2", "down"]
    assert all(0 < m.removed < 0.6 for m in found.facts[Pruning].masks.values())
    assert {m.module for m in found.facts[Pruning].dense.values()} == {"stem", "head"}


def test_behind_repaired_weights_batch_norm_statistics_stay() -> None:
    given = batches(images(8), 8)
    graph, found = pruned(REPAIR, given)
    assert Reestimate().run(graph, found) == 0
    by_size, found = pruned(Prune(), given)
    assert Reestimate().run(by_size, found) == 2


def test_damping_is_chosen_on_images_that_were_held_back_or_given() -> None:
    _, found = pruned(REPAIR, batches(images(64), 16))
    assert {row.damping for row in rows(found).values()} <= set(SHARES)
    _, found = pruned(Prune(method="sparsegpt", damping=0.05), batches(images(16), 16))
    assert {row.damping for row in rows(found).values()} == {0.05}
    _, found = pruned(REPAIR, batches(images(1), 1))
    assert {row.damping for row in rows(found).values()} == {1.0}  # nothing to compare with


def test_the_module_of_the_user_keeps_its_weights() -> None:
    net = Net()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    pruned(REPAIR, batches(images(8), 8), net)
    for name, tensor in net.state_dict().items():
        assert torch.equal(tensor, before[name]), name


@pytest.mark.parametrize("size", [1, 7, 16])
def test_the_cut_into_batches_does_not_matter(size: int) -> None:
    x = images(16)
    whole, _ = pruned(REPAIR, batches(x, 16))
    parts, _ = pruned(REPAIR, batches(x, size))
    np.testing.assert_allclose(output(parts, x), output(whole, x), rtol=1e-2, atol=1e-2)


def test_states_on_disk_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    x = images(16)
    memory, _ = pruned(REPAIR, batches(x, 8))
    monkeypatch.setattr("sparqc.passes.layerwise.repair.open_states", lambda: states.open_states(1))
    disk, _ = pruned(REPAIR, batches(x, 8))
    for module, (weight, _) in weights(memory).items():
        np.testing.assert_array_equal(weights(disk)[module][0], weight)


def test_a_weight_that_is_two_four_keeps_its_zeros() -> None:
    torch.manual_seed(0)
    net = Net()
    mask = torch.zeros_like(net.conv1.weight)
    mask[:, 1::4] = mask[:, 2::4] = 1  # which no choice by size would give
    net.conv1.weight.data *= mask
    graph, _ = pruned(REPAIR, batches(images(16), 8), net)
    weight, _ = weights(graph)["conv1"]
    np.testing.assert_array_equal(weight != 0, mask.numpy() != 0)


def test_few_samples_leave_what_they_do_not_determine() -> None:
    """One image of few pixels, for 288 columns: damping takes care."""
    graph, found = pruned(REPAIR, batches(images(1), 1))
    assert all(row.after <= row.plain for row in rows(found).values())
    assert error(graph, images(16, seed=3)) < 1


def test_dead_inputs_do_no_harm() -> None:
    torch.manual_seed(0)
    net = Net()
    net.stem.weight.data[:16] = 0
    net.stem.bias.data[:16] = -1
    graph, _ = pruned(REPAIR, batches(images(8), 4), net)
    weight, axis = weights(graph)["conv1"]
    assert np.isfinite(weight).all()
    assert two_four_violations(weight, axis) == 0


class Shared(nn.Module):
    """One convolution twice."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(32, 32, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(torch.relu(self.conv(x)))


def test_shared_weights_are_masked_by_magnitude() -> None:
    torch.manual_seed(0)
    net = Shared()
    graph = capture(net, (torch.randn(2, 32, 6, 6),)).graph
    found = context([[torch.randn(4, 32, 6, 6).numpy()]])
    assert REPAIR.run(graph, found) == 1
    assert found.facts[Pruning].repaired == ()
    wanted = net.conv.weight.detach().numpy()
    for node in graph.nodes:
        if node.op == "nn.conv":
            np.testing.assert_array_equal(
                constant_value(node.operands["w"], TABLE), wanted * two_four_mask(wanted, 1)
            )


class Linears(nn.Module):
    """What a transformer does to tokens [batch, tokens, 32]."""

    def __init__(self) -> None:
        super().__init__()
        self.up, self.down = nn.Linear(32, 64), nn.Linear(64, 32, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.down(torch.relu(self.up(x)))


def test_linear_layers_on_tokens() -> None:
    torch.manual_seed(0)
    net, mixed = Linears(), torch.randn(32, 32) / 5
    x = torch.randn(16, 10, 32) @ mixed
    graph = capture(net, (x[:2],)).graph
    found = context([[x.numpy()]])
    assert REPAIR.run(graph, found) == 2
    assert [row.samples for row in found.facts[Pruning].repaired] == [160, 160]
    by_size = capture(net, (x[:2],)).graph
    Prune().run(by_size, context(None))
    with torch.no_grad():
        wanted = net(x).numpy()
    far, near = (np.square(output(g, x) - wanted).sum() for g in (by_size, graph))
    assert near < 0.5 * far


def test_the_options_are_checked() -> None:
    with pytest.raises(ValueError, match="damping must be above 0"):
        Prune(damping=0)
    with pytest.raises(ValueError, match="batches must be at least 1"):
        Prune(batches=0)
    with pytest.raises(ValueError, match="mixed must be at least 0"):
        Prune(mixed=-1)


def test_at_most_so_many_batches() -> None:
    _, found = pruned(Prune(method="sparsegpt", batches=2), batches(images(32), 4))
    assert rows(found)["conv1"].samples == 8 * 144


def test_progress_names_the_layers() -> None:
    seen: list[tuple[int, int | None, str]] = []
    torch.manual_seed(0)
    graph = capture(Net().eval(), (images(2),)).graph
    REPAIR.run(graph, context(batches(images(4), 4), progress=lambda *call: seen.append(call)))
    assert seen[-3:] == [(i, 3, "layers repaired") for i in (1, 2, 3)]


def test_without_calibration_data_it_says_so() -> None:
    with pytest.raises(SparqcError, match="there is no calibration data"):
        pruned(REPAIR, None)


def test_nan_names_the_batch() -> None:
    given = batches(images(8), 4)
    given[1][0][0, 0, 0, 0] = np.nan
    with pytest.raises(SparqcError, match="NaN or infinite values in calibration batch 2"):
        pruned(REPAIR, given)


def test_data_that_ends_with_an_exception() -> None:
    def broken() -> Iterator[Batch]:
        yield from batches(images(4), 4)
        raise OSError("the disk is gone")

    with pytest.raises(SparqcError, match=r"raised OSError: the disk is gone \(batch 2\)"):
        pruned(REPAIR, broken)


def test_an_onnx_graph_is_repaired_alike() -> None:
    torch.manual_seed(0)
    line = "fold, export, surgery"
    model = sparqc.compile(Net().eval(), (images(2),), passes=line).model
    graph = read_onnx(model, TABLE)
    x = images(64)
    found = context(batches(x, 16))
    assert REPAIR.run(graph, found) == 3
    assert error(graph, images(32, seed=2)) < 0.1
    for row in found.facts[Pruning].repaired:
        assert row.after < 0.5 * row.plain
    for weight, axis in weights(graph).values():
        if weight.shape[1] % 16 == 0 and weight.ndim == 4:
            assert two_four_violations(weight, axis) == 0


@settings(max_examples=10)
@given(
    st.sampled_from([16, 32]),
    st.integers(1, 3),
    st.integers(1, 2),
    st.integers(0, 1),
    st.integers(1, 2),
    st.booleans(),
)
def test_convolutions_of_all_shapes(
    channels: int, kernel: int, stride: int, padding: int, dilation: int, bias: bool
) -> None:
    torch.manual_seed(0)
    net = nn.Conv2d(channels, 16, kernel, stride, padding, dilation, bias=bias)
    mixed = torch.randn(channels, channels) / channels**0.5
    x = torch.einsum("bchw,cd->bdhw", torch.randn(8, channels, 9, 9), mixed)
    graph = capture(net, (x[:2],)).graph
    found = context([[x.numpy()]])
    if not REPAIR.run(graph, found):
        return
    (row,) = found.facts[Pruning].repaired
    assert row.after <= row.plain
    with torch.no_grad():
        wanted = net(x)
    energy = (wanted - wanted.mean((0, 2, 3), keepdim=True) * bias).square().sum()
    gap = np.square(output(graph, x) - wanted.numpy()).sum() / energy.item()
    assert gap == pytest.approx(row.after, rel=1e-3)  # the row says what happens


# -- repaired where data and graph allow it ------------------------------------------------------

AUTO = Prune(method="auto")


def test_auto_repairs_on_a_part_of_the_data_and_tells_of_the_rest() -> None:
    given = batches(images(64), 16)
    magnitude, _ = pruned(Prune(), given)
    graph, found = pruned(AUTO, given)
    unseen = found.facts[Pruning].unseen
    assert unseen is not None and unseen.images == 16
    held = torch.cat([torch.from_numpy(x[-4:]) for (x,) in given])
    assert unseen.snr_db == pytest.approx(-10 * np.log10(error(graph, held)), abs=0.01)
    assert error(graph, images(64, seed=2)) < 0.1 * error(magnitude, images(64, seed=2))


def test_auto_leaves_weights_alone_that_are_two_four_already() -> None:
    net = Net()
    for module in (net.conv1, net.conv2, net.down):
        weight = module.weight.detach().numpy()
        module.weight.data *= torch.from_numpy(two_four_mask(weight, 1))
    before = {name: p.detach().clone() for name, p in net.named_parameters()}
    graph, found = pruned(AUTO, batches(images(64), 16), net)
    assert not found.facts[Pruning].repaired and not found.facts[Pruning].is_lossy
    assert found.facts[Pruning].unrepaired == ""
    for module in ("conv1", "conv2", "down"):
        np.testing.assert_array_equal(weights(graph)[module][0], before[f"{module}.weight"])


@pytest.mark.parametrize(
    ("given", "wishes", "reason"),
    [
        (None, {}, "calibration data is missing"),
        (batches(images(64), 16), {"random_calibration": True}, "calibration data is random"),
    ],
)
def test_auto_prunes_by_magnitude_where_it_cannot_repair(
    given: list[Batch] | None, wishes: dict[str, object], reason: str
) -> None:
    torch.manual_seed(0)
    graph = capture(Net().eval(), (images(2),)).graph
    found = context(given, **wishes)
    AUTO.run(graph, found)
    plain, _ = pruned(Prune(), None)
    assert found.facts[Pruning].unrepaired == reason
    for module, (weight, _) in weights(plain).items():
        np.testing.assert_array_equal(weights(graph)[module][0], weight)


def test_auto_prunes_by_magnitude_what_does_not_run_in_torch() -> None:
    """An ONNX graph with an operator that the table does not know."""
    made = sparqc.compile(Net().eval(), (images(2),), passes="float").model
    made.graph.node.append(onnx.helper.make_node("Hardmax", [made.graph.output[0].name], ["odd"]))
    made.graph.output[0].name = "odd"
    given = batches(images(64), 16)
    graph = read_onnx(made, TABLE)
    found = context(given)
    AUTO.run(graph, found)
    pruning = found.facts[Pruning]
    assert "has no form in PyTorch" in pruning.unrepaired and not pruning.repaired
    assert pruning.is_lossy and pruning.unseen is None


def test_mixtures_serve_images_that_were_not_seen() -> None:
    """Of few images: those that are mixed have fewer correlations of their own."""
    given = batches(images(8), 8)
    plain, _ = pruned(REPAIR, given)
    mixed, found = pruned(Prune(method="sparsegpt", mixed=4), given)
    assert rows(found)["conv1"].samples == 5 * 8 * 144
    unseen = images(256, seed=2)
    assert error(mixed, unseen) < error(plain, unseen)


def test_a_fusion_that_does_not_ask_for_groups_of_four_leaves_other_layers_dense() -> None:
    text = (
        "fusion own on fx, onnx:\n"
        '    "A convolution and its Tanh, whatever its channels."\n'
        "    match:\n        c = nn.conv(x, w: const, b?: const)\n        y = nn.tanh(c)\n"
        "    sparse w\n"
    )
    net = nn.Sequential(nn.Conv2d(6, 8, 3), nn.Tanh(), nn.Conv2d(8, 8, 3), nn.Tanh())
    graph = capture(net, (torch.randn(2, 6, 9, 9),)).graph
    asked = Context(TABLE, book_of(text), default_profile(), Action())
    Prune(method="magnitude").run(graph, asked)
    (first,), (second,) = asked.facts[Pruning].dense.values(), asked.facts[Pruning].masks.values()
    assert first.reason == "2:4 runs along 6 channels, which are no multiple of 4"
    assert (first.module, second.module) == ("0", "2")
