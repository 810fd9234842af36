"""The ledger: what a sparse INT8 kernel asks of each weighted operator, and what is missing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sparqc.ir.graph import Graph, Node, Value
from sparqc.ir.quantizers import DEQUANTIZE, QUANTIZE
from sparqc.ir.vocabulary.table import OperatorTable
from sparqc.ir.weighted import Unread, Weighted, stored_array, unread, weighted
from sparqc.lang.ast import Condition
from sparqc.match.evaluate import failing
from sparqc.match.match import Matcher
from sparqc.match.payoff import unlikely_to_pay
from sparqc.numerics.two_four import two_four_violations
from sparqc.predict.cover import Choice
from sparqc.predict.engine import ELEMENT_BYTES, LedgerRow, QuantizedWeight, Verdict
from sparqc.predict.layer_shape import layer_shape
from sparqc.predict.sizes import macs
from sparqc.predict.units import Unit, Units

YES = Verdict(True)
UNCOVERED = "no fusion of the target covers it"


def ledger(
    graph: Graph, units: Units, kernels: dict[Unit, str], matcher: Matcher
) -> tuple[LedgerRow, ...]:
    """A row for each weighted operator, in the order of the graph; behind them those in a form
    that is not read."""
    inside = {node: unit for unit in kernels for node in unit.nodes}
    rows = []
    for found in weighted(graph, units.table):
        unit = inside.get(found.node)
        if unit is not None:
            choice = units.cover.owners.get(found.node)
            rows.append(_row(found, unit, choice, kernels[unit], units, matcher))
    others = [u for u in unread(graph, units.table) if u.node in inside]
    return (*rows, *(_unread_row(u, kernels[inside[u.node]]) for u in others))


def _unread_row(found: Unread, kernel: str) -> LedgerRow:
    no = Verdict(False, found.reason)
    return LedgerRow(
        value=found.node.output.name,
        op=found.node.op,
        weight=stored_name(found.weight),
        shape=found.weight.shape or (),
        kernel=kernel,
        int8_in=no,
        int8_out=no,
        two_four=no,
        size_rule=no,
        pays=no,
        macs=None,
    )


def _row(
    found: Weighted,
    unit: Unit,
    choice: Choice | None,
    kernel: str,
    units: Units,
    matcher: Matcher,
) -> LedgerRow:
    int8 = choice is not None and choice.int8
    return LedgerRow(
        value=found.node.output.name,
        op=found.node.op,
        weight=stored_name(found.weight),
        shape=found.weight.shape or (),
        kernel=kernel,
        int8_in=YES if int8 else Verdict(False, choice.reason if choice else UNCOVERED),
        int8_out=int8_out(unit, units),
        two_four=two_four(found, units.table),
        size_rule=_size_rule(choice, matcher),
        pays=_pays(found, choice, matcher),
        remark=_remark(choice, matcher),
        macs=macs(found.node, units.table),
        sizes=layer_shape(found, unit.nodes, units.table),
    )


def _size_rule(choice: Choice | None, matcher: Matcher) -> Verdict:
    if choice is None:
        return Verdict(False, UNCOVERED)
    if choice.fusion.sparse is None:
        return Verdict(False, f"{choice.fusion.name} never runs sparse")
    return _holds(choice.fusion.sparse_where, choice, matcher)


def _pays(found: Weighted, choice: Choice | None, matcher: Matcher) -> Verdict:
    if choice is None:
        return Verdict(False, UNCOVERED)
    width = 1 if choice.int8 else ELEMENT_BYTES.get(found.weight.type.dtype, 4)
    missed = unlikely_to_pay(choice.fusion, choice.match, matcher, width)
    return Verdict(False, missed[1], missed[0].id) if missed else YES


def _holds(conditions: Sequence[Condition], choice: Choice, matcher: Matcher) -> Verdict:
    missed = failing(conditions, choice.match, matcher)
    return Verdict(False, missed[1], missed[0].id) if missed else YES


def _remark(choice: Choice | None, matcher: Matcher) -> str:
    """What the rules of placement have against INT8 that the file asks for all the same."""
    if choice is None or not choice.int8:
        return ""
    return _holds(choice.fusion.int8_where, choice, matcher).reason


def int8_out(unit: Unit, units: Units) -> Verdict:
    """Whether a kernel writes codes and nothing else."""
    if not unit.int8:
        return Verdict(False, "it runs in float")
    floats = [v for choice in unit.choices for v in choice.floats]
    for value, scale in unit.writes:
        if scale is None and floats and value in units.flow.wanted:
            return Verdict(False, f"it adds {floats[0].name}, which is float")
        if scale is None:
            return Verdict(False, _float_output(value, units))
    return YES


def _float_output(value: Value, units: Units) -> str:
    if value.is_output:
        return f"it writes {value.name!r}, an output of the graph, in float"
    kinds = [_reader(r, units) for r in value.readers if r.op != QUANTIZE]
    names = list(dict.fromkeys(kinds))
    if not names:
        return "its readers quantize it with different scales"
    return f"{names[0]} reads it in float"


def _reader(node: Node, units: Units) -> str:
    kind = node.op.rpartition(".")[2]
    return f"{node.output.name} ({kind})" if node.outputs else kind


def two_four(found: Weighted, table: OperatorTable) -> Verdict:
    """Whether the stored codes (or floats) of a weight are 2:4 along its reduction axis."""
    stored = stored_array(found.weight, table)
    if stored is None:
        return Verdict(False, "its weight cannot be evaluated")
    length = stored.shape[found.reduction_axis]
    if length % 4:
        return Verdict(False, f"its reduction axis is {length} long, no multiple of 4")
    broken = two_four_violations(stored, found.reduction_axis)
    if not broken:
        return YES
    groups = stored.size // 4
    share = f"{broken} of {groups} groups of four have more than two non-zero values"
    return Verdict(False, "it is dense" if broken * 2 > groups else f"2:4 is broken: {share}")


def stored_name(value: Value) -> str:
    """The name of the constant that a weight is made of."""
    while value.producer is not None:
        value = next(value.producer.inputs)
    return value.name


def quantized_weights(
    graph: Graph, rows: Iterable[LedgerRow], table: OperatorTable
) -> tuple[QuantizedWeight, ...]:
    """The weights that are stored as codes: the axis of their scales, and whether they are 2:4."""
    masks = {row.value: row.two_four.holds for row in rows}
    found = []
    for item in weighted(graph, table):
        node = item.weight.producer
        name = item.node.output.name
        if node is None or node.op != DEQUANTIZE or name not in masks:
            continue
        axis = _axis(node)
        found.append(QuantizedWeight(stored_name(item.weight), name, axis, masks[name]))
    return tuple(found)


def _axis(node: Node) -> int | None:
    scale, axis = node.operands["scale"], node.attributes.get("axis")
    single = isinstance(scale, Value) and scale.type.rank == 0
    return None if single or not isinstance(axis, int) else axis
