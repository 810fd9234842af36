"""What a value is to the operators that read it."""

import pytest

from sparqc.lang.ast import Name, Path
from sparqc.match.match import Matcher
from sparqc.pipeline.library import rulebook
from tests.match.sketches import TABLE, graph_of

BIAS = Path(Name("v"), ("added_to_products",), only=True)
MULTIPLIED = Path(Name("v"), ("multiplied",))

ENDS = "x: f32[2, 8]\nv: f32[8]\nm: f32[8, 8]\nw: const f32[8, 8]\n"


@pytest.mark.parametrize(
    ("lines", "name", "bias", "multiplied"),
    [
        ("y = nn.linear(x, w, v)", "v", True, False),
        ("y = nn.linear(x, w, v)", "x", False, True),
        ("y = nn.linear(x, m)", "m", False, True),
        ("y = nn.matmul(x, m)", "m", False, True),
        ("y = nn.gemm(x, w, v)", "v", True, False),
        ("y = nn.add(x, v)", "v", False, False),
        # Beside another reader it is no bias alone, and no factor all the same.
        ("z = nn.linear(x, w, v)\ny = nn.add(z, v)", "v", False, False),
        ("z = nn.linear(x, w, v)\ny = nn.linear(z, m)", "v", True, False),
    ],
)
def test_a_bias_and_a_factor(lines: str, name: str, bias: bool, multiplied: bool) -> None:
    graph = graph_of(f"{ENDS}{lines}\nreturn y")
    matcher, value = Matcher(rulebook(), TABLE, "tensorrt-11"), graph.value(name)
    found = matcher.leads(value, graph, BIAS), matcher.leads(value, graph, MULTIPLIED)
    assert found == (bias, multiplied)
