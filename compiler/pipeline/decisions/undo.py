"""Decisions of a pass undone, one by one, in the graph that the pass left."""

from __future__ import annotations

from collections.abc import Iterable

from sparqc.ir.graph import Graph, TensorType, Value, dtype_name
from sparqc.pipeline.decisions.changes import ENDS, Change, Rewired
from sparqc.pipeline.decisions.outline import Outline, Read


def can_undo(change: Change, before: Outline, after: Outline) -> bool:
    """Whether the graph would be sound without this change, whatever becomes of the others.

    Operators that are gone do not come back, and no value may change its element type by it.
    """
    if change.altered or any(name not in before.constants for name in change.removed):
        return False
    return all(_is_sound(rewired, before, after) for rewired in change.rewired)


def _is_sound(rewired: Rewired, before: Outline, after: Outline) -> bool:
    old, new = _names(rewired.before), _names(rewired.after)
    kept = all(name in after.dtypes or name in before.constants for name in old)
    absent = not old or not new  # an operand that was put in, as a bias is
    return kept and (absent or [before.dtypes[n] for n in old] == [after.dtypes[n] for n in new])


def undo(graph: Graph, changes: Iterable[Change], before: Outline) -> None:
    """Put back what slots read and what constants were; what nobody reads any more goes.

    `graph` is the one behind the pass, or a clone of it; `before` is what it was in front.
    """
    for change in changes:
        for name, (data, _) in change.constants.items():
            value = graph.value(name)
            value.data, value.type = data, TensorType(dtype_name(data.dtype), data.shape)
            graph.kept = None
        for rewired in change.rewired:
            _rewire(graph, rewired, before)
    graph.drop_dead()
    graph.sort()


def _rewire(graph: Graph, rewired: Rewired, before: Outline) -> None:
    names = rewired.before
    if rewired.node == ENDS:
        assert isinstance(names, str)
        outputs = list(graph.outputs)
        outputs[int(rewired.slot)] = _value(graph, names, before)
        graph.set_outputs(outputs, graph.output_names)
        return
    if rewired.node not in graph:
        return
    node = graph.value(rewired.node).producer
    assert node is not None
    if names is None or isinstance(names, str):
        operand: Value | list[Value] | None = _value(graph, names, before) if names else None
    else:
        operand = [_value(graph, name, before) for name in names]
    graph.set_operand(node, rewired.slot, operand)


def _value(graph: Graph, name: str, before: Outline) -> Value:
    """The value of that name; a constant that is gone comes back."""
    return graph.value(name) if name in graph else graph.constant(before.constants[name], name)


def _names(read: Read) -> tuple[str, ...]:
    return () if read is None else (read,) if isinstance(read, str) else read
