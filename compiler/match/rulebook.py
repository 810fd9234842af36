"""Every declaration that is known, whichever file it stands in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import TypeVar

from sparqc.declared.knobs import knob, knobs
from sparqc.declared.natives import Native, natives
from sparqc.errors import PatternError, UsageError, did_you_mean
from sparqc.ir.types import Level
from sparqc.ir.vocabulary.table import OperatorTable, default_table
from sparqc.lang.ast import (
    CheckDecl,
    Declaration,
    FusionDecl,
    OpDecl,
    PatternFile,
    PrecisionDecl,
    PrecisionRole,
    RuleDecl,
    ShareDecl,
)
from sparqc.lang.check.likeness import resolve_like
from sparqc.lang.trait_families import trait_families

D = TypeVar("D", bound=Declaration)


class RuleBook:
    """Declarations by kind and name, always in the order of their names.

    In which order files are added therefore changes nothing.  Level None means every level, and
    target None every target.
    """

    def __init__(
        self,
        declarations: Iterable[Declaration] = (),
        table: OperatorTable | None = None,
        registered: Mapping[str, Native] | None = None,
    ) -> None:
        self.table = default_table() if table is None else table
        self._registered = registered
        self._files: dict[str, PatternFile] = {}
        self._named: dict[str, Declaration] = {}
        self._left_out: set[str] = set()
        self._spellings: dict[str, list[OpDecl]] = {}
        self._traits = {family.name: [family] for family in trait_families(self.table)}
        self._whole: dict[str, FusionDecl | ShareDecl] = {}
        self._knobs: dict[str, str | float] = {}
        for declaration in declarations:
            self.add(declaration)

    # -- adding ----------------------------------------------------------------------------------

    def add_file(self, file: PatternFile) -> None:
        """Add the declarations of a file; the same file twice counts once.

        Raises PatternError where a name is taken.
        """
        if self._files.get(file.path) == file:
            return
        for declaration in file.declarations:
            self.add(declaration)
        self._files[file.path] = file

    def add(self, declaration: Declaration) -> None:
        """Add one declaration; PatternError, naming both places, where its name is taken."""
        name = declaration.name
        known = self._named.get(name)
        if known is None and not isinstance(declaration, OpDecl):
            known = next(iter(self._spellings.get(name, ())), None)
        if known is not None:
            raise PatternError(
                f"{name!r} is declared twice: here and at {known.span or 'an unknown place'}",
                span=declaration.span,
                hint="rename one of them",
            )
        if isinstance(declaration, OpDecl):
            self._add_spelling(declaration)
        else:
            self._named[name] = declaration
            self._whole.clear()

    def _add_spelling(self, declaration: OpDecl) -> None:
        """Spellings of one name are alternatives; by their content, they have an order."""
        known = self._spellings.setdefault(declaration.name, [])
        if declaration not in known:
            known.append(declaration)
            known.sort(key=repr)

    # -- asking ----------------------------------------------------------------------------------

    @cached_property
    def natives(self) -> Mapping[str, Native]:
        """The functions that declarations may call.  Late: finding them imports every pass."""
        return natives() if self._registered is None else self._registered

    @property
    def knobs(self) -> Mapping[str, str | float]:
        """What each knob is set to."""
        return {name: self._knobs.get(name, k.read(k.default)) for name, k in knobs().items()}

    def turn(self, name: str, value: str) -> None:
        """Set a knob; UsageError where there is none, or it has no such value."""
        self._knobs[name] = knob(name).read(value)

    def leave_out(self, names: Iterable[str]) -> None:
        """From now on do without the fusions, shares, checks and the like of these names.

        A fusion that is like one of them stays complete.  Rules are left out where they are
        applied, by the Action, which reports it.
        """
        self._left_out |= set(names)

    @property
    def files(self) -> tuple[PatternFile, ...]:
        """The files, in the order of their paths."""
        return tuple(self._files[path] for path in sorted(self._files))

    @property
    def declarations(self) -> tuple[Declaration, ...]:
        """Everything, in the order of the names."""
        spellings = [d for alternatives in self._spellings.values() for d in alternatives]
        return tuple(sorted([*self._named.values(), *spellings], key=lambda d: d.name))

    def rules(self, level: Level | None = None, target: str | None = None) -> tuple[RuleDecl, ...]:
        """The rules for a level and a target profile."""
        return self._select(RuleDecl, level, target)

    def fusions(
        self, level: Level | None = None, target: str | None = None
    ) -> tuple[FusionDecl, ...]:
        """The fusions for a level and a target profile."""
        return self._select(FusionDecl, level, target)

    def placing(
        self, level: Level | None = None, target: str | None = None
    ) -> tuple[FusionDecl, ...]:
        """Those of the fusions by which Q/DQ and masks are placed: the others only predict."""
        return tuple(f for f in self.fusions(level, target) if not _only_predicts(f))

    def shares(
        self, level: Level | None = None, target: str | None = None
    ) -> tuple[ShareDecl, ...]:
        """The shares for a level and a target profile."""
        return self._select(ShareDecl, level, target)

    def precisions(
        self, role: PrecisionRole, level: Level | None = None, target: str | None = None
    ) -> tuple[PrecisionDecl, ...]:
        """What the `precision` declarations for a level and a target profile say in that role."""
        found = self._select(PrecisionDecl, level, target)
        return tuple(declaration for declaration in found if declaration.role == role)

    def checks(
        self, level: Level | None = None, target: str | None = None
    ) -> tuple[CheckDecl, ...]:
        """The checks for a level and a target profile."""
        return self._select(CheckDecl, level, target)

    def spellings(
        self, name: str, level: Level | None = None, target: str | None = None
    ) -> tuple[OpDecl, ...]:
        """The other ways to write an operator, or the members of a family."""
        found = self._traits.get(name) or self._spellings.get(name) or []
        return tuple(d for d in found if d.is_for(level, target))

    def find(self, name: str) -> Declaration:
        """The declaration of that name, or the first spelling; UsageError where there is none."""
        found = self._named.get(name) or next(iter(self._spellings.get(name, ())), None)
        if found is None:
            close = did_you_mean(name, [*self._named, *self._spellings])
            own = "a rule of your own is found in the file that --patterns FILE names"
            hint = f"{close}\n  {own}" if close else own
            raise UsageError(f"no rule is named {name!r}", hint=hint)
        return self._complete(found)

    def _complete(self, declaration: Declaration) -> Declaration:
        """A fusion or share with the lines of the one that it is `like`; PatternError where that is
        none."""
        if not isinstance(declaration, FusionDecl | ShareDecl) or declaration.like is None:
            return declaration
        if declaration.name not in self._whole:
            self._whole[declaration.name] = resolve_like(declaration, self._named)
        return self._whole[declaration.name]

    def _select(self, kind: type[D], level: Level | None, target: str | None) -> tuple[D, ...]:
        found = (self._complete(self._named[name]) for name in sorted(self._named))
        kept = (d for d in found if isinstance(d, RuleDecl) or d.name not in self._left_out)
        return tuple(d for d in kept if isinstance(d, kind) and d.is_for(level, target))


def _only_predicts(fusion: FusionDecl) -> bool:
    """Whether a fusion says which operators are one kernel, and nothing of INT8 and 2:4."""
    return not (fusion.int8 or fusion.int8_where or fusion.sparse)
