"""What fusions say of one another, carried out by `place`: pairs, and scales known beforehand."""

import numpy as np
import pytest

from sparqc.declared.targets import default_profile
from sparqc.ir.text.print import parse_statements
from sparqc.ir.vocabulary.table import default_table
from sparqc.lang.parse.parser import parse_text
from sparqc.match.rulebook import RuleBook
from sparqc.passes.calibrate.calibrate import Calibrate
from sparqc.passes.place.place import Place
from sparqc.passes.place.placement import Placement
from sparqc.pipeline.action import Action
from sparqc.rewrite.context import Context

RULES = """
fusion first on onnx:
    "The kernel in front."
    match:
        y = nn.relu(nn.conv(x, w: const))
    int8:
        x per tensor
        w per channel
        w.shape[0] >= 16  else "too few channels: {w.shape[0]}"

fusion second on onnx:
    "The kernel behind it."
    match:
        y = nn.conv(x, w: const)
    int8:
        x per tensor scale 1 / 127
        w per channel
        x with first  else "{x.name} stays in float"
        w.shape[1] % 2 == 0  else "odd channels: {w.shape[1]}"
"""


def placed(channels: int, first: int = 16):
    """Two convolutions, and the plan for them."""
    graph = parse_statements(
        f"x: f32[1, 8, 4, 4]\nw: const f32[{first}, 8, 1, 1]\nv: const f32[8, {channels}, 1, 1]\n"
        "a = nn.relu(nn.conv(x, w))\ny = nn.conv(a, v)",
        default_table(),
        "onnx",
    )
    context = Context(
        default_table(), RuleBook(parse_text(RULES).declarations), default_profile(), Action()
    )
    Place().run(graph, context)
    return graph, context


def reasons(context) -> list[str]:
    return [layer.reason for layer in context.facts[Placement].layers]


@pytest.mark.parametrize(
    ("channels", "first", "expected"),
    [
        (16, 16, ["", ""]),
        (8, 8, ["too few channels: 8", "a stays in float"]),
        (17, 17, ["it is paired with y, which stays in float", "odd channels: 17"]),
    ],
)
def test_paired_kernels_run_in_one_precision(channels, first, expected):
    _, context = placed(channels, first)
    assert reasons(context) == expected


def test_a_scale_that_a_fusion_knows_is_not_measured():
    graph, context = placed(16)
    (quantizer,) = (n for n in graph.nodes if n.op == "q.quantize" and n.operands["x"].name == "a")
    scale = quantizer.operands["scale"]
    assert scale.data == np.float32(1 / 127)
    context.example = [np.ones((1, 8, 4, 4), np.float32)]
    context.calibration = lambda: [context.example]
    Calibrate().run(graph, context)
    assert scale.data == np.float32(1 / 127)
