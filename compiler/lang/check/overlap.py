"""Rules that get in each other's way, or in their own: by their patterns, without a graph.

Both checks are conservative.  A rule is called dead only where an earlier one, which asks for no
condition, is certain to match wherever it does; and a rule is suspected of matching its own output
only where the pattern fits what the rewrite builds.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from sparqc.errors import PatternError
from sparqc.lang.ast import Bind, CallPattern, Constraint, MatchStatement, Number, RuleDecl
from sparqc.lang.check.findings import Findings
from sparqc.lang.check.scope import IGNORED, calls_of, roots_of

_Operand = Bind | Number | CallPattern


def check_overlap(rules: Iterable[RuleDecl], spelled: Collection[str] = ()) -> Findings:
    """Rules that never fire behind another one; `spelled` names have spellings of their own.

    Of two rules that match at one place, the one with more operators is applied; of two with as
    many, the one whose name comes first.
    """
    ordered = sorted(rules, key=lambda rule: rule.name)
    for position, later in enumerate(ordered):
        for earlier in ordered[:position]:
            if _runs_before(earlier, later) and covers(earlier, later, spelled):
                place = earlier.span or "another place"
                message = f"{later.name} never fires: {earlier.name} matches wherever it would"
                hint = f"{earlier.name} ({place}) is tried first, and has no condition"
                yield PatternError(message, span=later.span, hint=hint)
                break


def _runs_before(earlier: RuleDecl, later: RuleDecl) -> bool:
    """Whether a rule runs, unconditionally, wherever another one does."""
    target = earlier.target is None or (later.target or "").startswith(earlier.target)
    return target and not earlier.where and set(later.levels) <= set(earlier.levels)


def covers(general: RuleDecl, special: RuleDecl, spelled: Collection[str] = ()) -> bool:
    """Whether one rule certainly matches the same operators wherever the other one matches."""
    roots = roots_of(general), roots_of(special)
    if any(len(r) != 1 for r in roots):
        return False
    cover = _Cover(general, special, spelled)
    if not cover.statement(roots[0][0], roots[1][0]):
        return False
    same_operators = len(cover.calls) == sum(1 for _ in calls_of(special))
    return same_operators and cover.interior_is_closed()


class _Cover:
    """Maps the pattern of `general` onto that of `special`."""

    def __init__(self, general: RuleDecl, special: RuleDecl, spelled: Collection[str]) -> None:
        self.general, self.special, self.spelled = general, special, spelled
        self.of_general = {t: s for s in general.match for t in s.targets}
        self.of_special = {t: s for s in special.match for t in s.targets}
        #: What a name of the general pattern stands for in the special one.
        self.names: dict[str, object] = {}
        #: Calls of the special pattern that the general one matches too, by identity.
        self.calls: list[tuple[CallPattern, bool]] = []

    def statement(self, general: MatchStatement, special: MatchStatement) -> bool:
        same_outputs = len(general.targets) == len(special.targets)
        return same_outputs and self.call(general.call, special.call, general.shared)

    def call(self, general: CallPattern, special: CallPattern, shared: bool) -> bool:
        plain = not (general.maybe or special.maybe or general.rest)
        order = special.ordered or not general.ordered
        heads = self.heads(set(general.heads), set(special.heads))
        if not (plain and heads and order and self.attributes(general, special)):
            return False
        self.calls.append((special, shared))
        return self.operands(general, special)

    def heads(self, general: set[str], special: set[str]) -> bool:
        """Whether every head is covered; one with spellings may take more or fewer operators."""
        return special == general or (special < general and not general.intersection(self.spelled))

    def operands(self, general: CallPattern, special: CallPattern) -> bool:
        ours, theirs = general.operands, special.operands
        if len(ours) > len(theirs):
            rest = ours[len(theirs) :]
            absent = all(isinstance(o, Bind) and o.optional for o in rest)
            if not absent or special.open or special.rest:
                return False
        more = len(ours) < len(theirs) or special.open or bool(special.rest)
        if more and not general.open:
            return False
        return all(self.operand(a, b) for a, b in zip(ours, theirs, strict=False))

    def operand(self, general: _Operand, special: _Operand) -> bool:
        if isinstance(general, Number):
            return isinstance(special, Number) and general == special
        if isinstance(general, CallPattern):
            inner = self.call_of(special)
            return inner is not None and self.call(general, inner, shared=False)
        return self.bind(general, special)

    def call_of(self, operand: _Operand) -> CallPattern | None:
        """The call behind an operand: written there, or in a statement of one result."""
        if isinstance(operand, CallPattern):
            return operand
        statement = self.of_special.get(operand.name) if isinstance(operand, Bind) else None
        return statement.call if statement and len(statement.targets) == 1 else None

    def bind(self, general: Bind, special: _Operand) -> bool:
        thing = self.thing(special)
        if general.name != IGNORED and self.names.setdefault(general.name, thing) != thing:
            return False
        statement = self.of_general.get(general.name)
        if statement is not None:
            inner = self.call_of(special)
            one = len(statement.targets) == 1 and inner is not None
            return one and inner is not None and self.call(statement.call, inner, statement.shared)
        if isinstance(special, Bind):
            optional = general.optional or not special.optional
            return optional and _implies(special.constraint, general.constraint)
        return general.constraint is None

    def thing(self, operand: _Operand) -> object:
        """What identifies an operand: its name, or the call itself."""
        named = isinstance(operand, Bind) and operand.name != IGNORED
        return operand.name if named and isinstance(operand, Bind) else id(operand)

    def attributes(self, general: CallPattern, special: CallPattern) -> bool:
        theirs = {a.name: a for a in special.attributes}
        for ours in general.attributes:
            other = theirs.get(ours.name)
            if ours.bind is None:
                if other is None or other.bind is not None or not _equal(ours, other):
                    return False
            elif ours.bind != IGNORED:
                # Bound twice, an attribute is compared: that asks more than the special pattern.
                if ours.bind in self.names:
                    return False
                self.names[ours.bind] = ours.name
        return True

    def interior_is_closed(self) -> bool:
        """Whether what the general match holds inside is read inside of it in the special one."""
        held = {id(call) for call, _ in self.calls}
        for call, shared in self.calls[1:]:
            statement = next((s for s in self.special.match if s.call is call), None)
            if shared or statement is None:
                continue
            readers = [c for c in calls_of(self.special) if _reads(c, statement.targets)]
            if statement.shared or any(id(c) not in held for c in readers):
                return False
        return True


def _reads(call: CallPattern, names: tuple[str, ...]) -> bool:
    return any(isinstance(o, Bind) and o.name in names for o in call.operands)


def _equal(a: object, b: object) -> bool:
    return repr(a) == repr(b)  # 1, 1.0 and true are three literals


def _implies(special: Constraint | None, general: Constraint | None) -> bool:
    """Whether what meets one constraint meets the other."""
    if general is None:
        return True
    if special is None or (general.const and not special.const):
        return False
    dtypes = not general.dtypes or (
        bool(special.dtypes) and set(special.dtypes) <= set(general.dtypes)
    )
    return dtypes and (general.dims is None or _plain(general.dims))


def _plain(dims: tuple[int | str, ...]) -> bool:
    """Whether dimensions demand nothing at all: `[...]`."""
    return dims == ("...",)
