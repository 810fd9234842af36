"""`sparqc rules infer`: from a region of a graph to a rule that matches it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sparqc.declared.natives import natives
from sparqc.errors import UsageError
from sparqc.ir.graph import Graph
from sparqc.ir.vocabulary.table import default_table
from sparqc.lang.check.checks import check_file
from sparqc.lang.check.findings import failures
from sparqc.lang.format.formatter import format_file
from sparqc.lang.parse.parser import parse_text
from sparqc.tools.rules.infer.places import other_places
from sparqc.tools.rules.infer.region import Region, find_region
from sparqc.tools.rules.infer.rule import rule_text
from tests import small_models
from tests.match.sketches import book_of, context_of, graph_of
from tests.tools.rules.conftest import Ask

TABLE = default_table()

#: Operators of all shapes: variadic, of several results, read twice, with an operand left out.
SKETCH = """
    x: f32[2, 8, 4, 4]
    w: const f32[8, 8, 1, 1]
    two: const f32[] = 2.0
    high: const f32[] = 6.0
    c = nn.conv(x, w, strides=[1, 1])
    m = nn.mul(c, two)
    k = nn.clip(m, none, high)
    s = nn.add(k, k)
    j = nn.concat(s, c, k, axis=1)
    p, q, r = nn.split(j, axis=1, sizes=[8, 8, 8])
    n = nn.sub(p, q)
    t = nn.sigmoid(r)
    u = nn.transpose(n, perm=[0, 2, 3, 1])
"""


def inferred(graph: Graph, *names: str) -> tuple[str, Region]:
    region = find_region(graph, names)
    return rule_text(region, graph, TABLE, "mine"), region


def connected_regions() -> list[tuple[str, ...]]:
    """Each operator alone, and each with what it reads, and with what that reads."""
    graph = graph_of(SKETCH)
    found = []
    for node in graph.nodes:
        region, front = {node}, [node]
        for _ in range(3):
            found.append(tuple(n.output.name for n in graph.nodes if n in region))
            front = [v.producer for n in front for v in n.inputs if v.producer is not None]
            region |= set(front)
    return sorted(set(found))


@pytest.mark.parametrize("names", connected_regions(), ids="-".join)
def test_a_rule_is_sound_formatted_and_matches_its_region(names: tuple[str, ...]) -> None:
    graph = graph_of(SKETCH)
    text, region = inferred(graph, *names)
    file = parse_text(text)
    assert format_file(file) == text
    assert failures(check_file(file, TABLE, natives())) == []
    # It raises where the rule does not match there.
    assert region.root.output.name not in other_places(
        text, region, graph, context_of(book_of(text))
    )


def test_names_are_those_of_operands_and_operators() -> None:
    text, _ = inferred(graph_of(SKETCH), "c", "m")
    assert "conv = shared nn.conv(x, w: const)" in text
    assert "y = nn.mul(conv, b: const[])" in text


def test_what_is_left_out_and_what_is_read_twice_is_said() -> None:
    text, _ = inferred(graph_of(SKETCH), "k", "s")
    assert "clip = shared nn.clip(x, min?, max: const[])" in text
    assert "y = nn.add(clip, clip)" in text
    assert '#     min is none  else "min is there"' in text


def test_several_results_have_names() -> None:
    text, _ = inferred(graph_of(SKETCH), "p", "n")
    assert "split, split_2, split_3 = shared nn.split(x, sizes=[8, 8, 8], axis=1)" in text
    assert "y = nn.sub(split, split_2)" in text


def test_shapes_and_types_of_the_place_stand_in_comments() -> None:
    text, _ = inferred(graph_of("x: f16[batch, 8]\ny = nn.relu(x)"), "y")
    assert '    #     x.rank == 2  else "{x.rank} dimensions"\n' in text
    assert '    #     x.dtype == "f16"  else "it is {x.dtype}"\n' in text


def test_an_operator_of_one_level_keeps_the_rule_there() -> None:
    graph = graph_of("x: f32[2, 8]\ny = aten.lgamma.default(x)", "fx")
    assert "rule mine on fx preserves close:" in inferred(graph, "y")[0]


@pytest.mark.parametrize(
    ("names", "said", "hint"),
    [
        (("c", "s"), "no value leads from c to s", "between them stand m, k: name these too"),
        (("p", "n", "t"), "2 results that none of its operators reads: n, t", "leave one"),
        (("z",), "no value and no module 'z'", ""),
    ],
)
def test_what_is_no_region_is_told_with_what_to_do(
    names: tuple[str, ...], said: str, hint: str
) -> None:
    with pytest.raises(UsageError) as told:
        inferred(graph_of(SKETCH), *names)
    assert said in str(told.value) and hint in str(told.value)


# -- the command -------------------------------------------------------------------------------


@pytest.fixture
def model(tmp_path: Path) -> None:
    (tmp_path / "model.py").write_text(small_models.MODEL)
    small_models.float_onnx(tmp_path / "float.onnx")


@pytest.mark.usefixtures("model")
def test_modules_are_named_and_the_rule_fires_there(ask: Ask, tmp_path: Path) -> None:
    text = ask("rules infer model.py --nodes conv1,bn1,relu --name conv_norm_act")
    (tmp_path / "mine.spq").write_text(text)
    assert "pads=[1, 1, 1, 1]" in text
    ask("rules fmt --check mine.spq")
    assert "conv_norm_act: matches at 1 place: relu\n" in ask("rules try mine.spq model.py")


@pytest.mark.usefixtures("model")
def test_an_onnx_file_and_the_graph_behind_a_pass_are_asked_alike(ask: Ask) -> None:
    told = json.loads(
        ask("rules infer float.onnx --nodes 'Relu*' --json".replace("'Relu*'", "relu"))
    )
    assert told["schema"] == 1 and told["level"] == "onnx" and len(told["nodes"]) == 1
    assert "nn.batch_norm" not in ask("rules infer model.py --nodes conv1,relu --after fold")


@pytest.mark.usefixtures("model")
def test_other_places_are_told_beside_the_rule(ask: Ask) -> None:
    assert "it also matches at 1 other place: relu_1" in ask("rules infer model.py --nodes relu")


@pytest.mark.usefixtures("model")
@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--nodes ,", "--nodes names no operator"),
        ("--nodes relu --name 2d", "a rule cannot be called '2d'"),
        ("--nodes conv1,conv2", "between them stand batch_norm (bn1), relu: name these too"),
    ],
)
def test_wrong_words_are_told(ask: Ask, words: str, said: str) -> None:
    assert said in ask(f"rules infer model.py {words}", 2)


def test_an_operator_without_a_schema_is_told() -> None:
    graph = graph_of("x: f32[2]\ny = nn.relu(x)")
    (node,) = graph.nodes
    node.op = "onnx.mine.Frobnicate"
    with pytest.raises(UsageError, match="has no schema") as told:
        inferred(graph, "y")
    assert "leave y out of --nodes" in told.value.hint
