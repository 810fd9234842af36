"""What there is to say of one native, read off its function."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sparqc.base.plugins import OWN, distribution_of
from sparqc.declared.natives import Native, Parameter, natives
from sparqc.lang.ast import NativeCall
from sparqc.lang.format.printer import format_expr
from sparqc.lang.walk import walk
from sparqc.pipeline.installed import installed
from sparqc.tools.reference.uses import native_uses

#: What a parameter is given, by its kind: in an argument's place stands …
KINDS = {
    "array": "a constant operand, given as its array",
    "value": "an operand, given as the value itself",
    "plain": "a number, a string, a shape or another list, given as plain Python",
}
_NONE = "; None where it is absent"


@dataclass(frozen=True)
class NativeEntry:
    """One native, for a page, a terminal or JSON."""

    native: Native
    #: As a pattern file that ships calls it; made of its parameters' names where none does.
    example: str
    used_by: tuple[str, ...]

    @property
    def signature(self) -> str:
        """`@divides(output: Sequence[int], shape: Shape) -> bool`."""
        return f"@{self.native.name}{inspect.signature(self.native.function)}".replace("'", "")

    @property
    def distribution(self) -> str:
        """The distribution that it comes from; "" of a person's own file."""
        return distribution_of(self.native.module)

    @property
    def file(self) -> str:
        """Where it is defined: of sparqc's own a path in the repository, else the module."""
        module = self.native.module
        if self.distribution != OWN:
            return module
        path = module.removeprefix(f"{OWN}.").replace(".", "/")
        return f"{path}.py" if path.startswith("passes/") else f"compiler/{path}.py"

    @property
    def parameters(self) -> Mapping[str, str]:
        """What each parameter is given."""
        return {p.name: _given(p) for p in self.native.parameters}

    def to_json(self) -> dict[str, Any]:
        """Plain data, as docs/cli.md describes it."""
        return {
            "name": self.native.name,
            "doc": self.native.doc,
            "distribution": self.distribution,
            "file": self.file,
            "signature": self.signature,
            "parameters": [
                {"name": p.name, "kind": p.kind, "optional": p.optional}
                for p in self.native.parameters
            ],
            "least": self.native.least,
            "most": self.native.most,
            "example": self.example,
            "used_by": list(self.used_by),
        }


def entries() -> dict[str, NativeEntry]:
    """Every native that is known, by its name in alphabetical order."""
    uses, calls = native_uses(), _calls()
    return {
        name: NativeEntry(native, calls.get(name) or _made_up(native), uses.get(name, ()))
        for name, native in sorted(natives().items())
    }


def _given(parameter: Parameter) -> str:
    return KINDS[parameter.kind] + _NONE * parameter.optional


def _calls() -> Mapping[str, str]:
    """The first call of each native in a pattern file, in its canonical form."""
    found: dict[str, str] = {}
    for file in installed():
        for call in (c for d in file.declarations for c in walk(d, NativeCall)):
            found.setdefault(call.name, format_expr(call))
    return found


def _made_up(native: Native) -> str:
    return f"@{native.name}({', '.join(p.name for p in native.parameters)})"
