"""Constant expressions."""

import numpy as np

from sparqc.ir.constants import constant_value, is_constant
from sparqc.ir.graph import Graph
from sparqc.ir.text.print import parse_statements
from sparqc.ir.vocabulary.operator import OperandSpec, Operator
from sparqc.ir.vocabulary.table import OperatorTable, default_table

TABLE = default_table()


def test_a_masked_quantized_weight_is_constant():
    graph = parse_statements(
        """
        x: f32[1, 4]
        w: const f32[2, 4] = [[1.0, 2.0, 3.0, 4.0], [0.5, 0.26, -9.0, 0.0]]
        m: const bool[2, 4] = [[true, false, true, false], [true, true, true, true]]
        s: const f32[2] = [1.0, 0.5]
        q = q.qdq(sparse.mask(w, m), s, axis=0, low=-8, high=7)
        y = nn.linear(x, q)
        """
    )
    value = graph.value("q")
    assert is_constant(value, TABLE)
    assert constant_value(value, TABLE).tolist() == [[1, 0, 3, 0], [0.5, 0.5, -4, 0]]


def test_a_constant_is_its_own_value():
    graph = parse_statements("w: const f32[3]\ny = nn.neg(w)")
    assert constant_value(graph.value("w"), TABLE) is graph.value("w").data


def test_what_depends_on_an_input_is_not_constant():
    graph = parse_statements("x: f32[2]\ns: const f32[] = 1.0\nq = q.qdq(x, s)\ny = nn.neg(q)")
    for name in ("x", "q", "y"):
        assert not is_constant(graph.value(name), TABLE)
        assert constant_value(graph.value(name), TABLE) is None


def test_an_operator_that_is_no_constant_expression_ends_it():
    graph = parse_statements("w: const f32[2, 2]\ny = nn.matmul(w, w)")
    assert not is_constant(graph.value("y"), TABLE)


def test_each_operator_is_evaluated_once():
    """x + x + … doubles the number of paths with each step, not the work."""
    calls = []

    def add(operands, _):
        calls.append(1)
        return ((operands["a"] + operands["b"]) % 97,)

    row = Operator(
        "t.add",
        "The sum, modulo 97.",
        (OperandSpec("a"), OperandSpec("b")),
        constant_expression=True,
        evaluate=add,
    )
    graph = Graph("fx")
    value = graph.constant(np.array([1, 2]))
    for _ in range(200):
        value = graph.create("t.add", {"a": value, "b": value}).output
    assert is_constant(value, OperatorTable([row]))
    expected = [pow(2, 200, 97), pow(2, 201, 97)]
    assert constant_value(value, OperatorTable([row])).tolist() == expected
    assert len(calls) == 200
