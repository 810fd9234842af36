"""What a piece computes from weights alone, computed when it is exported: an LSTM's gates in the
order of ONNX."""

from __future__ import annotations

from collections.abc import Sequence

from sparqc.ir.graph import Graph, Node, Value
from sparqc.ir.levels.constant_results import constant_results, is_deterministic
from sparqc.ir.vocabulary.table import OperatorTable

#: A result may be larger than all the weights that it comes from by so many bytes.
MORE = 1 << 16


def with_weights_folded(piece: Graph, inputs: Sequence[Value], table: OperatorTable) -> Graph:
    """The piece, in which what follows from constants of the graph around it is a constant.

    `inputs` are the values of that graph that the piece is given.  Its inputs stay as they are.
    """
    given = {
        inner: value.data
        for inner, value in zip(piece.inputs, inputs, strict=True)
        if value.data is not None
    }
    border = _border(piece, set(given)) if given else []
    if not border:
        return piece
    bound = piece.clone()
    for inner, data in given.items():
        bound.replace(bound.value(inner.name), bound.constant(data, f"{inner.name}_data"))
    arrays = constant_results(bound, [bound.value(v.name) for v in border], table)
    most = MORE + sum(data.nbytes for data in given.values())
    folded = piece.clone()
    for value, array in zip(border, arrays, strict=True):
        if array.nbytes <= most:
            folded.replace(folded.value(value.name), folded.constant(array, f"{value.name}_data"))
    folded.drop_dead()
    return folded


def _border(piece: Graph, known: set[Value]) -> list[Value]:
    """What follows from the known values, where something else reads it."""
    made: dict[Value, None] = {}
    inside: set[Node] = set()
    for node in piece.nodes:
        read = list(node.inputs)
        follows = all(v.is_const or v in known or v in made for v in read)
        if read and follows and is_deterministic(node):
            inside.add(node)
            made.update(dict.fromkeys(node.outputs))
    return [v for v in made if v.is_output or not inside.issuperset(v.readers)]
