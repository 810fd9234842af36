"""What `place` did is never a finding: a graph that sparqc wrote is its own plan."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from torch import Tensor, nn

import sparqc
from sparqc.tools.check.checked import check_proto
from sparqc.tools.check.fix import fix
from sparqc.tools.engine.rtx import compile_rtx
from sparqc.tools.explain.prediction import predict
from tests.chains.chain import Chain


class Gated(nn.Module):
    """A U-Net's Concat, squeeze-and-excitation, SiLU, a depthwise pair, and a residual Add."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 32, 3, padding=1)
        self.down = nn.Conv2d(32, 64, 3, stride=2, padding=1)
        self.squeeze, self.excite = nn.Conv2d(64, 16, 1), nn.Conv2d(16, 64, 1)
        self.depthwise = nn.Conv2d(64, 64, 3, padding=1, groups=64)
        self.pointwise = nn.Conv2d(64, 64, 1)
        self.up = nn.Upsample(scale_factor=2)
        self.last = nn.Conv2d(96, 32, 3, padding=1)
        self.head = nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        first = self.first(x).relu()
        down = nn.functional.silu(self.down(first))
        gate = self.excite(self.squeeze(down.mean((2, 3), keepdim=True)).relu()).sigmoid()
        deep = self.pointwise(self.depthwise(down * gate).relu()) + down
        joined = torch.cat([self.up(deep.relu()), first], 1)
        return self.head(self.last(joined).relu().mean((2, 3)))


def placement(model: onnx.ModelProto) -> list[str]:
    """What is found of grade slow or error."""
    return [f"{f.id}: {f.message}" for f in check_proto(model).findings if f.grade != "note"]


@pytest.mark.parametrize("passes", ["int8", "all-sparse", "one-shot", "weights-only-sparse"])
@pytest.mark.parametrize("target", ["tensorrt-11", "tensorrt-8.6", "tensorrt-rtx"])
def test_a_network_of_everything(passes: str, target: str) -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 3, 32, 32)
    made = sparqc.compile(Gated().eval(), (x,), calibration=[(x,)], passes=passes, target=target)
    assert placement(made.model) == []


@pytest.mark.parametrize("seed", range(6))
def test_random_networks(seed: int) -> None:
    network = Chain(4, seed, length=5)
    inputs = tuple(network.inputs)
    made = sparqc.compile(network, inputs, calibration=[inputs], passes="int8")
    assert placement(made.model) == []


@pytest.mark.parametrize("target", ["tensorrt-11", "tensorrt-8.6", "tensorrt-rtx"])
def test_a_network_whose_ends_are_codes(target: str) -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 3, 32, 32)
    options = {"calibration": [(x,)], "passes": "int8", "target": target, "io": "int8,output=int8"}
    made = sparqc.compile(Gated().eval(), (x,), **options)  # type: ignore[arg-type]
    ends = (*made.model.graph.input, *made.model.graph.output)
    types = {end.type.tensor_type.elem_type for end in ends}
    assert types == {onnx.TensorProto.INT8}
    assert placement(made.model) == []


def without_skip(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model in which the Add of a residual block reads floats."""
    graph = model.graph
    giver = {o: n for n in graph.node for o in n.output}
    add = next(n for n in graph.node if n.op_type == "Add")
    for slot, name in enumerate(add.input):
        if giver[name].op_type == "DequantizeLinear":
            add.input[slot] = giver[giver[name].input[0]].input[0]
    return model


def test_the_cure_leaves_codes_at_the_ends() -> None:
    """A skip was left in float in a file that takes and gives codes."""
    torch.manual_seed(0)
    x = torch.randn(2, 3, 32, 32)
    options = {"calibration": [(x,)], "passes": "int8", "io": "int8,output=int8"}
    made = sparqc.compile(Gated().eval(), (x,), **options)  # type: ignore[arg-type]
    whole = made.model.SerializeToString()
    checked = check_proto(without_skip(made.model))
    assert {f.id for f in checked.findings if f.fix} >= {"residual-bare"}
    fixed = fix(checked)
    assert not {f.id for f in fixed.checked.findings} & set(fixed.cured)
    cured = fixed.checked.model
    assert [*made.model.graph.input, *made.model.graph.output] == [
        *cured.graph.input,
        *cured.graph.output,
    ]
    run = [ort.InferenceSession(m) for m in (whole, cured.SerializeToString())]
    codes = np.random.default_rng(0).integers(-127, 128, (2, 3, 32, 32)).astype(np.int8)
    first, second = (session.run(None, {"x": codes})[0].astype(int) for session in run)
    assert np.abs(first - second).max() <= 1


class Queries(nn.Module):
    """Learned queries, one set repeated for the batch, through a linear of their own."""

    def __init__(self) -> None:
        super().__init__()
        self.queries = nn.Parameter(torch.randn(1, 16, 64))
        self.q, self.k, self.out = (nn.Linear(64, 64) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        q, k = self.q(self.queries.expand(x.shape[0], -1, -1)), self.k(x)
        return self.out((q @ k.transpose(1, 2)).softmax(-1) @ k)


def test_a_linear_on_a_repeated_parameter_stays_in_float_as_the_compiler_runs_it() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 20, 64)
    made = sparqc.compile(
        Queries().eval(), (x,), calibration=[(x,)], passes="int8", target="tensorrt-rtx"
    )
    engine = compile_rtx(made.model, batch=2)
    predicted = predict(made.model)
    assert len(engine.int8_nodes) == len(predicted.int8_nodes) == 2
    assert placement(made.model) == []
