"""How deep values lie in a graph: conditions compare the depths of two branches."""

import pytest

from sparqc.match.depths import depth_of
from tests.match.sketches import graph_of

BRANCHES = """
x: f32[1, 4]
w: const f32[4]
long = nn.neg(x)
longer = nn.relu(long)
one = nn.exp(x)
other = nn.abs(x)
sum = nn.add({one}, {two})
end = nn.mul(sum, longer)
{more}
return end
"""


def depths(one="one", two="other", more="unread = nn.neg(w)"):
    graph = graph_of(BRANCHES.format(one=one, two=two, more=more))
    return {v.name: depth_of(v) for v in graph.values}


def test_the_longer_path_leads_deeper_and_no_two_results_are_equal():
    found = depths()
    assert found.pop("x") == found.pop("w") == 0
    assert found["longer"] > found["long"] > 0
    assert found["longer"] > max(found["one"], found["other"])
    assert found["end"] == max(found.values())
    assert len(set(found.values())) == len(found)


@pytest.mark.parametrize("swapped", [False, True])
def test_of_equal_paths_the_names_decide_not_the_order(swapped):
    found = depths("other", "one") if swapped else depths()
    assert found["other"] > found["one"]


def test_a_change_of_the_graph_counts_anew():
    graph = graph_of(BRANCHES.format(one="one", two="other", more=""))
    one, longer = graph.value("one"), graph.value("longer")
    assert depth_of(one) < depth_of(longer)
    negated = graph.create("nn.neg", {"x": longer}, before=one.producer)
    graph.set_operand(one.producer, "x", negated.output)
    assert depth_of(one) > depth_of(longer)
