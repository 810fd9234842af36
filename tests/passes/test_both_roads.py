"""Passes that keep accuracy do the same to a module and to the ONNX file of it."""

import re
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

import sparqc
from sparqc.passes.distill import Distillations
from sparqc.passes.equalize.equalized import Equalization
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


class Rows(nn.Module):
    """Linear layers on rows of features, which files write as MatMul and Add."""

    def __init__(self) -> None:
        super().__init__()
        self.front, self.norm = nn.Linear(64, 128), nn.LayerNorm(128)
        self.middle, self.behind = nn.Linear(128, 64), nn.Linear(64, 64)
        self.head = nn.Linear(64, 32)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(torch.relu(self.front(x)))
        x = torch.relu(self.behind(torch.relu(self.middle(x))))
        return self.head(x.mean(1))


def rows(count: int, seed: int = 1) -> Tensor:
    """Features that are alike."""
    draw = torch.Generator().manual_seed(seed)
    mixed = torch.randn(8, 64, generator=torch.Generator().manual_seed(0))
    return torch.randn(count, 10, 8, generator=draw) @ mixed


def calibration(count: int = 64) -> list[tuple[Tensor, ...]]:
    return [(part,) for part in images(count).split(16)]


def decibels(found: sparqc.Compiled) -> float:
    return behind(net(), images(64, seed=2), found)


def behind(module: nn.Module, x: Tensor, found: sparqc.Compiled) -> float:
    """The signal-to-noise ratio of what was compiled, on some inputs."""
    with torch.no_grad():
        wanted = module(x).numpy()
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


def of_rows(seed: int = 1) -> list[tuple[Tensor, ...]]:
    return [(part,) for part in rows(64, seed).split(16)]


@pytest.mark.parametrize(
    ("line", "step"),
    [
        (DENSE.format("", "<step>"), "correct-bias{always=true}, "),
        (DENSE.format("", "<step>"), "round-weights{always=true}, "),
        (SPARSE.format("<step>", ""), "distill{epochs=3}, "),
        (SPARSE.replace("prune", "prune<step>").format("", ""), "{method=sparsegpt}"),
    ],
)
def test_a_bias_may_stand_in_an_add_of_its_own(line: str, step: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = Rows().eval()
    passes = line.replace("<step>", step)
    found = both_roads(net, rows(4), tmp_path, passes=passes, calibration=of_rows())
    assert "MatMul" in {node.op_type for node in onnx.load(tmp_path / "model.onnx").graph.node}
    module, file = (behind(net, rows(64, 2), compiled) for compiled in found)
    assert module == pytest.approx(file, abs=0.1)
    plain = sparqc.compile(
        net, (rows(4),), passes=line.replace("<step>", ""), calibration=of_rows()
    )
    assert file != pytest.approx(behind(net, rows(64, 2), plain), abs=0.2)


def test_equalize_says_which_layers_have_no_place_for_factors(tmp_path: Path) -> None:
    torch.manual_seed(0)
    file = str(onnx_file(Rows().eval(), rows(4), tmp_path))
    found = sparqc.compile(file, passes="int8, +equalize@after=fold", calibration=of_rows())
    told = [row.reason for row in found.context.facts[Equalization].groups]
    assert sum(reason.startswith("nn.matmul takes no factors") for reason in told) == 3


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
