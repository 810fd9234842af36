"""What shares a scale with its input does so under every spelling that the table has for it."""

import pytest

from sparqc.declared.targets import default_profile
from sparqc.ir.text.parse import parse_statements
from sparqc.ir.vocabulary.table import default_table
from sparqc.match.match import Matcher
from sparqc.pipeline.library import rulebook

TABLE = default_table()


@pytest.mark.parametrize(
    ("text", "shares"),
    [
        ("s: const i64[2] = [4, 6]\ny = nn.expand(x, s)", "layout"),
        ("l: f32[4, 6]\ny = nn.expand_as(x, l)", "layout"),
        ("n: sym[]\nm: sym[]\ny = nn.expand_to(x, n, m)", "layout"),
        ("s: const i64[2] = [3, 2]\ny = nn.reshape(x, s)", "layout"),
        ("l: f32[3, 2]\ny = nn.reshape_as(x, l)", "layout"),
        ("y = nn.squeeze(x, axes=[0])", "layout"),
        ("y = nn.split(x, sizes=[6], axis=1)", "split"),
        ("y = nn.neg(x)", ""),
        ("i: const i64[1] = [0]\ny = nn.gather(x, i)", ""),
    ],
)
def test_movers(text: str, shares: str) -> None:
    graph = parse_statements(f"x: f32[1, 6]\n{text}", TABLE, "fx")
    book, target = rulebook(), default_profile().name
    matcher, node = Matcher(book, TABLE, target), list(graph.nodes)[-1]
    found = [share.name for share in book.shares("fx", target) if matcher.first(share, node)]
    assert found == ([shares] if shares else [])
