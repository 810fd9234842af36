"""The blocks of YOLO networks: SiLU, CSP with a residual, SPPF, upsampling and Concat."""

import pytest
import torch
from torch import nn

import sparqc
from sparqc.passes.place.placement import Placement
from sparqc.tools.engine.rtx import compile_rtx
from tests.zoo.structure import Structure


class Conv(nn.Module):
    """Convolution, BatchNorm, SiLU."""

    def __init__(self, cin, cout, size=1, stride=1):
        super().__init__()
        self.conv = nn.Conv2d(cin, cout, size, stride, size // 2, bias=False)
        self.bn = nn.BatchNorm2d(cout)
        self.act = nn.SiLU()

    def forward(self, x):
        return self.act(self.bn(self.conv(x)))


class C2f(nn.Module):
    """Split, bottlenecks with a skip, and a Concat of everything on the way."""

    def __init__(self, cin, cout, count=2):
        super().__init__()
        self.half = cout // 2
        self.first = Conv(cin, cout)
        self.blocks = nn.ModuleList(
            nn.Sequential(Conv(self.half, self.half, 3), Conv(self.half, self.half, 3))
            for _ in range(count)
        )
        self.last = Conv((2 + count) * self.half, cout)

    def forward(self, x):
        parts = list(self.first(x).chunk(2, 1))
        for block in self.blocks:
            parts.append(parts[-1] + block(parts[-1]))
        return self.last(torch.cat(parts, 1))


class SPPF(nn.Module):
    """Three pools in a row and a Concat."""

    def __init__(self, channels):
        super().__init__()
        self.first = Conv(channels, channels // 2)
        self.pool = nn.MaxPool2d(5, 1, 2)
        self.last = Conv(2 * channels, channels)

    def forward(self, x):
        x = self.first(x)
        y = self.pool(x)
        z = self.pool(y)
        return self.last(torch.cat([x, y, z, self.pool(z)], 1))


class Neck(nn.Module):
    """A backbone of two scales, upsampling, and a head without activation."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.stem = Conv(3, 32, 3, 2)
        self.down = nn.Sequential(Conv(32, 64, 3, 2), C2f(64, 64))
        self.deep = nn.Sequential(Conv(64, 128, 3, 2), SPPF(128))
        self.up = nn.Upsample(scale_factor=2, mode="nearest")
        self.join = C2f(192, 64)
        self.head = nn.Conv2d(64, 80, 1)

    def forward(self, x):
        fine = self.down(self.stem(x))
        coarse = self.deep(fine)
        return self.head(self.join(torch.cat([self.up(coarse), fine], 1)))


@pytest.fixture(scope="module")
def compiled():
    x = torch.randn(2, 3, 64, 64)
    return sparqc.compile(Neck().eval(), (x,), random_calibration=True, target="tensorrt-rtx")


def test_every_convolution_runs_in_int8(compiled):
    assert Structure(compiled.model).in_float() == []
    report = compile_rtx(compiled.model)
    assert report.accepted, report.errors
    assert report.float_nodes == []


def test_nothing_stands_between_sigmoid_and_mul(compiled):
    structure = Structure(compiled.model)
    for mul in structure.of("Mul"):
        assert structure.dequantized_inputs(mul) == 0


def quantized(value):
    """The value itself, or what was quantized to make it."""
    if value.producer is None or value.producer.op != "q.dequantize":
        return value.name
    return value.producer.operands["x"].producer.operands["x"].name


def test_the_inputs_of_each_concat_and_its_output_have_one_scale(compiled):
    scale = {q.value: q.scale for q in compiled.context.facts[Placement].quantizers}
    concats = [node for node in compiled.graph.nodes if node.op == "nn.concat"]
    tied = [
        {scale[name] for v in node.inputs if (name := quantized(v)) in scale} for node in concats
    ]
    assert any(tied), "no input of any Concat is quantized: the test sees nothing"
    for node, found in zip(concats, tied, strict=True):
        assert found <= {scale[node.output.name]}
