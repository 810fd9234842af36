"""What `place` made of the quantizers of another tool: kept, moved, removed and added ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sparqc.ir.graph import Value
from sparqc.ir.layer_names import name_of
from sparqc.lang.ast import FusionDecl
from sparqc.passes.adopt.adopted import Adopted, Adoption, QuantizerChange
from sparqc.passes.place.decide import Decider
from sparqc.passes.place.placement import Placement, Quantizer

_GONE = "what it stood on is gone: other passes rewrote it"
_OUTPUT = "an output of the model, which was not asked for in INT8"
_UNREAD = "no operator of the target reads it in INT8"


def changes(taken: Adoption, placement: Placement, decider: Decider) -> list[QuantizerChange]:
    """A row for each quantizer that was there, in its order, then one for each that is new."""
    placed = {quantizer.value: quantizer for quantizer in placement.quantizers}
    rows = [_change(a, name, placed, decider) for a, name in taken.places]
    for row, (found, _) in zip(rows, taken.places, strict=True):
        if row.kind == "moved":
            taken.take(row.to, found)
    known = {name for _, name in taken.places} | {row.to for row in rows}
    return [*rows, *_added(placement, known, taken)]


def _change(
    found: Adopted, name: str, placed: Mapping[str, Quantizer], decider: Decider
) -> QuantizerChange:
    if name in placed:
        return QuantizerChange(name, "kept", _asked(placed[name]), found.origin)
    if not name:
        return QuantizerChange(found.value, "removed", _GONE, found.origin)
    value = decider.graph.value(name)
    for other, through in _connected(value, decider):
        if other.name in placed:
            reason = f"{through} hands codes on; {_asked(placed[other.name])}"
            return QuantizerChange(name, "moved", reason, found.origin, other.name)
    return QuantizerChange(name, "removed", _why_removed(value, decider), found.origin)


def _asked(quantizer: Quantizer) -> str:
    readers = ", ".join(quantizer.readers)
    return f"{quantizer.reason} reads {readers} in INT8"


def _connected(value: Value, decider: Decider) -> Iterator[tuple[Value, str]]:
    """The values to which codes would pass from this one, in both directions, and through what."""
    seen, stack = {value}, [value]
    while stack:
        current = stack.pop()
        for node in (current.producer, *current.readers):
            movement = decider.movements.get(node) if node else None
            if node is None or movement is None:
                continue
            for other in (*movement.inputs, *movement.outputs):
                if other not in seen:
                    seen.add(other)
                    stack.append(other)
                    yield other, node.op


def _why_removed(value: Value, decider: Decider) -> str:
    """The rule by which no quantizer stands on a value."""
    inside = decider.owners.get(value.producer) if value.producer else None
    for reader in value.readers:
        decision = decider.owners.get(reader)
        if decision is None:
            continue
        if decision is inside:
            return _inside(decision.fusion)
        if decision.reason:
            return f"{name_of(reader)} stays in float: {decision.reason}"
    if not value.readers:
        return _OUTPUT
    return _UNREAD


def _inside(fusion: FusionDecl) -> str:
    """The fusion with the first sentence of what it says of itself."""
    text = fusion.doc.partition(". ")[0].rstrip(".")
    return f"inside {fusion.name}" + f": {text[:1].lower()}{text[1:]}" * bool(text)


def _added(placement: Placement, known: set[str], taken: Adoption) -> Iterator[QuantizerChange]:
    for quantizer in placement.quantizers:
        if quantizer.value not in known:
            reason = _asked(quantizer) + taken.why_missing(quantizer.value)
            yield QuantizerChange(quantizer.value, "added", reason)
