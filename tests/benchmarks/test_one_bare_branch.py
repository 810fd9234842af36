"""Pairs on both inputs of an Add: the deeper branch loses its pair."""

import sys
from pathlib import Path

import pytest
from onnx.parser import parse_model

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks" / "quantizers"
HEAD = '<ir_version: 10, opset_import: ["": 20]> g (float[1] x) => (float[1] y) {'
QDQ = "{0}q = QuantizeLinear({0}, s) {0}d = DequantizeLinear({0}q, s)"


@pytest.fixture(autouse=True)
def beside(monkeypatch):
    """The script's folder is where its modules are found."""
    monkeypatch.syspath_prepend(str(FOLDER))
    yield
    sys.modules.pop("one_bare_branch", None)


def inputs_of_add(body):
    from one_bare_branch import bare_branches

    start = "s = Constant<value_float = 0.5>()"
    model = bare_branches(parse_model("\n".join([HEAD, start, *body, "}"])))
    return next(list(node.input) for node in model.graph.node if node.op_type == "Add")


@pytest.mark.parametrize("operands", ["ad, bd", "bd, ad"])
def test_the_deeper_branch_is_bare(operands):
    body = ["a = Relu(x)", "h = Neg(x)", "b = Neg(h)", QDQ.format("a"), QDQ.format("b")]
    found = inputs_of_add([*body, f"y = Add({operands})"])
    assert sorted(found) == ["ad", "b"]


def test_pairs_do_not_count_as_depth():
    body = ["a = Relu(x)", QDQ.format("x"), "h = Neg(xd)", QDQ.format("h"), "b = Neg(hd)"]
    found = inputs_of_add([*body, QDQ.format("a"), QDQ.format("b"), "y = Add(ad, bd)"])
    assert found == ["ad", "b"]


def test_an_add_of_a_constant_stays_as_it_is():
    body = ["a = Relu(x)", QDQ.format("a"), "c = Constant<value_float = 1.0>()", "y = Add(ad, c)"]
    assert inputs_of_add(body)[0] == "ad"
