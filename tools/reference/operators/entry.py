"""What there is to say of one operator, read off its row of the table."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType, ModuleType
from typing import Any

from sparqc.ir.vocabulary.operator import Operator, Required
from sparqc.ir.vocabulary.table import OperatorTable
from sparqc.ir.vocabulary.traits import TRAITS, Trait
from sparqc.lang.format.printer import format_scalar
from sparqc.lang.parse.keywords import RESERVED
from sparqc.tools.reference.operators.weight_axes import WeightAxes, weight_axes


@dataclass(frozen=True)
class Family:
    """The file of the table that a row stands in."""

    name: str
    doc: str


@dataclass(frozen=True)
class OperatorEntry:
    """One operator, for a page, a terminal or JSON."""

    row: Operator
    #: None for a row of a plug-in.
    family: Family | None
    distribution: str
    weight: WeightAxes | None
    used_by: tuple[str, ...]

    @property
    def signature(self) -> str:
        """`nn.conv(x, w, b?)`: the operands; `*xs` is a list of them."""
        return f"{self.row.name}({', '.join(_operands(self.row))})"

    @property
    def attributes(self) -> Mapping[str, str]:
        """Each attribute with its default as a pattern file writes it; "" where it has none."""
        given = self.row.attributes.items()
        return {k: "" if isinstance(v, Required) else _written(v) for k, v in given}

    @property
    def traits(self) -> tuple[Trait, ...]:
        """What holds of it, in the order of the list of traits."""
        return tuple(trait for trait in TRAITS if trait in self.row.traits)

    @property
    def aten(self) -> tuple[str, ...]:
        """The ATen overloads that are read as it; those of another library as torch names them."""
        targets = self.row.fx.targets if self.row.fx else ()
        known = ("aten.", "sym.")
        return tuple(t if t.startswith(known) else t.replace(".", "::", 1) for t in targets)

    @property
    def onnx(self) -> tuple[str, ...]:
        """The ONNX operators that are read as it, those of another domain with it."""
        form = self.row.onnx
        prefix = f"{form.domain}." if form and form.domain else ""
        return tuple(f"{prefix}{name}" for name in form.op_types) if form else ()

    @property
    def levels(self) -> tuple[str, ...]:
        """The levels on which graphs may have it."""
        return tuple(level for level, names in (("fx", self.aten), ("onnx", self.onnx)) if names)

    @property
    def example(self) -> str:
        """A line of a match block that names every operand, and attributes with their defaults."""
        written = [f"{k}={v or _free(k)}" for k, v in self.attributes.items()]
        targets = ", ".join(name.removesuffix("*") for name in self.row.outputs)
        return f"{targets} = {self.row.name}({', '.join([*_operands(self.row), *written])})"

    def to_json(self) -> dict[str, Any]:
        """Plain data, as docs/cli.md describes it."""
        return {
            "name": self.row.name,
            "doc": self.row.doc,
            "distribution": self.distribution,
            "family": self.family.name if self.family else None,
            "operands": [
                {"name": o.name, "optional": o.optional, "variadic": o.variadic}
                for o in self.row.operands
            ],
            "attributes": [_attribute(name, v) for name, v in self.row.attributes.items()],
            "outputs": list(self.row.outputs),
            "commutes": [list(pair) for pair in self.row.commutes],
            "traits": list(self.traits),
            "weight": self.weight.to_json() if self.weight else None,
            "constant_expression": self.row.constant_expression,
            "levels": list(self.levels),
            "aten": list(self.aten),
            "onnx": list(self.onnx),
            "example": self.example,
            "used_by": list(self.used_by),
        }


def entries(
    table: OperatorTable, uses: Mapping[str, tuple[str, ...]] = MappingProxyType({})
) -> dict[str, OperatorEntry]:
    """Every row by its name, in the order of the table."""
    return {name: entry_of(table.require(name), table, uses) for name in table.names}


def entry_of(
    row: Operator, table: OperatorTable, uses: Mapping[str, tuple[str, ...]] = MappingProxyType({})
) -> OperatorEntry:
    """What there is to say of one row."""
    return OperatorEntry(
        row,
        families().get(row.name),
        table.distribution(row.name),
        weight_axes(row),
        uses.get(row.name, ()),
    )


@cache
def families() -> Mapping[str, Family]:
    """The families of sparqc's own operators, by the names of the operators."""
    from sparqc.ir import operators

    modules = [m for m in vars(operators).values() if isinstance(m, ModuleType)]
    return {
        row.name: Family(module.__name__.rpartition(".")[2], _title(module))
        for module in modules
        for row in getattr(module, "OPERATORS", ())
    }


def _title(module: ModuleType) -> str:
    return (inspect.getdoc(module) or "").partition("\n\n")[0].replace("\n", " ")


def _operands(row: Operator) -> list[str]:
    return [f"*{_free(o.name)}" if o.variadic else _free(o.name) + "?" * o.optional
            for o in row.operands]  # fmt: skip


def _free(name: str) -> str:
    """Operands go by position: one whose name is a word of the language takes another here."""
    return f"{name}_" if name in RESERVED else name


def _written(value: Any) -> str:
    return format_scalar(tuple(value) if isinstance(value, (tuple, list)) else value)


def _attribute(name: str, default: Any) -> dict[str, Any]:
    if isinstance(default, Required):
        return {"name": name, "required": True}
    plain = list(default) if isinstance(default, tuple) else default
    return {"name": name, "required": False, "default": plain}
