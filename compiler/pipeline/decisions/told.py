"""The decisions of one pass as events: what it changed, and what its facts say of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from sparqc.pipeline.decisions.changes import ENDS, Change
from sparqc.pipeline.decisions.numbers import compared
from sparqc.pipeline.decisions.outline import Operator, Outline
from sparqc.pipeline.decisions.rows import Row
from sparqc.pipeline.events import DecisionEvent


@dataclass
class _Decision:
    """A change, and the rows that speak of it."""

    change: Change
    number: int
    #: Names that the change is about, and the operators next to it.
    names: set[str]
    near: dict[str, Operator]
    rows: list[Row] = field(default_factory=list)

    @property
    def near_names(self) -> set[str]:
        found = set(self.near)
        for operator in self.near.values():
            found |= {*operator.layers, *operator.outputs}
        return found


def told(
    pass_: str,
    number: int,
    numbers: Sequence[int],
    changes: Sequence[Change],
    outlines: tuple[Outline, Outline],
    rows: Iterable[Row],
    places: Mapping[str, str],
) -> Iterator[DecisionEvent]:
    """The events of a pass, in the order of the graph; then what its facts say of layers that stay
    what they are.

    `number` is that of the pass, `numbers` that of each change.  `rows` are those of the facts that
    the pass left; `places` says where each declaration of a pattern file stands.
    """
    before, after = outlines
    readers = _readers(after)
    decisions = [
        _Decision(change, at, *_scope(change, before, after, readers))
        for change, at in zip(changes, numbers, strict=True)
    ]
    rest = list(_unclaimed(decisions, [_spoken(row, places) for row in rows]))
    for decision in decisions:
        yield _event(pass_, decision, before, after, places)
    for row in rest:
        yield DecisionEvent(
            seq=number, pass_=pass_, what="keep" if row.reason else "say", name=row.names[0],
            by=_declared(row, places), module=row.module, source=row.source, reason=row.reason,
            said=(row.to_json(),),
        )  # fmt: skip


def _spoken(row: Row, places: Mapping[str, str]) -> Row:
    """A row whose reason is the name of a declaration does something, and says by which."""
    if row.reason not in places:
        return row
    return replace(row, reason="", fields={**row.fields, "by": row.reason})


def _readers(outline: Outline) -> Mapping[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, node in outline.nodes.items():
        for read in node.reads:
            found.setdefault(read, []).append(name)
    return found


def _scope(
    change: Change, before: Outline, after: Outline, readers: Mapping[str, list[str]]
) -> tuple[set[str], dict[str, Operator]]:
    names = {change.subject, *change.added, *change.removed, *change.constants, *change.altered}
    near = [r.node for r in change.rewired if r.node != ENDS]
    near += [r for name in change.constants for r in _reached(name, after, readers)]
    near += change.altered
    known = {name: after.nodes[name] for name in near if name in after.nodes}
    for name in change.removed:
        if name in before.nodes:
            known[name] = before.nodes[name]
    return names, known


def _reached(name: str, outline: Outline, readers: Mapping[str, list[str]]) -> Iterator[str]:
    """The operators that read a constant, and those behind its masks and quantizers."""
    for reader in readers.get(name, ()):
        yield reader
        if outline.nodes[reader].op.startswith(("q.", "sparse.")):
            yield from _reached(reader, outline, readers)


def _unclaimed(decisions: Sequence[_Decision], rows: Iterable[Row]) -> Iterator[Row]:
    """Give each row to the change that it speaks of; those of none are left."""
    by_name: dict[str, _Decision] = {}
    by_layer: dict[str, _Decision] = {}
    for decision in decisions:
        for name in decision.names:
            by_name.setdefault(name, decision)
        for name in decision.near_names:
            by_layer.setdefault(name, decision)
    for row in rows:
        found = next((by_name[name] for name in row.names if name in by_name), None)
        if found is None:
            found = next((by_layer[name] for name in row.names if name in by_layer), None)
        if found is None or row.reason:
            yield row
        else:
            found.rows.append(row)


def _event(
    pass_: str,
    decision: _Decision,
    before: Outline,
    after: Outline,
    places: Mapping[str, str],
) -> DecisionEvent:
    change = decision.change
    origin = _origin(change, before, after, decision)
    rules = [place for row in decision.rows for place in _declared(row, places)]
    rules += _new_rules(change, before, after, decision)
    olds = [n for r in change.rewired for n in _names(r.before)]
    return DecisionEvent(
        seq=decision.number,
        pass_=pass_,
        what=change.what,
        name=change.subject,
        by=tuple(dict.fromkeys(rules)),
        before=tuple(dict.fromkeys([*change.removed, *change.constants, *change.altered, *olds])),
        after=tuple(dict.fromkeys([*change.added, *change.constants, *change.altered])),
        readers=tuple(f"{r.node}.{r.slot}" if r.node else f"output {r.slot}"
                      for r in change.rewired),
        module=origin.module if origin else "",
        source=origin.source if origin else "",
        constants={name: compared(*pair) for name, pair in change.constants.items()},
        said=tuple(row.to_json() for row in decision.rows),
    )  # fmt: skip


def _origin(
    change: Change, before: Outline, after: Outline, decision: _Decision
) -> Operator | None:
    """The operator whose line of the model it is about."""
    names = [change.subject, *change.removed, *change.added]
    known = [before.nodes.get(n) or after.nodes.get(n) for n in names]
    for operator in [*known, *decision.near.values()]:
        if operator is not None and (operator.module or operator.source):
            return operator
    return None


def _new_rules(
    change: Change, before: Outline, after: Outline, decision: _Decision
) -> Iterator[str]:
    """The rules that new operators name, and what they were made of does not."""
    names = [*change.removed, *decision.near, change.subject]
    names += [n for name in change.added if name in after.nodes for n in after.nodes[name].reads]
    old = {rule for n in names if n in before.nodes for rule in before.nodes[n].rules}
    for name in change.added:
        if name in after.nodes:
            yield from (rule for rule in after.nodes[name].rules if rule not in old)


def _declared(row: Row, places: Mapping[str, str]) -> tuple[str, ...]:
    """The declarations of pattern files that a row names in one of its fields."""
    return tuple(
        f"{places[w]} {w}" for w in row.fields.values() if isinstance(w, str) and w in places
    )


def _names(read: object) -> tuple[str, ...]:
    if isinstance(read, str):
        return (read,)
    return read if isinstance(read, tuple) else ()
