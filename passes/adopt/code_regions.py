"""Where a graph computes on codes: from the Q of another tool to its DQs."""

from __future__ import annotations

from collections.abc import Mapping

from sparqc.errors import SparqcError
from sparqc.ir.graph import Graph, Node, Value
from sparqc.ir.layer_names import name_of
from sparqc.ir.vocabulary.table import OperatorTable
from sparqc.ir.vocabulary.traits import DATA
from sparqc.passes.adopt.foreign import FROM_CODES, INTEGER, TO_CODES, Grid, data_of

_HINT = "start from the float model, or write the quantized one with QuantizeLinear and "
_HINT += "DequantizeLinear around float operators (onnxruntime: quant_format=QuantFormat.QDQ)"


def check_integer_operators(graph: Graph) -> None:
    """Raises SparqcError for a model that computes on codes: its float operators are gone."""
    for node in graph.nodes:
        if node.op.startswith(INTEGER):
            raise SparqcError(
                f"{name_of(node)} is a {node.op}: the model computes on integer codes, and its "
                "float operators are gone",
                hint=_HINT,
            )


def code_regions(
    graph: Graph, grids: Mapping[Node, Grid], table: OperatorTable
) -> dict[Value, Grid]:
    """Every value that is codes of a quantizer in the graph, and what they stand for.

    Raises SparqcError where codes are read by anything but data movement and a DQ of the same
    scale, or are an input or output of the model: these would mean something else in float.
    """
    found: dict[Value, Grid] = {}
    for node in graph.nodes:
        grid = grids.get(node)
        if grid is not None and node.op in TO_CODES:
            found[node.output] = grid
        elif any(value in found for value in node.inputs):
            moved = _moved(node, found, grid, table)
            found.update(dict.fromkeys(node.outputs if grid is None else (), moved))
    for node in grids:
        source = data_of(node)
        if node.op in FROM_CODES and source.is_input:
            raise _boundary(source.name, "input")
    for value in graph.outputs:
        if value in found:
            raise _boundary(value.name, "output")
    return found


def _moved(node: Node, found: Mapping[Value, Grid], own: Grid | None, table: OperatorTable) -> Grid:
    """What the codes that a node reads stand for; the same must hold for all of them."""
    coded = [value for value in node.inputs if value in found]
    moves = table.has(node.op, "selects") and coded == _data(node)
    if not moves and (own is None or node.op not in FROM_CODES):
        raise SparqcError(
            f"{name_of(node)} ({node.op}) reads the codes of a quantizer",
            hint=_HINT,
        )
    grids = [found[value] for value in coded]
    known = grids if own is None else [*grids, own]
    if not all(grids[0].agrees(other) for other in known):
        raise SparqcError(
            f"{name_of(node)} ({node.op}) takes codes of one scale for those of another",
            hint="quantize the model again with one scale on both sides of what moves data",
        )
    return grids[0]


def _data(node: Node) -> list[Value]:
    """The operands of a mover that are moved: the others are sizes and indices."""
    slots = (node.operands.get(slot) for slot in DATA)
    several = (v if isinstance(v, tuple) else (v,) for v in slots if v is not None)
    return [value for values in several for value in values]


def _boundary(name: str, kind: str) -> SparqcError:
    return SparqcError(
        f"the {kind} {name} of the model is codes of a quantizer",
        hint=f"export it with float {kind}s; sparqc gives codes at the ends with --io int8",
    )
