"""Passes that keep accuracy do the same to a module and to the ONNX file of it."""

import re
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

import sparqc
from sparqc.passes.distill import Distillations
from sparqc.passes.on_data.transaction import Judgements
from sparqc.passes.reestimate import Reestimation
from sparqc.passes.round_weights import WeightRounding
from tests.passes.test_round_weights import Net, images
from tests.two_roads import both_roads, onnx_file

SPARSE = (
    "adopt, cleanup, fold-constants, prune, {}fold, place, calibrate, {}export, surgery, boundary"
)
DENSE = "adopt, cleanup, fold-constants, fold, {}place, calibrate, {}export, surgery, boundary"


def net() -> nn.Module:
    torch.manual_seed(0)
    return Net().eval()


def calibration(count: int = 64) -> list[tuple[torch.Tensor, ...]]:
    return [(part,) for part in images(count).split(16)]


def decibels(found: sparqc.Compiled) -> float:
    x = images(64, seed=2)
    with torch.no_grad():
        wanted = net()(x).numpy()
    session = onnxruntime.InferenceSession(found.model.SerializeToString())
    (actual,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    return float(10 * np.log10(np.square(wanted).sum() / np.square(actual - wanted).sum()))


@pytest.mark.parametrize(
    ("line", "front", "behind"),
    [
        (DENSE, "", "round-weights{always=true}, "),
        (DENSE, "", "round-weights, "),
        (DENSE, "", "correct-bias{always=true}, "),
        (SPARSE, "", "round-weights{always=true}, "),
        (SPARSE, "reestimate{always=true}, ", ""),
        (SPARSE.replace("prune", "prune{{method=auto}}"), "", ""),
        (SPARSE, "distill{epochs=3}, ", ""),
        (SPARSE.replace("prune", "prune{{method=permuted}}"), "", ""),
    ],
)
def test_both_roads_give_equal_figures(line: str, front: str, behind: str, tmp_path: Path) -> None:
    module, file = both_roads(
        net(), images(4), tmp_path, passes=line.format(front, behind), calibration=calibration()
    )
    assert decibels(module) == pytest.approx(decibels(file), abs=0.1)
    plain = re.sub(r"{{.*?}}", "", line)
    before = sparqc.compile(
        net(), (images(4),), passes=plain.format("", ""), calibration=calibration()
    )
    assert decibels(before) != pytest.approx(decibels(file), abs=0.2)


def test_the_facts_of_a_file_tell_what_was_done(tmp_path: Path) -> None:
    path = str(onnx_file(net(), images(4), tmp_path))
    rounded, trained, measured = (
        sparqc.compile(path, passes=passes, calibration=calibration()).context.facts
        for passes in (
            DENSE.format("", "round-weights{always=true}, "),
            SPARSE.format("distill{epochs=3}, ", ""),
            SPARSE.format("reestimate{always=true}, ", ""),
        )
    )
    assert len(rounded[WeightRounding].layers) == 5
    assert trained[Distillations].result.epochs
    assert len(measured[Reestimation].norms) == 1


def foreign_file(folder: Path) -> str:
    """The network with an operator that has no form in PyTorch in front of its output."""
    model = onnx.load(onnx_file(net(), images(4), folder))
    (output,) = model.graph.output
    (last,) = (node for node in model.graph.node if output.name in node.output)
    last.output[0] = "logits"
    model.graph.node.append(onnx.helper.make_node("MeanVarianceNormalization", ["logits"],
                                                  [output.name], axes=[1]))  # fmt: skip
    path = folder / "foreign.onnx"
    onnx.save(model, path)
    return str(path)


@pytest.mark.parametrize("pass_", ["round-weights", "round-weights{always=true}"])
def test_a_file_that_does_not_run_in_torch_keeps_its_codes_and_says_so(
    pass_: str, tmp_path: Path
) -> None:
    path = foreign_file(tmp_path)
    with_it, without = (
        sparqc.compile(path, passes=DENSE.format("", name), calibration=calibration())
        for name in (f"{pass_}, ", "")
    )
    (judgement,) = with_it.context.facts[Judgements].passes
    assert judgement.pass_ == "round-weights" and "has no form in PyTorch" in judgement.reason
    assert with_it.model.SerializeToString() == without.model.SerializeToString()


def test_distill_says_why_it_leaves_such_a_file(tmp_path: Path) -> None:
    passes = SPARSE.format("distill{epochs=1}, ", "")
    found = sparqc.compile(foreign_file(tmp_path), passes=passes, calibration=calibration())
    assert "has no form in PyTorch" in found.context.facts[Distillations].reason
