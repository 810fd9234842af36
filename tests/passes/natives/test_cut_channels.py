"""Whether the channels of a layer are cut into the operands of products."""

import pytest

from sparqc.ir.text.parse import parse_statements
from sparqc.ir.vocabulary.table import default_table
from sparqc.passes.natives.cut_channels import is_cut_along_channels

TABLE = default_table()
#: [batch, tokens, 3 * 2 heads * 4] as [3, batch, heads, tokens, 4], and its three parts.
PARTS = """
x: f32[2, 5, 8]
w: const f32[24, 8]
y = nn.linear(x, w)
s: const i64[5] = [2, 5, 3, 2, 4]
r = nn.reshape(y, s)
t = nn.transpose(r, perm=[2, 0, 3, 1, 4])
q, k, v = nn.unbind(t, axis=0)
"""


@pytest.mark.parametrize(
    ("read", "cut"),
    [
        ("a = nn.attention(q, k, v)", True),
        ('a = nn.einsum(q, k, equation="bhid,bhjd->bhij")', True),
        ("u: const f32[4, 4]\na = nn.matmul(q, u)", False),  # of a weight: a layer of its own
        ("a = nn.add(q, k)", False),
    ],
)
def test_parts_that_are_multiplied_with_each_other(read, cut):
    graph = parse_statements(PARTS + read, TABLE, "fx")
    assert is_cut_along_channels(graph.value("y")) is cut
