"""Types of the outputs of new FX nodes, by running the call on fake tensors."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable
from functools import cache
from typing import Any
from weakref import WeakKeyDictionary

import sympy  # type: ignore[import-untyped]
import torch
from torch import fx
from torch._dispatch.python import enable_python_dispatcher
from torch._dynamo.source import ConstantSource
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensorMode,
    UnsupportedFakeTensorException,
)
from torch.fx.experimental.symbolic_shapes import (
    DimDynamic,
    GuardOnDataDependentSymNode,
    ShapeEnv,
)
from torch.utils._sympy.functions import FloorDiv, Mod, PythonMod

from sparqc.errors import SparqcError
from sparqc.ir.fx.schema import map_values, raw_fx_call
from sparqc.ir.fx.tensor import TORCH_DTYPES, dtype_of
from sparqc.ir.graph import Graph, Node, TensorType, Value
from sparqc.ir.inferred import Inferred, first_line
from sparqc.ir.vocabulary.operator import FxCall
from sparqc.ir.vocabulary.table import OperatorTable

#: What torch raises on arguments that do not fit together.
_REFUSALS = (RuntimeError, TypeError, ValueError, IndexError, NotImplementedError, KeyError,
             AttributeError, AssertionError)  # fmt: skip


#: Among them, what says nothing of the types: torch cannot tell without the numbers.
_UNTOLD = (NotImplementedError, DataDependentOutputException, DynamicOutputShapeException,
           UnsupportedFakeTensorException, GuardOnDataDependentSymNode)  # fmt: skip


def inferred(graph: Graph, node: Node, table: OperatorTable) -> Inferred:
    """The types of a node's outputs from those of its operands."""
    if any(_is_unknown(value) for value in node.inputs):
        return Inferred()
    return _fake_of(graph).types(node, table)


def types_of_call(graph: Graph, call: FxCall) -> tuple[TensorType, ...] | None:
    """The types of what a call on values of a graph gives; None where they cannot be told."""
    return _fake_of(graph).types_of_call(call).types or None


def _is_unknown(value: Value) -> bool:
    return value.type.shape is None or value.type.dtype not in TORCH_DTYPES


class _Fake:
    """Fake tensors whose symbolic sizes are the graph's."""

    def __init__(self) -> None:
        self._start()

    def _start(self) -> None:
        self.env = ShapeEnv()
        self.mode = FakeTensorMode(shape_env=self.env)
        self.symbols: dict[str, sympy.Symbol] = {}
        self.names: dict[sympy.Symbol, sympy.Symbol] = {}

    def types(self, node: Node, table: OperatorTable) -> Inferred:
        """The types of a node's outputs; none where the call fails or fixes a symbolic size."""
        row = table.get(node.op)
        try:
            call = row.fx.write(node) if row is not None and row.fx else raw_fx_call(node)
        except (SparqcError, *_REFUSALS):
            return Inferred()
        return self.types_of_call(call)

    def types_of_call(self, call: FxCall) -> Inferred:
        """The types of what a call gives; none where it fails or fixes a symbolic size."""
        try:
            with self.mode, enable_python_dispatcher(), torch.no_grad():
                result = self._run(call)
        except (SparqcError, *_UNTOLD):
            return Inferred()
        except _REFUSALS as error:
            return Inferred(refusal=f"torch: {first_line(error)}")
        if self.env.replacements:
            # The call is only valid for one size: nothing known of it holds in general.
            self._start()
            return Inferred()
        items = result if isinstance(result, list | tuple) else [result]
        return Inferred(tuple(self._type(item) for item in items))

    def _run(self, call: FxCall) -> Any:
        args = map_values(call.args, self._argument, (Value, FxCall, fx.GraphModule))
        kwargs = map_values(dict(call.kwargs), self._argument, (Value, FxCall, fx.GraphModule))
        return call.target(*args, **kwargs)

    def _argument(self, item: Any) -> Any:
        if isinstance(item, FxCall):
            return self._run(item)
        if isinstance(item, fx.GraphModule):
            raise SparqcError("a submodule runs on real tensors only")
        shape = [self._size(size) for size in item.type.shape]
        return torch.empty(shape, dtype=TORCH_DTYPES[item.type.dtype])

    def _size(self, size: int | str) -> Any:
        if isinstance(size, int):
            return size
        expression = parse_size(size, self.symbol)
        hint = int(expression.subs({s: _HINT for s in expression.free_symbols}))
        return self.env.create_symintnode(expression, hint=hint)

    def symbol(self, name: str) -> sympy.Symbol:
        """torch's symbol for a symbolic size of the graph."""
        if name not in self.symbols:
            symbol = self.env.create_symbol(
                _HINT, source=ConstantSource(name), dynamic_dim=DimDynamic.DYNAMIC
            )
            self.symbols[name] = symbol
            self.names[symbol] = sympy.Symbol(name, integer=True, positive=True)
        return self.symbols[name]

    def _type(self, item: Any) -> TensorType:
        if not isinstance(item, torch.Tensor):
            return TensorType("sym", ()) if isinstance(item, torch.SymInt | int) else TensorType()
        return TensorType(dtype_of(item.dtype), tuple(self._text(size) for size in item.shape))

    def _text(self, size: int | torch.SymInt) -> int | str:
        if not isinstance(size, torch.SymInt):
            return int(size)
        text = str(size.node.expr.xreplace(self.names))
        return int(text) if text.isdigit() else text


#: The size that torch imagines for a symbolic one: no size a network compares with.
_HINT = 1009


_OPERATORS: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Pow: operator.pow,
    ast.FloorDiv: FloorDiv, ast.Mod: Mod,
}  # fmt: skip
_FUNCTIONS = {"Max": sympy.Max, "Min": sympy.Min, "Mod": Mod, "PythonMod": PythonMod,
              "FloorDiv": FloorDiv}  # fmt: skip


def parse_size(text: str, symbol: Callable[[str], sympy.Symbol]) -> Any:
    """A size such as "2*batch" or "((x_2 - 1)//2) + 1" as a sympy expression.

    Raises SparqcError for what is no such expression.
    """

    def build(node: ast.expr) -> Any:
        match node:
            case ast.Constant(value=int(number)):
                return sympy.Integer(number)
            case ast.Name(id=name):
                return symbol(name)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return -build(operand)
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
                return _OPERATORS[type(op)](build(left), build(right))
            case ast.Call(func=ast.Name(id=name), args=args) if name in _FUNCTIONS:
                return _FUNCTIONS[name](*map(build, args))
        raise SparqcError(f"{text!r} is no size of a tensor")

    try:
        return build(ast.parse(text, mode="eval").body)
    except SyntaxError as error:
        raise SparqcError(f"{text!r} is no size of a tensor") from error


@cache
def same_size(text: str, other: str) -> bool:
    """Whether two sizes such as "(x + 1)//2" and "x - x//2" agree, as far as examples tell; what is
    no expression may be any size."""
    names: dict[str, sympy.Symbol] = {}

    def symbol(name: str) -> sympy.Symbol:
        return names.setdefault(name, sympy.Symbol(name, integer=True, positive=True))

    try:
        sizes = [parse_size(t, symbol) for t in (text, other)]
    except SparqcError:
        return True
    return all(
        len({s.subs({v: first + 2 * i for i, v in enumerate(names.values())}) for s in sizes}) == 1
        for first in (_HINT, 2 * _HINT)
    )


_FAKES: WeakKeyDictionary[Graph, _Fake] = WeakKeyDictionary()


def _fake_of(graph: Graph) -> _Fake:
    if graph not in _FAKES:
        _FAKES[graph] = _Fake()
    return _FAKES[graph]
