"""Which axes of a graph have one order, and which of these orders are free."""

from __future__ import annotations

from sparqc.ir.graph import Graph, Node, Value
from sparqc.ir.layer_names import value_name
from sparqc.ir.vocabulary.table import OperatorTable
from sparqc.passes.permute.rules import rule_of
from sparqc.passes.permute.ties import Orders, Ties, axes_of


def orders_of(graph: Graph, table: OperatorTable) -> Orders:
    """How every axis of a graph is laid out.

    A free segment can be permuted on all axes that it lies on, and the outputs of the graph do not
    change, but for the order in which sums are taken.
    """
    orders = Orders()
    for value in graph.inputs:
        _pin_all(value, orders, f"the input {value_name(value)!r} has them in this order")
    for node in graph.nodes:
        tie(node, orders, table)
    for value, name in zip(graph.outputs, graph.output_names, strict=True):
        _pin_all(value, orders, f"the output {name!r} has them in this order")
    return orders


def tie(node: Node, orders: Orders, table: OperatorTable) -> None:
    """Let one operator tie and pin the axes of what it reads and gives."""
    ties, rule = Ties(orders, node), rule_of(node.op, table)
    unknown = next((v for v in (*node.inputs, *node.outputs) if v.shape is None), None)
    if rule is None:
        _refuse(node, orders, ties.reason("is not known to keep them apart"))
    elif unknown is not None:
        _refuse(
            node, orders, ties.reason(f"has an operand {value_name(unknown)!r} of unknown rank")
        )
    else:
        rule(node, ties)
        ties.pin_the_rest()


def _refuse(node: Node, orders: Orders, reason: str) -> None:
    for value in (*node.inputs, *node.outputs):
        _pin_all(value, orders, reason)


def _pin_all(value: Value, orders: Orders, reason: str) -> None:
    for axis in axes_of(value):
        orders.pin(axis, reason)
