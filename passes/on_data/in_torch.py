"""A graph of either level as a module of PyTorch, operator by operator."""

from __future__ import annotations

from typing import cast

from sparqc.errors import SparqcError
from sparqc.ir.fx.write import Writer
from sparqc.ir.graph import Graph, Node, Value
from sparqc.ir.quantizers import DEQUANTIZE, FAKE_QUANTIZE, QUANTIZE
from sparqc.ir.vocabulary.table import OperatorTable
from sparqc.passes.on_data.not_in_torch import NotInTorch

#: What a QuantizeLinear of INT8 saturates at.
LOW, HIGH = -128, 127


def in_torch(graph: Graph, table: OperatorTable, hint: str) -> tuple[Graph, Writer]:
    """The graph at the level of FX, and written.

    A copy where it is an ONNX graph: most operators of the vocabulary are the same on both levels,
    and a Q/DQ pair is a fake quantizer.  All values keep their names, but for the codes of pairs.
    Raises NotInTorch, with the hint, for an operator that has no form in PyTorch.
    """
    if graph.level == "fx":
        return graph, Writer(graph, table)
    copy = graph.clone()
    copy.level, copy.native = "fx", None
    for node in list(copy.nodes):
        if node.op == DEQUANTIZE:
            _fuse(copy, node)
    copy.drop_dead()
    foreign = next((n for n in copy.nodes if n.op.startswith("onnx.")), None)
    if foreign is not None:
        raise NotInTorch(
            f"{foreign.output.name!r} is {foreign.op}, which has no form in PyTorch", hint=hint
        )
    try:
        return copy, Writer(copy, table)
    except SparqcError as error:
        raise NotInTorch(error.message, hint=hint) from error


def _fuse(graph: Graph, node: Node) -> None:
    """Let the second of a symmetric INT8 pair do what both did."""
    codes, zero = cast(Value, node.operands["x"]), node.operands["zero_point"]
    first = codes.producer
    if first is None or first.op != QUANTIZE or first.attributes["to"] != "i8":
        return
    point = zero.data if isinstance(zero, Value) else None
    symmetric = zero is None or (point is not None and not point.any())
    if symmetric and first.operands["scale"] is node.operands["scale"]:
        graph.set_operand(node, "x", first.operands["x"])
        graph.set_operand(node, "zero_point", None)
        node.op = FAKE_QUANTIZE
        node.attributes = {"axis": node.attributes["axis"], "low": LOW, "high": HIGH}
