"""An operator on a terminal, and as a section of a page."""

from __future__ import annotations

from collections.abc import Iterator

from sparqc.ir.vocabulary.traits import TRAITS
from sparqc.tools.reference.markdown import code, listed, table
from sparqc.tools.reference.operators.entry import OperatorEntry
from sparqc.tools.reference.operators.weight_axes import WeightAxes

_WRAP = 12


def lines(entry: OperatorEntry) -> Iterator[str]:
    """What `sparqc ops NAME` prints."""
    yield f"{entry.signature}  ({_origin(entry)})"
    yield f"  {entry.row.doc}"
    yield ""
    for name, default in entry.attributes.items():
        yield f"  attribute   {name}={default}" if default else f"  attribute   {name}, required"
    yield f"  results     {', '.join(entry.row.outputs)}"
    if entry.row.commutes:
        yield f"  commute     {_commuting(entry)}"
    if entry.weight:
        yield f"  weight      {_weight(entry.weight)}"
    if entry.row.constant_expression:
        yield f"  constant    {_CONSTANT}"
    for trait in entry.traits:
        yield f"  trait       {trait}: {TRAITS[trait]}"
    for title, names in _forms(entry):
        for at, name in enumerate(names or (_NONE,)):
            yield f"  {'' if at else title:<{_WRAP}}{name}"
    if entry.used_by:
        yield f"  named by    {', '.join(entry.used_by)}"
    yield ""
    yield f"  match       {entry.example}"


def section(entry: OperatorEntry) -> str:
    """The section of its page."""
    return "\n\n".join(_parts(entry))


def anchor(name: str) -> str:
    """What a link to the section of an operator ends in."""
    return f"#{name.replace('.', '')}"


_NONE = "none: graphs of this level do not have it"
_CONSTANT = "with constant operands it counts as `const` in a pattern"


def _parts(entry: OperatorEntry) -> Iterator[str]:
    yield f"## {entry.row.name}\n\n{entry.row.doc}"
    yield code(entry.example, "spq")
    if entry.attributes:
        rows = [(f"`{k}`", f"`{v}`" if v else "required") for k, v in entry.attributes.items()]
        yield table(("attribute", "default"), rows)
    yield "\n".join(f"- {title}: {said}" for title, said in _facts(entry))


def _facts(entry: OperatorEntry) -> Iterator[tuple[str, str]]:
    yield "operands", ", ".join(_operands(entry))
    yield "results", listed(entry.row.outputs)
    if entry.row.commutes:
        yield "commute", _commuting(entry)
    if entry.weight:
        yield "weight", _weight(entry.weight)
    if entry.row.constant_expression:
        yield "constant", _CONSTANT
    if entry.traits:
        yield "traits", listed(entry.traits)
    for title, names in _forms(entry):
        yield title, listed(names) if names else _NONE
    if entry.used_by:
        yield "named by", listed(entry.used_by)


def _operands(entry: OperatorEntry) -> Iterator[str]:
    for operand in entry.row.operands:
        kind = ", a list" if operand.variadic else ", optional" if operand.optional else ""
        yield f"`{operand.name}`{kind and f' ({kind[2:]})'}"


def _forms(entry: OperatorEntry) -> Iterator[tuple[str, tuple[str, ...]]]:
    yield "ATen", entry.aten
    yield "ONNX", entry.onnx


def _commuting(entry: OperatorEntry) -> str:
    return ", ".join(f"{a} and {b}" for a, b in entry.row.commutes)


def _weight(weight: WeightAxes) -> str:
    bias = f", {weight.bias} is added" if weight.bias else ""
    return (
        f"{weight.operand} multiplies {weight.data}{bias}; channel axis {weight.channel_axis}, "
        f"reduction axis {weight.reduction_axis}; channels lie on axis {weight.output_axis} of the "
        "result"
    )


def _origin(entry: OperatorEntry) -> str:
    return entry.family.name if entry.family else f"from {entry.distribution}"
