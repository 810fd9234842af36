"""What helps on data held back is kept, and what does not leaves no trace."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparqc.ir.graph import Graph
from sparqc.ir.text.print import print_graph
from sparqc.ir.vocabulary.table import default_table
from sparqc.passes.on_data.changes import changes_between
from sparqc.passes.on_data.held_out import LEAST, Split
from sparqc.passes.on_data.transaction import Judgements, keep_what_helps
from sparqc.rewrite.context import Context
from tests.calibration_models import Residual, context, images


@pytest.fixture(params=["fx", "onnx"])
def residual(request: pytest.FixtureRequest) -> Residual:
    return Residual(request.param)


def state(graph: Graph) -> tuple[str, dict[str, bytes]]:
    constants = {c.name: c.data.tobytes() for c in graph.constants if c.data is not None}
    return print_graph(graph), constants


def walked(graph: Graph, found: Context) -> Split:
    split = Split(graph, found)
    for _ in split.fitted():
        pass
    return split


def rounded(residual: Residual) -> tuple[Graph, Graph]:
    """The graph with weights rounded to eighths, which were others in its copy."""
    before = residual.graph.clone()
    for name in ("conv1.weight", "conv2.weight"):
        weight = residual.values[name]
        assert weight.data is not None
        weight.data = np.rint(weight.data * 4) / np.float32(4)
    return residual.graph, before


def test_a_good_proposal_is_kept_whole(residual: Residual) -> None:
    graph, reference = rounded(residual)
    found = context(images(4, 12))
    split = walked(graph, found)
    verdict = keep_what_helps(graph, reference, reference, split, "mine", found)
    assert (verdict.kept, verdict.undone, verdict.trials) == (("conv1", "conv2"), (), 1)
    assert verdict.after_db == np.inf
    assert verdict.samples == 12
    assert state(graph) == state(reference)
    assert found.facts[Judgements].passes == (verdict,)


def test_a_bad_part_is_undone(residual: Residual) -> None:
    graph, reference = rounded(residual)
    worked = reference.clone()
    bad = worked.value("conv1.weight")
    assert bad.data is not None
    bad.data = bad.data[::-1].copy()
    found = context(images(4, 12))
    before = graph.value("conv1.weight").data
    verdict = keep_what_helps(graph, worked, reference, walked(graph, found), "mine", found)
    assert (verdict.kept, verdict.undone, verdict.trials) == (("conv2",), ("conv1",), 3)
    assert verdict.whole_db < 0 < verdict.after_db - verdict.before_db
    assert graph.value("conv1.weight").data is before
    np.testing.assert_array_equal(
        graph.value("conv2.weight").data, reference.value("conv2.weight").data
    )


def worse(graph: Graph, seed: int) -> Graph:
    """Other weights, and biases where there were none."""
    rng = np.random.default_rng(seed)
    copy = graph.clone()
    for name in ("conv1", "conv2"):
        weight = copy.value(f"{name}.weight")
        assert weight.data is not None
        weight.data = rng.standard_normal(weight.data.shape).astype(np.float32)
        node = copy.value(name).producer
        assert node is not None
        bias = rng.standard_normal(4).astype(np.float32)
        copy.set_operand(node, "b", copy.constant(bias, f"{name}.bias"))
    return copy


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 1000), st.sampled_from(["fx", "onnx"]))
def test_refused_proposals_leave_every_byte(seed: int, level: str) -> None:
    residual = Residual(level)  # type: ignore[arg-type]
    graph, reference = rounded(residual)
    before, found = state(graph), context(images(4, 12))
    split = walked(graph, found)
    verdict = keep_what_helps(graph, worse(graph, seed), reference, split, "mine", found)
    assert verdict.kept == ()
    assert verdict.trials == 3
    assert state(graph) == before
    graph.verify()


@pytest.mark.parametrize("size", [1, 2, 4])
def test_few_samples_judge_nothing(residual: Residual, size: int) -> None:
    graph, reference = rounded(residual)
    before, found = state(graph), context(images(4, size))
    split = walked(graph, found)
    verdict = keep_what_helps(graph, reference, reference, split, "mine", found)
    assert verdict.reason.startswith(f"{split.samples} calibration samples are held back")
    assert split.samples < LEAST
    assert state(graph) == before


def test_biases_that_were_not_there_are_made(residual: Residual) -> None:
    reference = worse(residual.graph, 0)
    found = context(images(4, 12))
    split = walked(residual.graph, found)
    keep_what_helps(residual.graph, reference, reference, split, "mine", found)
    residual.graph.verify()
    assert not changes_between(residual.graph, reference, default_table())
    assert residual.node("conv1").operands["b"] is residual.graph.value("conv1.bias")
