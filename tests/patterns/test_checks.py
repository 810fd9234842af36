"""Every check that ships finds its fault, says nothing of the healthy neighbour, and its cure,
where it has one, makes the one of the other and keeps its word on the numbers."""

from __future__ import annotations

import numpy as np
import pytest

from sparqc.declared.targets import profile, profiles
from sparqc.ir.constants import constant_value
from sparqc.ir.graph import Graph, Origin, Value
from sparqc.ir.levels.execute import open_runner
from sparqc.ir.text.parse import parse_statements
from sparqc.ir.text.print import print_graph
from sparqc.ir.vocabulary.table import default_table
from sparqc.lang.ast import CheckDecl, Example
from sparqc.passes.check.check import Finding, findings_of
from sparqc.pipeline.action import Action
from sparqc.pipeline.installed import installed
from sparqc.pipeline.library import rulebook
from sparqc.rewrite.context import Context
from sparqc.rewrite.worklist import rewrite

TABLE = default_table()
CHECKS = [
    d
    for file in installed()
    if file.path.startswith("patterns/")
    for d in file.declarations
    if isinstance(d, CheckDecl)
]
EXAMPLES = [
    pytest.param(check, example, id=f"{check.name}-{index}")
    for check in CHECKS
    for index, example in enumerate(check.examples)
    if example.after is not None
]
CURES = [p for p in EXAMPLES if p.values[0].rewrite]
#: A network without a fault: Conv + ReLU in INT8, its channels multiples of 32.
GOOD = """
x: f32[1, 32, 8, 8]
a: const f32[] = 0.05
b: const f32[] = 0.02
w: const i8[32, 32, 1, 1]
v: const i8[32, 32, 1, 1]
t: const f32[32]
q = q.quantize(x, a)
d = q.dequantize(q, a)
wd = q.dequantize(w, t, axis=0)
c = nn.conv(d, wd)
r = nn.relu(c)
p = q.quantize(r, b)
e = q.dequantize(p, b)
vd = q.dequantize(v, t, axis=0)
y = nn.conv(e, vd)
"""


def target_of(check: CheckDecl) -> str:
    """A target that the check is for, the default one where that is one."""
    known = [n for n in ("tensorrt-11", *profiles()) if n.startswith(check.target or "")]
    return known[0]


def context_for(target: str) -> Context:
    return Context(TABLE, rulebook(), profile(target), Action())


def findings(graph: Graph, target: str) -> list[Finding]:
    return list(findings_of(graph, context_for(target)))


def parsed(text: str) -> Graph:
    return parse_statements(text, TABLE, "onnx")


def ids(graph: Graph, check: CheckDecl) -> set[str]:
    return {finding.id for finding in findings(graph, target_of(check))}


def good() -> Graph:
    """The network with weights of a real distribution: those of examples are mostly zeros."""
    graph = parsed(GOOD)
    generator = np.random.default_rng(0)
    for name in ("w", "v"):
        graph.value(name).data = generator.integers(-127, 128, (32, 32, 1, 1)).astype(np.int8)
    return graph


@pytest.mark.parametrize("target", ["tensorrt-11", "tensorrt-10", "tensorrt-rtx"])
def test_a_graph_without_faults_has_no_findings(target: str) -> None:
    assert findings(good(), target) == []


def test_weights_in_int8_are_an_error_for_tensorrt_8_alone() -> None:
    assert {f.id for f in findings(good(), "tensorrt-8.6")} == {"int8-weights"}


@pytest.mark.parametrize("check", CHECKS, ids=lambda c: c.name)
def test_a_check_says_what_is_wrong_what_to_do_and_why(check: CheckDecl) -> None:
    assert check.doc and check.message.text and check.cure
    assert check.source.startswith("tensorrt.md")
    assert any(example.after is not None for example in check.examples)


@pytest.mark.parametrize(("check", "example"), EXAMPLES)
def test_the_check_finds_its_fault_and_not_its_neighbour(
    check: CheckDecl, example: Example
) -> None:
    wanted = check.name.replace("_", "-")
    found = [f for f in findings(parsed(example.before), target_of(check)) if f.id == wanted]
    assert found and all("?" not in f.message and f.nodes for f in found)
    if example.finds is not None:
        assert any(example.finds in f.message for f in found)
    assert example.after is not None
    assert wanted not in ids(parsed(example.after), check)


@pytest.mark.parametrize(("check", "example"), CURES)
def test_the_cure_makes_the_healthy_neighbour(check: CheckDecl, example: Example) -> None:
    graph = cured(check, example)
    graph.verify()
    assert example.after is not None
    assert structure(graph) == structure(parsed(example.after))


@pytest.mark.parametrize(("check", "example"), CURES)
def test_the_cure_keeps_the_numbers(check: CheckDecl, example: Example) -> None:
    """To the bit, or within one step of the coarsest scale on each value in front of a product."""
    graph = parsed(example.before)
    generator = np.random.default_rng(0)
    batch = [sample(v, generator) for v in graph.inputs]
    before, _ = open_runner(graph, TABLE).run(batch)
    after, _ = open_runner(cured(check, example), TABLE).run(batch)
    for one, other in zip(before, after, strict=True):
        if check.preserves == "exact":
            np.testing.assert_array_equal(one, other)
        else:
            assert np.abs(one - other).max() <= step_of_outputs(graph)


def cured(check: CheckDecl, example: Example) -> Graph:
    graph = parsed(example.before)
    assert check.repair is not None
    assert rewrite(graph, [check.repair], context_for(target_of(check))) > 0
    return graph


def sample(value: Value, generator: np.random.Generator) -> np.ndarray:
    shape = [d if isinstance(d, int) else 2 for d in value.shape or ()]
    if value.type.dtype in ("i8", "u8"):
        return generator.integers(0, 127, shape).astype(value.type.dtype.replace("i", "int"))
    return generator.standard_normal(shape, np.float32).clip(-1, 1)


def step_of_outputs(graph: Graph) -> float:
    """One step of the coarsest activation scale, times what the widest product makes of it."""
    scales = [v.data.max() for v in graph.constants if v.shape == () and v.data.dtype.kind == "f"]
    gains = [1.0]
    for node in graph.nodes:
        weight = constant_value(node.output, TABLE) if node.op == "q.dequantize" else None
        gains += [] if weight is None else [float(np.abs(weight.astype(np.float64)).sum())]
    return float(max(scales)) * max(gains)


def structure(graph: Graph) -> str:
    """The dump without what an example does not say: names of constants, their numbers, origins."""
    graph.drop_dead()
    graph.sort()
    reads = [v for node in graph.nodes for v in node.inputs if v.is_const]
    for number, value in enumerate(dict.fromkeys(reads)):
        assert value.data is not None
        graph.rename(value, f"const.{number}")
        value.data = np.zeros_like(value.data)
    for number, node in enumerate(graph.nodes):
        node.origin = Origin()
        for output in node.outputs:
            graph.rename(output, f"value.{number}.{output.index}")
    graph.output_names = [f"output.{i}" for i in range(len(graph.outputs))]
    return print_graph(graph)
