"""The operators and families that a pattern may name, and what is known of them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from functools import cache

from sparqc.declared.knobs import knobs
from sparqc.errors import closest, did_you_mean
from sparqc.ir.types import Level
from sparqc.ir.vocabulary.operator import Operator
from sparqc.ir.vocabulary.table import OperatorTable
from sparqc.lang.ast import CallPattern, FusionDecl, OpDecl, ShareDecl
from sparqc.lang.trait_families import trait_families
from sparqc.lang.walk import walk


class Vocabulary:
    """The operator table together with the `op` declarations at hand."""

    def __init__(
        self,
        table: OperatorTable,
        spellings: Iterable[OpDecl],
        fusions: Mapping[str, FusionDecl] | None = None,
        known_knobs: Collection[str] | None = None,
        shares: Mapping[str, ShareDecl] | None = None,
    ) -> None:
        self.table = table
        self.knobs: Collection[str] = knobs() if known_knobs is None else known_knobs
        self.fusions = fusions or {}
        self.shares = shares or {}
        self._families: dict[str, list[OpDecl]] = {}
        for spelling in (*spellings, *trait_families(table)):
            self._families.setdefault(spelling.name, []).append(spelling)

    def operator(self, name: str) -> Operator | None:
        """The table's row, or one made from the schema of a raw operator."""
        return self.table.get(name) or (None if name in self._families else _raw(name))

    def family(self, name: str) -> tuple[OpDecl, ...]:
        """The alternatives of a name that no operator has; empty where there are none."""
        return () if self.table.get(name) else tuple(self._families.get(name, ()))

    def knows(self, name: str) -> bool:
        """Whether a pattern may name it."""
        return bool(self.family(name)) or self.operator(name) is not None or _foreign(name)

    def is_given(self, name: str, level: Level) -> bool:
        """Whether a graph of a level may have an operator of that name, or of that family."""
        if name in self._families or not self.knows(name):
            return True
        row = self.table.get(name)
        if row is None:
            return not name.startswith("onnx." if level == "fx" else "aten.")
        form = row.form(level)
        return form is not None and (level == "fx" or bool(form.op_types))  # type: ignore[union-attr]

    def suggestion(self, name: str) -> str:
        """A hint for an unknown name."""
        if own := self._of_python(name):
            return f"operators have names of their own here: {own}"
        return did_you_mean(name, _raw_names(name)) or did_you_mean(name, self.names)

    def meant_by(self, name: str) -> list[str]:
        """What an unknown name may have been meant for."""
        if own := self._of_python(name):
            return [own]
        return closest(name, _raw_names(name)) or closest(name, self.names)

    def _of_python(self, name: str) -> str:
        """The operator here of which a name is the one in a library of Python's; else ""."""
        namespace, _, last = name.rpartition(".")
        own = f"nn.{_snake_case(last)}"
        return own if namespace in _PYTHON and self.knows(own) else ""

    @property
    def spelled(self) -> frozenset[str]:
        """The names that have spellings."""
        return frozenset(self._families)

    @property
    def names(self) -> tuple[str, ...]:
        """What may be meant by an unknown name."""
        return (*self.table.names, *self._families)

    def attributes(self, name: str) -> frozenset[str] | None:
        """The attributes of an operator, or of any operator of a family; None: not known."""
        return self._attributes(name, frozenset())

    def _attributes(self, name: str, inside: frozenset[str]) -> frozenset[str] | None:
        operator = self.operator(name)
        if operator is not None:
            direct = frozenset(operator.attributes)
            return direct | self._spelled(name, inside) if name in self._families else direct
        return self._spelled(name, inside) if self.family(name) else None

    def _spelled(self, name: str, inside: frozenset[str]) -> frozenset[str]:
        """The attributes of the operators in the spellings of a name; it may contain itself."""
        heads = {
            head
            for spelling in self._families.get(name, ())
            for statement in spelling.match
            for call in walk(statement, CallPattern)
            for head in call.heads
        }
        known = [self._attributes(h, inside | {name}) for h in sorted(heads - inside - {name})]
        return frozenset[str]().union(*(k for k in known if k is not None))


#: Where people have the names of operators from.
_PYTHON = frozenset({"torch", "F", "torch.nn", "torch.nn.functional", "nn", "Tensor", "tf", "np"})


def _snake_case(name: str) -> str:
    """`LeakyReLU` as `leaky_relu`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def _foreign(name: str) -> bool:
    """Whether it is an ONNX operator of a domain that has no schemas here."""
    return name.startswith("onnx.") and name.count(".") > 1


def _raw_names(name: str) -> list[str]:
    """The overloads of an ATen operator that is named without one, or the ONNX operators."""
    namespace, _, rest = name.partition(".")
    if namespace == "aten":
        import torch

        packet = getattr(torch.ops.aten, rest.partition(".")[0], None)
        overloads = packet.overloads() if packet is not None else ()
        return [f"{namespace}.{rest}.{o}" for o in overloads]
    if namespace == "onnx":
        import onnx

        return [f"onnx.{s.name}" for s in onnx.defs.get_all_schemas()]
    return []


@cache
def _raw(name: str) -> Operator | None:
    if "." not in name:
        return None
    # Late: the schemas are torch's and onnx's, and most files name no raw operator.
    from sparqc.ir.vocabulary.onnx_names import DEFAULT_OPSET
    from sparqc.ir.vocabulary.raw import raw_operator

    return raw_operator(name, {"": DEFAULT_OPSET})
