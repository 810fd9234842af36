"""What one row of the operator table says about an operator.

The table gives each operator one name and one order of operands for both levels.  A row holds, per
level, the raw spellings (`FxForm`, `OnnxForm`): a reader from a raw call, with its defaults already
filled in, to operands and attributes, and a writer back.  A reader returns None for a spelling it
cannot express; the call then stays raw (`aten.*`, `onnx.*`), opaque to patterns that ask for the
operator by name.  The rows stand in `sparqc.ir.operators`, one file for each kind of operator.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sparqc.errors import UsageError
from sparqc.ir.graph import Array, Attribute, Node, TensorType, Value
from sparqc.ir.types import Level
from sparqc.ir.vocabulary.traits import Trait, closed


class Required:
    """Stands for the default of an attribute that has none."""

    def __repr__(self) -> str:
        return "REQUIRED"


REQUIRED = Required()


@dataclass(frozen=True)
class OperandSpec:
    """One operand slot; a variadic one is the last and takes a tuple of values."""

    name: str
    optional: bool = False
    variadic: bool = False


@dataclass(frozen=True)
class WeightSpec:
    """Which operand of a weighted operator is the weight, and what its axes mean.

    `channel_axis` is the output-channel axis of the stored tensor (the axis of per-channel scales);
    `reduction_axis` the one summed over, along which 2:4 runs.
    """

    operand: str
    channel_axis: Callable[[Node], int]
    reduction_axis: Callable[[Node], int]
    #: The operand that the weight multiplies, and the one that is added, None where there is none.
    data: str = "x"
    bias: str | None = "b"
    #: The axis of the result that the output channels lie on.
    output_axis: int = 1


@dataclass(frozen=True)
class Call:
    """A raw call as a reader sees it: arguments by schema name, defaults filled in.

    Tensors are `Value`s (or tuples of them), everything else is plain Python.  On ONNX `arguments`
    holds inputs under the schema's input names and attributes under theirs.  A symbolic integer is
    a `Value` of dtype "sym".
    """

    target: str  # "aten.conv2d.default" or "Conv"
    arguments: Mapping[str, Any]
    types: Sequence[TensorType]  # of the outputs
    opset: int = 0  # ONNX only

    def constant(self, name: str) -> Array | None:
        """The array of an argument that is a constant tensor, else None."""
        value = self.arguments.get(name)
        return value.data if isinstance(value, Value) else None


@dataclass(frozen=True)
class Reading:
    """A call in the vocabulary.  An operand given as an array becomes a constant of the graph."""

    operands: Mapping[str, Value | Sequence[Value] | Array | None]
    attributes: Mapping[str, Attribute] = field(default_factory=dict)


@dataclass(frozen=True)
class FxCall:
    """A call to put into an FX graph: an ATen overload, and arguments in which Values stand."""

    target: Any  # torch._ops.OpOverload, or operator.getitem
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class FxForm:
    """How an operator is spelled in ATen.  `targets` include in-place overloads (`aten.relu_`)."""

    targets: tuple[str, ...]
    read: Callable[[Call], Reading | None]
    write: Callable[[Node], FxCall]


@dataclass(frozen=True)
class Emitted:
    """One ONNX node as a writer asked for it; a `str` names a tensor that the emitter made, "" one
    that is left out."""

    op_type: str
    domain: str
    inputs: tuple[Value | str | None, ...]
    attributes: Mapping[str, Attribute]
    outputs: tuple[Value | str, ...]


class OnnxEmitter(ABC):
    """What a writer may do to the ONNX graph that is being written."""

    opset: int

    def emit(
        self,
        op_type: str,
        inputs: Sequence[Value | str | None],
        attributes: Mapping[str, Attribute] | None = None,
        *,
        outputs: Sequence[Value | str],
        domain: str = "",
    ) -> None:
        """Append one ONNX node; a `str` is the name of a tensor made by `constant` or `temp`.

        An attribute that is None is left out.
        """
        given = {k: v for k, v in (attributes or {}).items() if v is not None}
        self.add(Emitted(op_type, domain, tuple(inputs), given, tuple(outputs)))

    @abstractmethod
    def add(self, emitted: Emitted) -> None:
        """Append the node that `emit` was asked for."""

    @abstractmethod
    def constant(self, array: Array, hint: str) -> str:
        """Add an initializer under a fresh name like `hint` and return the name."""

    @abstractmethod
    def temp(self, hint: str) -> str:
        """A fresh name for an intermediate tensor."""


@dataclass(frozen=True)
class OnnxForm:
    """How an operator is spelled in ONNX; most write exactly one node.

    A writer raises `sparqc.errors.NoForm` for a use that it cannot spell, which torch.onnx may;
    every other error of it ends the compile.
    """

    op_types: tuple[str, ...]
    read: Callable[[Call], Reading | None]
    write: Callable[[Node, OnnxEmitter], None]
    domain: str = ""


@dataclass(frozen=True)
class Sample:
    """A random instance of an operator for tests: arrays for operands, the constant ones named."""

    operands: Mapping[str, Array | Sequence[Array] | None]
    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    constants: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Given:
    """What an instance of an operator is built around: operands that are there already (None: left
    out) and attributes.  What it does not name is free."""

    operands: Mapping[str, Value | None] = field(default_factory=dict)
    attributes: Mapping[str, Attribute] = field(default_factory=dict)

    def shape(self, slot: str) -> tuple[int, ...] | None:
        """The shape of an operand, a free dimension taken as `ONE_SIZE`; None where none is
        given."""
        value = self.operands.get(slot)
        if value is None or value.shape is None:
            return None
        return tuple(d if isinstance(d, int) else ONE_SIZE for d in value.shape)


#: What the size of a free dimension is where an instance of an operator is built or run.
ONE_SIZE = 2


@dataclass(frozen=True)
class Operator:
    """One row of the table."""

    name: str
    doc: str
    operands: tuple[OperandSpec, ...]
    #: Every attribute with its default, `REQUIRED` where it has none.
    attributes: Mapping[str, Attribute | Required] = field(default_factory=dict)
    #: Names of the outputs; a trailing "*" marks a variadic one ("y*" for split).
    outputs: tuple[str, ...] = ("y",)
    #: Pairs of operands that may be swapped.
    commutes: tuple[tuple[str, str], ...] = ()
    #: What holds of it (`sparqc.ir.vocabulary.traits`), and after creation all that follows.
    traits: tuple[Trait, ...] | frozenset[Trait] = ()
    #: Of one that contracts: its multiply-adds; None where a size is not known.
    macs: Callable[[Node], int | None] | None = None
    weight: WeightSpec | None = None
    #: Whether a node with only constant operands is itself a constant expression (masks, Q/DQ of
    #: weights, re-layouts): patterns take its output as `const`.
    constant_expression: bool = False
    #: Reference semantics on numpy arrays, where constant expressions are evaluated:
    #: (operands by name, attributes) -> one array for each output.
    evaluate: Callable[[Mapping[str, Any], Mapping[str, Attribute]], Sequence[Array]] | None = None
    fx: FxForm | None = None
    onnx: OnnxForm | None = None
    sample: Callable[[np.random.Generator], Sample] | None = None
    #: The same around what is given, for rows whose operands or attributes depend on each other;
    #: None for what nothing fits around.  It also draws the special cases (a window of one element,
    #: an order that changes nothing) that rules ask for.
    around: Callable[[np.random.Generator, Given], Sample | None] | None = None

    def __post_init__(self) -> None:
        given: list[Trait] = ["weighted"] if self.weight else ["contracts"] if self.macs else []
        traits = closed([*self.traits, *given], self.name)
        if "contracts" in traits and self.macs is None:
            hint = "give `macs`, a function of its node"
            raise UsageError(f"the operator {self.name!r} contracts without a formula", hint=hint)
        object.__setattr__(self, "traits", traits)

    def form(self, level: Level) -> FxForm | OnnxForm | None:
        """The spelling at a level, None where the operator does not exist there."""
        return self.fx if level == "fx" else self.onnx

    @property
    def operand_names(self) -> tuple[str, ...]:
        """The operands' names, in order."""
        return tuple(o.name for o in self.operands)
